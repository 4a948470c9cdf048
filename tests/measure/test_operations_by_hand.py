"""Operations of networks made by hand: decoders, encoders, functions, learned weights."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import models
import spikewright as sw
from spikewright.engines.operators import Filter, Linear, NodeSource
from spikewright.engines.populations import Neurons
from spikewright.errors import SimulationError
from spikewright.measure.operations import Counter
from spikewright.network.learning import PES
from spikewright.network.solvers import LstsqDrop, LstsqL2, NoSolver, Solver
from spikewright.network.transforms import Dense


def run(net: sw.Network, steps: int, **inputs: Any) -> tuple[sw.Simulator, dict[str, NDArray]]:
    """A run, and the spikes of every labelled population, one sample."""
    with net:
        probes = {
            e.label: sw.Probe(e.neurons, "spike_count")
            for e in net.all_ensembles
            if not e.is_direct and e.neuron_type.spiking
        }
    with sw.Simulator(net, progress=False, precision="float64") as sim:
        sim.run_steps(steps)
    return sim, {str(name): sim.data[p].sum(0)[None] for name, p in probes.items()}


def channel(**options: Any) -> sw.Network:
    """A value of two dimensions, from a function of time through A to the square in B."""
    with sw.Network(seed=1) as net:
        stimulus = sw.Node(lambda t: [np.sin(t), 0.3], label="stimulus")
        a = sw.Ensemble(40, 2, label="A")
        b = sw.Ensemble(25, 1, label="B")
        sw.Connection(stimulus, a, synapse=None)
        sw.Connection(a, b, function=lambda x: x[0] ** 2, label="square", **options)
    return net


def test_spikes_meet_decoders_and_values_encoders() -> None:
    """A spike of A is one accumulate a decoded value; encoders multiply at every step.

    A's vector of 2 values is added up from 2 numbers, and read by 2 x 40 encoders; B's is the sum
    of A's spikes by one decoder each, read by 25 encoders.
    """
    net, steps = channel(), 50
    sim, totals = run(net, steps)
    found = Counter(net, {}, {}, program=sim.program).count(totals, steps)
    assert totals["A"].sum() > 50
    assert found.layers["A"].accumulates == [2 * steps]
    assert found.layers["A"].multiply_accumulates == [80 * steps]
    assert found.layers["B"].accumulates == [totals["A"].sum()]
    assert found.layers["B"].multiply_accumulates == [25 * steps]
    assert found.layers["A"].dense == [(2 + 80) * steps]
    assert found.layers["B"].dense == [(40 + 25) * steps]
    assert Counter(net, {}, {}, program=sim.program).fan_out()["A"].tolist() == [1] * 40


def test_memory_of_what_is_represented() -> None:
    """Decoders 40, encoders 80 and 25, gain and bias of 65 neurons; voltages, rests, a filter."""
    counter = Counter(channel(), {}, {})
    assert counter.weight_bytes.dense == 4 * (40 + 80 + 25 + 2 * 65)
    held = 2 + 1  # the represented vectors
    assert counter.state_bytes == 4 * (65 * 2 + 1 + held)


def test_without_a_program_decoders_are_those_of_the_networks_seed() -> None:
    """What is counted is what a simulator with that seed has, zeros of its decoders included."""
    net = channel(solver=LstsqDrop(drop=0.5))
    with sw.Simulator(net, progress=False, precision="float64") as sim:
        (square,) = (c for c in net.connections if c.label == "square")
        nonzero = np.count_nonzero(sim.data[square].decoders)
    assert 0 < nonzero < 40
    assert Counter(net, {}, {}).fan_out()["A"].sum() == nonzero


@pytest.mark.parametrize("outputs, transform", [(3, None), (3, (2, 3)), (3, (9, 3))])
def test_a_transform_is_multiplied_in_where_that_is_no_larger(
    outputs: int, transform: tuple[int, int] | None
) -> None:
    """Spikes meet 3 decoders, or 2 that hold the transform, or 3 whose sums 27 weights read."""
    rng = np.random.default_rng(0)
    matrix = None if transform is None else rng.normal(size=transform)
    size = outputs if transform is None else transform[0]
    with sw.Network(seed=1) as net:
        a = sw.Ensemble(30, 1, label="A")
        end = sw.Node(size_in=size, label="end")
        sw.Connection(
            a, end, function=lambda x: [x[0], x[0] ** 2, 1.0], transform=matrix, label="three"
        )
    met = min(size, outputs)
    counter = Counter(net, {}, {})
    assert counter.fan_out()["A"].tolist() == [met] * 30
    found = counter.count({"A": np.full((1, 30), 2)}, steps=5)
    assert found.total().accumulates == [2 * 30 * met]
    held = 5 * 27 if size > outputs else 0
    assert found.total().multiply_accumulates == [held]


def test_weights_between_neurons_have_neither() -> None:
    """With a solver that stores the whole matrix a spike meets every neuron behind it."""
    with sw.Network(seed=1) as net:
        a, b = sw.Ensemble(20, 1, label="A"), sw.Ensemble(15, 1, label="B")
        sw.Connection(a, b, solver=LstsqL2(weights=True))
    found = Counter(net, {}, {}).count({"A": np.ones((1, 20)), "B": np.zeros((1, 15))}, 4)
    assert found.total().accumulates == [20 * 15]
    assert found.total().multiply_accumulates == [0]


def test_weights_that_are_learned_are_not_zero() -> None:
    """They begin at zero and do not stay there; the rule itself is named, not counted."""
    with sw.Network(seed=1) as net:
        a, end = sw.Ensemble(20, 1, label="A"), sw.Node(size_in=1, label="end")
        learned = sw.Connection(
            a, end, solver=NoSolver(), learning_rule_type=PES(), label="learned"
        )
        sw.Connection(end, learned.learning_rule)
    counter = Counter(net, {}, {})
    assert counter.fan_out()["A"].tolist() == [1] * 20
    assert counter.not_counted == ("PES of <Connection 'learned'>",)


def test_learned_decoders_hold_the_transform_whatever_its_size() -> None:
    """One matrix of 3 x 20 is learned, or was: 60 numbers, and a spike meets 3 of them."""
    with sw.Network(seed=1) as net:
        a, end = sw.Ensemble(20, 1, label="A"), sw.Node(size_in=3, label="end")
        learned = sw.Connection(a, end, transform=np.ones((3, 1)), learning_rule_type=PES())
    biases = 2 * 20
    for _ in range(2):
        counter = Counter(net, {}, {})
        assert counter.fan_out()["A"].tolist() == [3] * 20
        assert counter.weight_bytes.dense == 4 * (60 + biases)
        learned.learned = {"weights": np.ones((3, 20))}
        learned.learning_rule_type = None


def test_exact_functions_are_named_and_what_they_make_is_counted() -> None:
    """Without neurons, and from nodes: a function has no count, the 2 x 3 weights behind it do."""
    with sw.Network(seed=1) as net:
        stimulus = sw.Node(lambda t: t, label="stimulus")
        direct = sw.Ensemble(1, 1, neuron_type=sw.Direct(), label="direct")
        ends = [sw.Node(size_in=2, label=f"end {i}") for i in range(2)]
        sw.Connection(stimulus, direct, synapse=None)
        for pre, end in zip((stimulus, direct), ends, strict=True):
            sw.Connection(
                pre, end, function=lambda x: [x[0], x[0], 1.0], transform=np.ones((2, 3)), label="f"
            )
    counter = Counter(net, {}, {})
    assert [text.split(" (")[0] for text in counter.not_counted] == [
        "Python function 'stimulus'",
        *["Python function of <Connection 'f'>"] * 2,
    ]
    found = counter.count({}, steps=10)
    assert found.total().multiply_accumulates == [2 * 6 * 10]


def test_an_embedded_conversion_counts_as_it_does_alone() -> None:
    """Its layers have the operations that they have by themselves, whatever is around them."""
    graph = models.mlp()
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 6))
    totals = {n: rng.integers(0, 9, (1, *e.shape)) for n, e in conversion.populations().items()}
    alone = Counter(conversion.network, conversion.populations(), conversion.inputs)
    with sw.Network(seed=0) as net:
        net.add(conversion.network)
        after = sw.Ensemble(20, 3, label="after")
        sw.Connection(conversion.outputs["output"], after)
    whole = Counter(net, conversion.populations(), conversion.inputs)
    first = alone.count(totals, 7, {"x": x})
    second = whole.count({**totals, "after": np.zeros((1, 20))}, 7, {"x": x})
    for name, operations in first.layers.items():
        for field in fields(operations):
            first_, second_ = (getattr(o, field.name) for o in (operations, second.layers[name]))
            np.testing.assert_array_equal(second_, first_)
    np.testing.assert_array_equal(second.layers["after"].multiply_accumulates, [7 * 3 * 20])


def test_an_input_that_is_driven_holds_what_arrives() -> None:
    """Its values are no longer fed: spikes are decoded into it, and weights read it every step."""
    conversion = sw.convert(models.mlp(), spiking=True)
    with sw.Network(seed=0) as net:
        net.add(conversion.network)
        eye = sw.Ensemble(20, 6, label="eye")
        sw.Connection(eye, conversion.inputs["x"])
    counter = Counter(net, conversion.populations(), conversion.inputs)
    totals = {n: np.zeros((1, *e.shape)) for n, e in conversion.populations().items()}
    found = counter.count({**totals, "eye": np.ones((1, 20))}, steps=5)
    assert found.layers["x"].accumulates == [20 * 6]
    assert found.layers["act1"].multiply_accumulates == [5 * 12 * 6]
    assert found.layers["act1"].input_per_step == [0]
    with pytest.raises(SimulationError, match=r"inputs are \[\], got \['x'\]"):
        counter.count({**totals, "eye": np.ones((1, 20))}, 5, {"x": np.ones((1, 6))})


@st.composite
def networks(draw: st.DrawFn) -> sw.Network:
    """Two to four populations, some of which lead to others or to themselves."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    with sw.Network(seed=1) as net:
        parts = [
            sw.Ensemble(int(rng.integers(5, 20)), size, label=f"{i}")
            for i, size in enumerate(sizes)
        ]
        first = sw.Node(rng.uniform(-1, 1, sizes[0]), label="x")
        sw.Connection(first, parts[0], transform=rng.normal(size=(sizes[0], sizes[0])))
        for _ in range(draw(st.integers(1, 4))):
            pre, post = (draw(st.sampled_from(parts)) for _ in range(2))
            connect(pre, post, rng, draw(st.integers(0, 4)), draw(st.sampled_from(SOLVERS)))
    return net


