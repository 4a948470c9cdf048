"""The law: counts of any size are exact on the native engine, whatever reads them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.operators import NodeSource
from spikewright.engines.program import Program
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.transforms import (
    AxisMap,
    Chain,
    Permute,
    Place,
    Reshape,
    Scale,
    Slice,
    Sparse,
    SumPool,
    Take,
    Transform,
    Windows,
)

if "native" not in engines.available():
    pytest.skip("native kernels are not built", allow_module_level=True)

from slowly import in_turn
from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.regions import Region

DT = 0.001
SHAPE = (3, 8, 8)
KINDS = {
    "one way": sw.IntegrateAndFire(),
    "capped": sw.IntegrateAndFire(max_spikes_per_step=700),
    "floor": sw.IntegrateAndFire(voltage_floor=1.0),
    "rectified": sw.SpikingRectifiedLinear(),
    "signed": sw.SignedIntegrateAndFire(),
    "bipolar": sw.BipolarIntegrateAndFire(),
    "mean": sw.RunningMeanSpiking(sw.RectifiedLinear()),
    "regular": sw.RegularSpiking(sw.Softplus()),
    "fixed point": sw.FixedPointIntegrateAndFire(np.array(3.0)),
}
SIZES = [500.0, 1e6, 1e13]
"""Spikes of the one neuron in a step; sums with the last are not exact in doubles."""


def convolution(out: int, inner: int, groups: int = 1) -> sw.Convolution:
    """Windows of 3 x 3 with random weights."""
    rng = np.random.default_rng(out + inner)
    kernel = rng.normal(size=(out, inner // groups, 3, 3))
    return sw.Convolution(kernel, (1, 1), ((1, 1), (1, 1)), (1, 1), groups=groups)


def entries(doubles: bool) -> Sparse:
    """A sparse map whose weights need few bits, or all of a double."""
    rng = np.random.default_rng(5)
    places = np.argwhere(rng.random((20, 192)) < 0.3).T
    values = rng.normal(size=places.shape[1])
    return Sparse(*places, values if doubles else np.round(values * 8) / 8, (20,), 192)


def windows(size: int) -> Windows:
    """Windows side by side."""
    return Windows((size, size), (size, size), ((0, 0), (0, 0)), (1, 1))


FLAT = Reshape((192,))
WEIGHTS = np.random.default_rng(4).normal(size=(70, 192))
MAPS: dict[str, Transform | None] = {
    "none": None,
    "matrix": Chain((FLAT, sw.Dense(WEIGHTS))),
    "few outputs": Chain((FLAT, sw.Dense(WEIGHTS[:9]))),
    "one output": Chain((FLAT, sw.Dense(WEIGHTS[:1]))),
    "convolution": convolution(5, 3),
    "depthwise": convolution(3, 3, 3),
    "depthwise, twice": convolution(6, 3, 3),
    "lists": Chain((FLAT, entries(False))),
    "lists of doubles": Chain((FLAT, entries(True))),
    "sums": SumPool(windows(2), np.array(1.0)),
    "large sums": SumPool(windows(8), np.array(1.0)),
    "slice": Slice(((0, 2, 1), (1, 8, 2), (0, 8, 1))),
    "take": Take(np.array([7, 1, 1, 0]), 1),
    "place": Place(((0, 3, 1), (1, 9, 1), (0, 8, 1)), (3, 10, 8)),
    "permute": Permute((2, 0, 1)),
    "scale": Scale(np.array(0.3)),
    "scales": Scale(np.arange(3.0)[:, None, None] + 0.1),
    "axis": AxisMap(np.random.default_rng(6).normal(size=(5, 8)), 2),
}


def neurons(shape: tuple[int, ...], kind: sw.NeuronType) -> sw.Ensemble:
    """Neurons of unit gain."""
    return sw.Ensemble(shape, None, neuron_type=kind, gain=1.0, bias=0.0)


def one_neuron(kind: sw.NeuronType, map: Transform | None, synapse: float | None) -> sw.Network:
    """A population of which a sample's one neuron is large, and what reads it through a map."""
    shape = SHAPE if map is None else map.output_shape(SHAPE)
    with sw.Network(seed=0) as net:
        x = sw.Node(np.zeros(SHAPE), label="x")
        a, b = neurons(SHAPE, kind), neurons(shape, sw.IntegrateAndFire())
        sw.Connection(x, a.neurons, None)
        sw.Connection(a.neurons, b.neurons, synapse, map)
        read = sw.Node(size_in=shape)
        sw.Connection(a.neurons, read, synapse, map)
        for probed in (read, a.neurons, b.neurons):
            sw.Probe(probed)
    return net


