"""What of each registry has a native kernel, and that every kernel gives the reference's bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn, of_each_type
from spikewright import engines
from spikewright.engines import Engine, Execution, Program, compile_network
from spikewright.engines.program import Filter, Learned, Neurons, Operator
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.learning import LEARNING_RULES, RLS
from spikewright.network.neurons import (
    LeakyReLU,
    NeuronType,
    PoissonSpiking,
    RectifiedLinear,
    StochasticSpiking,
)
from spikewright.network.synapses import SYNAPSES, LinearFilter, Synapse
from spikewright.testing.engines import neuron_type_examples, rule_examples, synapse_examples

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native.engine import NativeEngine, instruction_sets
from spikewright.engines.native.regions import plan_rows

WITHOUT = {"DiscreteLI", "DiscreteLIF", "Elementwise", "WindowMean"}
"""Neuron types, rules and synapses that are left to the reference; the plan gives the reason."""

STEPS = 40


def results(
    engine: Engine, program: Program, net: sw.Network, batch: int, **cut: int
) -> list[NDArray]:
    """Recordings of two runs, totals and learned weights."""
    execution = Execution(program, engine, batch, net.all_ensembles, **cut)
    parts = [execution.run(STEPS // 2) for _ in range(2)]
    arrays = [np.concatenate(pieces, axis=1) for pieces in zip(*parts, strict=True)]
    sums = [execution.summed()[e] for e in net.all_ensembles]
    totals = [array for one in sums for array in (one.sent, one.net)]
    return [*arrays, *totals, *execution.learned().values()]


def assert_native_is_reference(
    net: sw.Network, dt: float = 0.001, batch: int = 2, rounding: float = 0.0
) -> Program:
    """Bit by bit, on every instruction set, in whatever blocks and on however many threads.

    With `rounding` (relative) the reference's numbers are that near, and all others are the same.
    """
    program = compile_network(net, dt, 0, "float32")
    expected = results(ReferenceEngine(), program, net, batch)
    assert expected[0].any()
    if rounding:
        near = results(NativeEngine(1), program, net, batch)
        for x, y in zip(near, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=rounding)
        expected = near
    for isa in instruction_sets():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPIKEWRIGHT_ISA", isa)
            for threads, cut in ((1, {}), (3, {"block": 7}), (2, {"chunk": 1})):
                found = results(NativeEngine(threads), program, net, batch, **cut)
                for x, y in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(x, y)
    return program


def kernels(program: Program, kind: type[Operator]) -> list[tuple[bool, str]]:
    """Whether each operator of a kind is native, and the reason."""
    rows = zip(program.operators, plan_rows(program), strict=True)
    return [(row.kernel != "reference", row.why) for op, row in rows if isinstance(op, kind)]


def assert_kernels(program: Program, kind: type[Operator], name: str) -> None:
    """All of a kind are native unless it is known to be left out; then there is a reason."""
    for native, why in kernels(program, kind):
        assert native == (name not in WITHOUT), (name, why)
        assert native or "has no native kernel" in why


def population(example: Any, n: int = 40) -> sw.Network:
    """Neurons of a type between others, driven by spikes, so that the current changes."""
    rng = np.random.default_rng(1)
    with sw.Network(seed=1) as net:
        source = sw.Node(example.currents(1, n)[0])
        first = sw.Ensemble(
            n,
            None,
            neuron_type=sw.BipolarIntegrateAndFire(),
            gain=1.0,
            bias=2.0,
            rate_scale=0.25 / example.dt,
        )
        cells = sw.Ensemble(
            n, None, neuron_type=example.neuron_type, gain=1.0, bias=0.25, rate_scale=example.scale
        )
        sw.Connection(source, first.neurons, None)
        sw.Connection(first.neurons, cells.neurons, None, rng.normal(0.8, 1.0, (n, n)) / n)
        sw.Probe(cells.neurons)
    return net


@pytest.mark.parametrize(
    "example", [pytest.param(e, id=e.id) for e in of_each_type(neuron_type_examples())]
)
def test_every_neuron_type(example: Any) -> None:
    """A registered type has a kernel or is listed; spikes are the reference's.

    Rates with exponentials and logarithms agree as far as two libraries' functions do.
    """
    kind = example.neuron_type
    curved = not (example.exact or kind.spiking)
    program = assert_native_is_reference(
        population(example), example.dt, rounding=1e-6 if curved else 0.0
    )
    names = {type(kind).__name__, type(getattr(kind, "base_type", kind)).__name__}
    made = [why for native, why in kernels(program, Neurons) if not native]
    assert bool(made) == bool(names & WITHOUT), made


def filtered(synapse: Synapse | None, loop: bool) -> sw.Network:
    """Spikes and values through a synapse; in a `loop` it carries values back too."""
    with sw.Network(seed=2) as net:
        source = sw.Node(lambda t: np.sin(40 * t))
        rng = np.random.default_rng(0)
        cells = sw.Ensemble(300, None, neuron_type=sw.LIF(), gain=rng.uniform(1, 3, 300), bias=1.0)
        values = sw.Node(size_in=2)
        sw.Connection(source, cells.neurons, synapse, rng.choice([-1.0, 1.0], (300, 1)))
        sw.Connection(cells.neurons, values, synapse, rng.normal(0, 1e-4, (2, 300)))
        if loop:
            back = synapse or 0.005
            sw.Connection(values, cells.neurons, back, rng.normal(0, 0.5, (300, 2)))
        sw.Probe(values, synapse=synapse)
        sw.Probe(cells.neurons, synapse=synapse)
    return net


@pytest.mark.parametrize(("example", "loop"), in_turn(synapse_examples(), [False, True]))
def test_every_synapse(example: Any, loop: bool) -> None:
    """Over blocks of time and step by step, of spikes and of values."""
    name = type(example.synapse).__name__
    program = assert_native_is_reference(filtered(example.synapse, loop))
    assert_kernels(program, Filter, name)
    assert set(SYNAPSES) == {type(e.synapse).__name__ for e in synapse_examples()}


@pytest.mark.parametrize(
    ("taps", "lag", "loop"), in_turn([2, 9, 31, 90], [False, True], [False, True, True])
)
def test_sums_of_earlier_inputs_of_any_length(taps: int, lag: bool, loop: bool) -> None:
    """Filters that weigh their last inputs take any number of them, with a delay or without."""
    weights = np.random.default_rng(taps).normal(0, 1 / taps, taps)
    synapse = LinearFilter(tuple(weights), (1.0, *(0.0,) * (taps - 1 + lag)), analog=False)
    program = assert_native_is_reference(filtered(synapse, loop), batch=1)
    assert all(native for native, _ in kernels(program, Filter))


def learning(rules: Any, senders: int = 40, sender: NeuronType | None = None) -> sw.Network:
    """A rule, or several, on a connection that they fit, with an error where they take one."""
    several = rules if isinstance(rules, list) else [rules]
    with sw.Network(seed=3) as net:
        source = sw.Node(lambda t: np.sin(20 * t))
        pre = sw.Ensemble(senders, 1, neuron_type=sender or sw.LIF())
        post = sw.Ensemble(30, 1)
        sw.Connection(source, pre)
        if several[0].modifies == "weights":
            weights = np.random.default_rng(0).normal(1e-3, 1e-3, (30, senders))
            made = sw.Connection(pre.neurons, post.neurons, 0.005, weights)
        else:
            made = sw.Connection(pre, post, 0.005)
        made.learning_rule_type = rules
        error = sw.Node(size_in=1)
        sw.Connection(post, error)
        sw.Connection(source, error, transform=-1)
        for one in made.learning_rules:
            if one.learning_rule_type.receives == "error":
                sw.Connection(error, one)
            sw.Probe(one, "delta")
        sw.Probe(post.neurons)
    return net


@pytest.mark.parametrize("example", [pytest.param(e, id=e.id) for e in rule_examples()])
def test_every_rule(example: Any) -> None:
    """A registered rule has a kernel or is listed; weights are the reference's."""
    program = assert_native_is_reference(learning(example.rule))
    assert_kernels(program, Learned, type(example.rule).__name__)
    assert set(LEARNING_RULES) == {type(e.rule).__name__ for e in rule_examples()}