SOLVERS = (LstsqL2(), LstsqDrop(drop=0.4), LstsqL2(weights=True))


def connect(
    pre: sw.Ensemble, post: sw.Ensemble, rng: np.random.Generator, values: int, solver: Solver
) -> None:
    """A connection of so many functions, or of the value itself, some weights of which are zero."""
    maps = rng.normal(size=(values, pre.dimensions))
    function = (lambda x: maps @ x) if values else None
    matrix = rng.normal(size=(post.dimensions, values or pre.dimensions))
    matrix[rng.random(matrix.shape) < 0.3] = 0.0
    sw.Connection(pre, post, function=function, transform=matrix, solver=solver)


@settings(max_examples=25)
@given(networks())
def test_counts_are_those_of_the_programs_matrices(net: sw.Network) -> None:
    """Every matrix that a simulator applies: to spikes it adds, to values it multiplies.

    Spikes stay spikes where a synapse filters them before the matrix and not behind it.
    """
    steps = 20
    sim, totals = run(net, steps)
    operators = sim.program.operators
    spikes = {
        op.output: totals[str(op.ensemble.label)][0] for op in operators if isinstance(op, Neurons)
    }
    unfiltered = {op.output: op.inputs[0] for op in operators if isinstance(op, Filter)}
    constant = {op.output for op in operators if isinstance(op, NodeSource)}
    added = multiplied = 0
    for op in operators:
        if isinstance(op, Linear) and isinstance(op.transform, Dense):
            pattern = np.count_nonzero(op.transform.matrix, axis=0)
            source = unfiltered.get(op.inputs[0], op.inputs[0])
            if source in spikes:
                added += int(spikes[source] @ pattern)
            elif source not in constant:
                multiplied += int(pattern.sum()) * steps
    found = Counter(net, {}, {}, program=sim.program).count(totals, steps).total()
    assert found.accumulates == [added]
    assert found.multiply_accumulates == [multiplied]


def test_two_populations_of_one_name_are_refused() -> None:
    """Their spikes could not be told apart."""
    with sw.Network() as net:
        for _ in range(2):
            sw.Ensemble(5, 1, label="twin")
    with pytest.raises(SimulationError, match="several populations are called 'twin'"):
        Counter(net, {}, {})
    first, second = net.ensembles
    Counter(net, {"one": first, "other": second}, {})