def large(size: float, batch: int = 3) -> NDArray:
    """Currents of a few spikes a step or less, and of `size` in one neuron of the second sample."""
    values = np.random.default_rng(8).uniform(-0.5, 3.0, (batch, 1, *SHAPE))
    values[1, 0, 1, 3, 4] = size + 0.25
    return values / DT


def source(program: Program) -> sw.Node:
    """The node that is fed."""
    return next(
        op.node for op in program.operators if isinstance(op, NodeSource) and op.node.label == "x"
    )


def fed(net: sw.Network, engine: Any, values: NDArray, steps: int, precision: Any) -> list[NDArray]:
    """Recordings and totals of two runs, the second with the sign of currents turned."""
    program = compile_network(net, DT, 0, precision)
    node = source(program)
    counted = net.all_ensembles if np.abs(values).max() < 1e7 / DT else ()  # totals have 32 bits
    execution = Execution(program, engine, len(values), frozenset(counted))
    found = [*execution.run(steps, {node: values}), *execution.run(3, {node: -0.4 * values})]
    totals = execution.summed().values()
    return [*found, *(part for one in totals for part in (one.sent, one.net))]


def assert_exact(
    net: sw.Network, values: NDArray, steps: int = 20, precision: Any = "float32"
) -> None:
    """The native engine gives the reference's bits."""
    expected = fed(net, ReferenceEngine(), values, steps, precision)
    assert max(np.abs(x).max() for x in expected) > 127
    for threads in (1, 2):
        assert_same(fed(net, NativeEngine(threads=threads), values, steps, precision), expected)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("name", "size", "kind"), in_turn(MAPS, SIZES, KINDS))
def test_whatever_map_reads_it(name: str, size: float, kind: str, precision: str) -> None:
    """Weights, sums over windows, moves and scales; into neurons, and to a probe."""
    assert_exact(one_neuron(KINDS[kind], MAPS[name], None), large(size), precision=precision)


@pytest.mark.parametrize(("kind", "size"), [(kind, size) for kind in KINDS for size in SIZES[:2]])
def test_whatever_neurons_send_it(kind: str, size: float) -> None:
    """Each type of neurons that may send many spikes in a step, through weights."""
    assert_exact(one_neuron(KINDS[kind], convolution(5, 3), None), large(size))


Reader = Callable[[sw.Ensemble], Any]


def _pooled(accumulate: bool) -> Reader:
    def reader(a: sw.Ensemble) -> sw.Node:
        pool = sw.MaxPool(windows(2), accumulate=accumulate)
        node = sw.Node(pool, size_in=SHAPE)
        sw.Connection(a.neurons, node, None)
        after = neurons((3, 4, 4), sw.IntegrateAndFire())
        sw.Connection(node, after.neurons, None, convolution(3, 3))
        sw.Probe(after.neurons)
        return node

    return reader


def _filtered(synapse: Any) -> Reader:
    def reader(a: sw.Ensemble) -> sw.Node:
        node = sw.Node(size_in=SHAPE)
        sw.Connection(a.neurons, node, synapse)
        return node

    return reader


def _shortcut(scale: float | None, kind: sw.NeuronType) -> Reader:
    """A sum of a layer and the counts themselves, times a factor."""

    def reader(a: sw.Ensemble) -> Any:
        b = neurons(SHAPE, kind)
        sw.Connection(a.neurons, b.neurons, None, convolution(3, 3))
        sw.Connection(a.neurons, b.neurons, None, None if scale is None else Scale(np.array(scale)))
        return b.neurons

    return reader