@pytest.mark.parametrize("senders", [2, 13, 129])
def test_recursive_least_squares_of_any_size(senders: int) -> None:
    """Sums are taken in the reference's order, whatever their length."""
    program = assert_native_is_reference(learning(RLS(1e-2), senders))
    assert kernels(program, Learned)[0][0]


DRAWN: dict[str, Callable[[NeuronType], NeuronType]] = {
    "stochastic": StochasticSpiking,
    "poisson": PoissonSpiking,
}


def drawing(kind: NeuronType, mean: float, n: int = 600, gain: float = 1.0) -> sw.Network:
    """Random neurons whose means change from step to step, up to some times `mean` a step."""
    with sw.Network(seed=4) as net:
        source = sw.Node(lambda t: np.sin(200 * t) + 0.3)
        weights = np.random.default_rng(5).normal(0, 1, (n, 1)) * mean / 0.001
        cells = sw.Ensemble(n, None, neuron_type=kind, gain=gain, bias=0.0)
        sw.Connection(source, cells.neurons, None, weights)
        sw.Probe(cells.neurons)
        end = sw.Node(size_in=2)
        sw.Connection(cells.neurons, end, None, np.random.default_rng(6).normal(size=(2, n)))
        sw.Probe(end)
    return net


@pytest.mark.parametrize(
    ("mean", "name", "base"),
    in_turn([0.02, 1.0, 12.0, 40.0, 12.0], DRAWN, [RectifiedLinear(), LeakyReLU(0.5)]),
)
def test_random_spikes_are_the_references(name: str, base: NeuronType, mean: float) -> None:
    """Draw by draw, for means below and above those of which numbers are drawn by rejection."""
    net = drawing(DRAWN[name](base), mean)
    assert kernels(assert_native_is_reference(net), Neurons) == [(True, "in blocks of time")]
