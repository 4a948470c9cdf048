"""Counts above 127 natively: the reference's spikes, and nothing runs on its kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.comparing import assert_same
from spikewright import engines
from spikewright.engines import Execution, compile_network
from spikewright.engines.operators import NodeSource
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.transforms import Chain, Reshape

if "native" not in engines.available():
    pytest.skip("native kernels are not built", allow_module_level=True)

from slowly import in_turn
from spikewright.engines.native import filling, running
from spikewright.engines.native._kernels import Reading
from spikewright.engines.native.engine import NativeEngine, instruction_sets

DT = 0.001
SHAPE = (3, 8, 8)
KINDS = {
    "one way": sw.IntegrateAndFire(),
    "floor": sw.IntegrateAndFire(voltage_floor=1.0),
    "rectified": sw.SpikingRectifiedLinear(),
    "signed": sw.SignedIntegrateAndFire(),
    "bipolar": sw.BipolarIntegrateAndFire(),
    "mean": sw.RunningMeanSpiking(sw.RectifiedLinear()),
}


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
    (node,) = (op.node for op in program.operators if isinstance(op, NodeSource))
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


@pytest.fixture
def natively(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[int]]:
    """What outgrew bytes, time by time; the reference's kernels are out of reach."""
    seen: list[frozenset[int]] = []
    wider = NativeEngine._wider

    def watched(self: NativeEngine, op: Any, program: Any, signals: frozenset[int]) -> Any:
        seen.append(signals)
        return wider(self, op, program, signals)

    def never(*given: Any) -> None:
        raise AssertionError("a region went to the reference")

    monkeypatch.setattr(NativeEngine, "_wider", watched)
    monkeypatch.setattr(running, "SlowRegion", never)
    return seen


def drawn(batch: int, size: float = 1.0) -> NDArray:
    """Held input; each sample is larger than the one before."""
    rng = np.random.default_rng(3)
    grown = size * 2.0 ** np.arange(batch)[:, None, None, None, None]
    return rng.normal(size=(batch, 1, *SHAPE)) * grown


@pytest.mark.parametrize(("kind", "scale"), in_turn(KINDS, [2e5, 1e7, 1e9]))
def test_any_count_is_the_references(
    kind: str, scale: float, natively: list[frozenset[int]]
) -> None:
    """Counts of some hundred, thousands and millions, in several runs of several blocks."""
    net = network(KINDS[kind], scale)
    native, reference = both(net, [3, 40, 2], drawn(2))
    assert natively or kind == "signed", "whose counts are doubles always"
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
    natively: list[frozenset[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some of a batch do, and some of them late."""
    monkeypatch.setenv("SPIKEWRIGHT_ISA", isa)
    net = network(KINDS[kind], 6e4)
    native, reference = both(net, [20, 20, 5], drawn(5, 0.05), threads)
    largest = [np.abs(reference[3 * n + 1]).max(axis=(1, 2, 3, 4)) * 6e4 * DT for n in range(3)]
    assert largest[0].min() < 127 < largest[2].max() and natively
    assert np.any((largest[0] < 127) & (largest[2] > 127)), "late"
    assert_same(native, reference)


def test_layers_that_outgrow_bytes_one_after_the_other(natively: list[frozenset[int]]) -> None:
    """Each is found in its turn; the next execution begins with all that are known."""
    net = network(sw.IntegrateAndFire(), 1e9)
    for scaled in net.ensembles:
        scaled.rate_scale = 3e6
    engine = NativeEngine(threads=1)
    program = compile_network(net, DT, 0, "float32")
    (node,) = (op.node for op in program.operators if isinstance(op, NodeSource))
    found = [Execution(program, engine, 2).run(7, {node: drawn(2)}) for _ in range(2)]
    expected = Execution(program, ReferenceEngine(), 2).run(7, {node: drawn(2)})
    assert len(natively) == len(set(natively)) + 1 > 2
    for one in found:
        assert_same(one, expected)


def test_packed_weights_of_other_layers_are_shared(natively: list[frozenset[int]]) -> None:
    """Only the layers that read what outgrew bytes have a second form of their weights."""
    before = set(filling._shared)
    net, engine = network(sw.IntegrateAndFire(), 1e6), NativeEngine(threads=1)
    program = compile_network(net, DT, 0, "float32")
    (node,) = (op.node for op in program.operators if isinstance(op, NodeSource))
    Execution(program, engine, 1).run(5, {node: drawn(1)})
    assert len(natively) == 1
    made = [key for key in filling._shared if key not in before]
    signed = [key for key in made if Reading.both in key]
    assert len(signed) == 2 and len(made) == 5 + 2