def _added(a: sw.Ensemble) -> Any:
    """Counts of two populations in one sum, and in parts of one signal."""
    other, b, c = (neurons(SHAPE, sw.IntegrateAndFire()) for _ in range(3))
    sw.Connection(a.neurons, other.neurons, None)
    both, beside = sw.Node(size_in=SHAPE), sw.Node(size_in=(6, 8, 8))
    for one, start in ((a, 0), (other, 3)):
        sw.Connection(one.neurons, both, None)
        place = Place(((start, start + 3, 1), (0, 8, 1), (0, 8, 1)), (6, 8, 8))
        sw.Connection(one.neurons, beside, None, place)
    sw.Connection(both, b.neurons, None, convolution(3, 3))
    sw.Connection(beside, c.neurons, None, convolution(3, 6))
    sw.Probe(both), sw.Probe(beside), sw.Probe(b.neurons)
    return c.neurons


def _delayed(a: sw.Ensemble) -> Any:
    """By whole steps, and by a time of each synapse."""
    b, node = neurons((20,), sw.IntegrateAndFire()), sw.Node(size_in=SHAPE)
    sw.Connection(a.neurons, node, None, delay=3 * DT)
    flat = sw.Node(size_in=(192,))
    sw.Connection(a.neurons, flat, None, FLAT)
    map = entries(False)
    delays = DT * np.random.default_rng(2).integers(1, 5, len(map.values))
    sw.Connection(flat, b.neurons, None, map, delay=delays)
    sw.Probe(node)
    return b.neurons


def _second_region(a: sw.Ensemble) -> Any:
    """A region behind an operator that has no kernel, which reads the counts as well."""
    function = sw.Node(sw.Softmax(-1), size_in=SHAPE) if hasattr(sw, "Softmax") else None
    function = function or sw.Node(lambda t, x: 0.5 * x, size_in=SHAPE, size_out=SHAPE)
    sw.Connection(a.neurons, function, None, Scale(np.array(1e-3)))
    b = neurons(SHAPE, sw.IntegrateAndFire())
    sw.Connection(function, b.neurons, None)
    sw.Connection(a.neurons, b.neurons, None, convolution(3, 3))
    return b.neurons


def _called(a: sw.Ensemble) -> Any:
    """A loop of neurons and a Python function, which the native loop calls."""
    b = neurons(SHAPE, sw.IntegrateAndFire())
    function = sw.Node(lambda t, x: 0.5 * x, size_in=SHAPE, size_out=SHAPE)
    sw.Connection(a.neurons, b.neurons, None)
    sw.Connection(b.neurons, function, None)
    sw.Connection(function, b.neurons, 0.003)
    return b.neurons


def _looping(a: sw.Ensemble) -> Any:
    """Counts that come back through weights, a filter and a delay."""
    b, c = (neurons(SHAPE, kind) for kind in (sw.IntegrateAndFire(), sw.BipolarIntegrateAndFire()))
    sw.Connection(a.neurons, b.neurons, None)
    sw.Connection(b.neurons, c.neurons, None, convolution(3, 3))
    sw.Connection(c.neurons, b.neurons, 0.005, Scale(np.array(-0.2)))
    sw.Connection(b.neurons, b.neurons, None, Scale(np.array(0.1)), delay=2 * DT)
    sw.Probe(c.neurons)
    return b.neurons


READERS: dict[str, Reader] = {
    "maxima": _pooled(False),
    "maxima of running sums": _pooled(True),
    "exponential": _filtered(0.01),
    "alpha": _filtered(sw.Alpha(0.01)),
    "line": _filtered(sw.Triangle(0.012)),
    "shortcut": _shortcut(None, sw.IntegrateAndFire()),
    "scaled shortcut": _shortcut(0.3, sw.BipolarIntegrateAndFire()),
    "sums of counts": _added,
    "delays": _delayed,
    "another region": _second_region,
    "function in a loop": _called,
    "loop": _looping,
}


def read_by(reader: Reader, kind: sw.NeuronType) -> sw.Network:
    """A population of which a sample's one neuron is large, and its reader."""
    with sw.Network(seed=0) as net:
        x = sw.Node(np.zeros(SHAPE), label="x")
        a = neurons(SHAPE, kind)
        sw.Connection(x, a.neurons, None)
        sw.Probe(reader(a)), sw.Probe(a.neurons)
    return net


@pytest.mark.parametrize(
    ("name", "size", "kind"), in_turn(READERS, SIZES[:2], ["one way", "bipolar", "mean"])
)
@pytest.mark.parametrize("steps", [20, 3])
def test_whatever_reads_it(name: str, size: float, kind: str, steps: int) -> None:
    """Pools, filters, delays, sums, shortcuts, other regions, functions and loops."""
    assert_exact(read_by(READERS[name], KINDS[kind]), large(size), steps)


