"""What of each registry has a native kernel, and that every kernel gives the reference's bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from conformance import neuron_type_examples, rule_examples, synapse_examples
from engines.comparing import Exceeding, assert_same
from spikewright import engines
from spikewright.engines import Engine, Execution, Program, compile_network
from spikewright.engines.operators import Filter, Operator
from spikewright.engines.parameters import uniform_draws
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.reference import ReferenceEngine
from spikewright.network.learning import LEARNING_RULES, RLS
from spikewright.network.neurons import (
    NEURON_TYPES,
    Elementwise,
    LeakyReLU,
    LIFRate,
    NeuronType,
    PoissonSpiking,
    RectifiedLinear,
    StochasticSpiking,
    Tanh,
)
from spikewright.network.synapses import SYNAPSES, LinearFilter, Synapse, Triangle
from spikewright.network.transforms import Chain, Convolution, Dense, Reshape

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from slowly import in_turn, of_each_type
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
                assert_same(found, expected)
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


def test_every_neuron_type_has_an_example() -> None:
    """So a type that is registered without a kernel is found."""
    assert set(NEURON_TYPES) == {type(e.neuron_type).__name__ for e in neuron_type_examples()}


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


def test_other_filters_of_high_order_say_why() -> None:
    """Above a limit a filter with feedback is left to the reference."""
    ninth = np.poly([-200.0] * 9)
    synapse = LinearFilter((ninth[-1],), tuple(ninth))
    program = compile_network(filtered(synapse, True), 0.001, 0, "float32")
    found = kernels(program, Filter)
    assert found
    assert all(not native and "order 9" in why for native, why in found)


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


def test_rules_side_by_side_keep_what_is_theirs() -> None:
    """Two matrices of recursive least squares and a rule without one, on the same weights."""
    rules = [RLS(1e-2), sw.PES(1e-3), RLS(1e-3, None)]
    assert_native_is_reference(learning(rules))


def test_recursive_least_squares_out_of_loops() -> None:
    """Over blocks of time, where the error does not depend on what is learned."""
    with sw.Network(seed=3) as net:
        source = sw.Node(lambda t: np.sin(20 * t))
        pre, end = sw.Ensemble(50, 1), sw.Node(size_in=1)
        sw.Connection(source, pre)
        made = sw.Connection(pre, end, 0.005, learning_rule_type=RLS(1e-2))
        sw.Connection(source, made.learning_rule)
        sw.Probe(made, "weights")
        sw.Probe(end)
    program = assert_native_is_reference(net)
    assert not any(component.loops for component in program.components)
    assert kernels(program, Learned)[0][0]


def test_recursive_least_squares_of_counts_that_outgrow_bytes(
    exceeding: Exceeding,
) -> None:
    """The matrix meets activities of any size."""
    net = learning(RLS(1e-6), sender=sw.SpikingRectifiedLinear())
    pre = net.ensembles[0]
    pre.gain, pre.bias = np.linspace(1e3, 9e5, 40), np.zeros(40)
    assert_native_is_reference(net)
    assert exceeding()


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


@pytest.mark.parametrize("name", DRAWN)
def test_random_spikes_of_bounded_rates(name: str) -> None:
    """Of curved rates too, of either sign."""
    for base in (LIFRate(), Tanh()):
        assert_native_is_reference(drawing(DRAWN[name](base), 0.01))


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize(("mean", "gain"), [(1e4, 1.0), (1e300, 1.0), (1e302, 1e6)])
def test_many_random_spikes_are_the_references(
    name: str, mean: float, gain: float, exceeding: Exceeding
) -> None:
    """Numbers above a byte, and those that are not finite, where there are many draws to come."""
    net = drawing(DRAWN[name](RectifiedLinear()), mean, gain=gain)
    program = compile_network(net, 0.001, 0, "float32")
    runs = []
    with np.errstate(all="ignore"):
        for engine in (ReferenceEngine(), NativeEngine(1)):
            runs.append(Execution(program, engine).run(STEPS)[0])
    np.testing.assert_array_equal(*runs)
    assert exceeding()


@pytest.mark.parametrize("name", DRAWN)
def test_populations_that_run_as_one_draw_by_themselves(name: str) -> None:
    """Each has a key of its own, and its neurons are numbered from its first."""
    with sw.Network(seed=4) as net:
        source = sw.Node(lambda t: np.sin(100 * t))
        for n in (30, 1, 300, 7, 262):
            cells = sw.Ensemble(n, 1, neuron_type=DRAWN[name](LIFRate()))
            sw.Connection(source, cells, None)
            sw.Probe(cells.neurons)
    assert_native_is_reference(net)


@pytest.mark.parametrize("name", DRAWN)
def test_neurons_stored_in_another_order_have_their_own_draws(name: str) -> None:
    """Behind convolutions channels come last, draws are in the order of the population."""
    rng = np.random.default_rng(7)
    with sw.Network(seed=4) as net:
        source = sw.Node(rng.uniform(200, 900, (3, 6, 5)))
        first = sw.Ensemble((3, 6, 5), neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
        sw.Connection(source, first.neurons, None)
        layer = Convolution(rng.normal(0.5, 1.0, (7, 3, 3, 3)))
        cells = sw.Ensemble((7, 4, 3), neuron_type=DRAWN[name](RectifiedLinear()), gain=1.0, bias=9)
        sw.Connection(first.neurons, cells.neurons, None, layer)
        sw.Probe(cells.neurons)
        end = sw.Node(size_in=4)
        weights = Chain((Reshape((84,)), Dense(rng.normal(size=(4, 84)))))
        sw.Connection(cells.neurons, end, None, weights)
        sw.Probe(end)
    assert_native_is_reference(net)


@pytest.mark.parametrize("seed", range(20))
def test_draws_are_those_of_the_generator(seed: int) -> None:
    """A mean of one half draws `u < 1/2`: read off one by one, at any number of a step."""
    rng = np.random.default_rng(seed)
    n, first = int(rng.integers(1, 700)), int(rng.integers(0, 2**40))
    with sw.Network(seed=seed) as net:
        source = sw.Node([0.5 / 0.001])
        cells = sw.Ensemble(
            n, None, neuron_type=StochasticSpiking(RectifiedLinear()), gain=1.0, bias=0.0
        )
        sw.Connection(source, cells.neurons, None, np.ones((n, 1)))
        sw.Probe(cells.neurons, "spike_count")
    program = compile_network(net, 0.001, seed, "float32")
    (op,) = (op for op in program.operators if isinstance(op, Neurons))
    execution = Execution(program, NativeEngine(1))
    execution.step = first
    (counts,) = execution.run(5)
    for t in range(5):
        wanted = uniform_draws(op.key, first + t + 1, 0, (n,)) < 0.5
        np.testing.assert_array_equal(counts[0, t], wanted)


@pytest.mark.parametrize("wrapper", [*DRAWN.values(), sw.RegularSpiking, sw.RunningMeanSpiking])
def test_a_wrapper_of_a_type_without_kernel_names_it(wrapper: Any) -> None:
    """The plan says which of the two has no kernel."""
    net = drawing(wrapper(Elementwise.of("softsign")), 0.1)
    ((native, why),) = kernels(compile_network(net, 0.001, 0, "float32"), Neurons)
    assert not native
    assert why == f"{wrapper.__name__} of softsign has no native kernel"


def test_a_triangle_costs_no_calls() -> None:
    """A recurrent one is part of the native loop: nothing is called from it."""
    program = compile_network(filtered(Triangle(0.03), True), 0.001, 0, "float32")
    assert not [row for row in plan_rows(program) if "called" in row.why]