@pytest.mark.parametrize(
    "rule",
    [sw.PES(1e-9), sw.BCM(1e-14), sw.Oja(1e-12), sw.RLS(1e-3)],
    ids=lambda r: type(r).__name__,
)
def test_learned_weights_read_it(rule: Any) -> None:
    """Weights that learn meet counts of any size, and are the reference's."""
    with sw.Network(seed=0) as net:
        x = sw.Node(np.zeros(SHAPE), label="x")
        flat = sw.Node(size_in=(192,))
        a, after = neurons((192,), sw.IntegrateAndFire()), neurons((5,), sw.IntegrateAndFire())
        sw.Connection(x, flat, None, FLAT)
        sw.Connection(flat, a.neurons, None)
        learned = sw.Connection(
            a.neurons, after.neurons, None, WEIGHTS[:5], learning_rule_type=rule
        )
        if isinstance(rule, sw.PES | sw.RLS):
            sw.Connection(sw.Node(np.full(5, 0.1)), learned.learning_rule, None)
        sw.Probe(after.neurons), sw.Probe(learned, "weights")
    assert_exact(net, large(500.0), 10)


@pytest.mark.parametrize("name", ["loop", "maxima", "another region"])
def test_single_steps_give_it(name: str) -> None:
    """Steps one by one give the counts of a run; so do parts of it, the later ones by a copy."""
    values = large(500.0)[1, 0]
    recorded = []
    for engine, parts in (("reference", 1), ("native", 1), ("native", 2), ("native", 0)):
        net = read_by(READERS[name], sw.IntegrateAndFire())
        (node,) = (n for n in net.all_nodes if n.label == "x")
        node.output = values
        sim = sw.Simulator(net, dt=DT, engine=engine)
        for part in range(parts):
            sim = deepcopy(sim) if part else sim
            sim.run_steps(12 // parts)
        for _ in range(0 if parts else 12):
            sim.step()
        recorded.append([sim.data[probe] for probe in net.all_probes])
    for found in recorded[1:]:
        assert_same(found, recorded[0])


@pytest.mark.parametrize("kind", ["one way", "bipolar", "mean"])
def test_totals_hold_any_sum(kind: str) -> None:
    """Of either sign, in a run that tells them and in one that goes on; too many are an error."""
    net = one_neuron(KINDS[kind], None, None)
    program = compile_network(net, DT, 0, "float32")
    node = source(program)
    found = []
    for engine in (ReferenceEngine(), NativeEngine(threads=1)):
        execution = Execution(program, engine, 3, frozenset(net.all_ensembles))
        execution.run(40, {node: large(1e6)})
        execution.run(5, {node: -large(1e6)}, last=True)
        found.append([part for one in execution.summed().values() for part in (one.sent, one.net)])
    assert_same(*found)
    assert max(part.max() for part in found[0]) > 4e7
    execution = Execution(program, NativeEngine(threads=1), 3, frozenset(net.all_ensembles))
    execution.run(2, {node: large(4e9)})
    with pytest.raises(sw.errors.SimulationError, match="can be counted"):
        execution.summed()


def test_regions_have_one_form() -> None:
    """No count sends a program to other kernels: they are the ones that were there before."""
    net, engine = one_neuron(sw.IntegrateAndFire(), MAPS["matrix"], None), NativeEngine(threads=1)
    program: Program = compile_network(net, DT, 0, "float32")
    node = source(program)
    for size in (1.0, 1e6):
        Execution(program, engine, 3).run(5, {node: large(size)})
        assert sum(isinstance(op, Region) for op in engine._built) == 1


def network(kind: sw.NeuronType, scale: float, seed: int = 0) -> sw.Network:
    """Convolutions, a maximum, a shortcut and matrices; the second layer's scale is `scale`."""
    rng = np.random.default_rng(seed)

    def layer(shape: tuple[int, ...], scale: float, label: str) -> sw.Ensemble:
        bias = rng.normal(size=(shape[0], *(1,) * (len(shape) - 1))) * 0.1
        return sw.Ensemble(
            shape, None, neuron_type=kind, gain=1.0, bias=bias, rate_scale=scale, label=label
        )

    def convolution(out: int, inner: int) -> sw.Convolution:
        kernel = rng.normal(size=(out, inner, 3, 3)) / np.sqrt(9 * inner)
        return sw.Convolution(kernel, (1, 1), ((1, 1), (1, 1)), (1, 1))

    with sw.Network(seed=seed) as net:
        x = sw.Node(np.zeros(SHAPE), label="x")
        a = layer((6, 8, 8), 800.0, "a")
        b = layer((6, 8, 8), scale, "b")
        c = layer((6, 8, 8), 500.0, "c")
        pool = sw.Node(sw.MaxPool(sw.transforms.Windows((2, 2))), size_in=(6, 8, 8), label="pool")
        d = layer((12,), 700.0, "d")
        out = sw.Node(size_in=(4,), label="out")
        sw.Connection(x, a.neurons, None, convolution(6, 3))
        sw.Connection(a.neurons, b.neurons, None, convolution(6, 6))
        sw.Connection(b.neurons, c.neurons, None, convolution(6, 6))
        sw.Connection(a.neurons, c.neurons, None)
        sw.Connection(b.neurons, pool, None)
        flat = [Reshape((96,)), sw.Dense(rng.normal(size=(12, 96)) / 8)]
        sw.Connection(pool, d.neurons, None, Chain(tuple(flat)))
        flat = [Reshape((384,)), sw.Dense(rng.normal(size=(12, 384)) / 16)]
        sw.Connection(c.neurons, d.neurons, None, Chain(tuple(flat)))
        sw.Connection(d.neurons, out, None, sw.Dense(rng.normal(size=(4, 12))))
        for probed in (out, b.neurons, pool):
            sw.Probe(probed)
    return net


def results(net: sw.Network, engine: Any, blocks: list[int], x: NDArray) -> list[NDArray]:
    """Recordings and totals of a run in several parts, each with more input than the last."""
    program = compile_network(net, DT, 0, "float32")
    node = source(program)
    execution = Execution(program, engine, len(x), frozenset(net.all_ensembles))
    found = []
    for number, steps in enumerate(blocks):
        found += execution.run(steps, {node: x * 2.0**number})
    totals = execution.summed().values()
    return [*found, *(part for one in totals for part in (one.sent, one.net))]


def both(
    net: sw.Network, blocks: list[int], x: NDArray, threads: int = 1
) -> tuple[list[NDArray], list[NDArray]]:
    """The recordings and totals of both engines."""
    return (
        results(net, NativeEngine(threads=threads), blocks, x),
        results(net, ReferenceEngine(), blocks, x),
    )


def drawn(batch: int, size: float = 1.0) -> NDArray:
    """Held input; each sample is larger than the one before."""
    rng = np.random.default_rng(3)
    grown = size * 2.0 ** np.arange(batch)[:, None, None, None, None]
    return rng.normal(size=(batch, 1, *SHAPE)) * grown


@pytest.mark.parametrize(
    ("kind", "scale"), in_turn([kind for kind in KINDS if kind != "capped"], [2e5, 1e7, 1e9])
)
def test_whole_populations_send_it(kind: str, scale: float) -> None:
    """Counts of some hundred, thousands and millions, in several runs of several blocks."""
    net = network(KINDS[kind], scale)
    native, reference = both(net, [3, 40, 2], drawn(2))
    assert np.abs(reference[1]).max() * scale * DT > max(127, scale * DT)
    assert_same(native, reference)


@pytest.mark.parametrize(
    ("kind", "isa", "threads"),
    in_turn(2 * ["one way", "bipolar", "mean"], instruction_sets(), [1, 3]),
)
def test_samples_that_outgrow_bytes_do_not_disturb_others(
    kind: str,
    isa: str,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some of a batch do, and some of them late."""
    monkeypatch.setenv("SPIKEWRIGHT_ISA", isa)
    net = network(KINDS[kind], 6e4)
    native, reference = both(net, [20, 20, 5], drawn(5, 0.05), threads)
    largest = [np.abs(reference[3 * n + 1]).max(axis=(1, 2, 3, 4)) * 6e4 * DT for n in range(3)]
    assert largest[0].min() < 127 < largest[2].max()
    assert np.any((largest[0] < 127) & (largest[2] > 127)), "late"
    assert_same(native, reference)
