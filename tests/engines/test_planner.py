"""The planner: everything exists before it is read, loops are found, impossible ones are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewright as sw
from spikewright.engines import compile_network
from spikewright.engines.operators import Filter, Operator, ScaledSum
from spikewright.engines.populations import Neurons
from spikewright.engines.program import Component, order
from spikewright.errors import BuildError, NetworkError

LOWPASS = sw.Lowpass(0.005).discretise(0.001)


def filter_(label: str, source: int, output: int) -> Filter:
    """A synapse from one signal to another."""
    return Filter(label, (source,), output, LOWPASS)


def labels(components: tuple[Component, ...]) -> list[tuple[list[str], bool]]:
    """Components by the labels of their operators, and whether they loop."""
    return [([op.label for op in c.operators], c.loops) for c in components]


def test_feed_forward_parts_come_one_by_one_in_order() -> None:
    """Whatever the order of declaration."""
    operators = [
        ScaledSum("c", (2, 1), 3),
        ScaledSum("b", (1,), 2),
        ScaledSum("a", (0,), 1),
        ScaledSum("source", (), 0),
    ]
    found = labels(order(operators))
    assert [names for names, _ in found] == [["source"], ["a"], ["b"], ["c"]]
    assert not any(loops for _, loops in found)


def test_a_loop_is_one_component_with_its_filters_first() -> None:
    """What leads into it comes before, what reads it after."""
    operators = [
        ScaledSum("before", (), 0), ScaledSum("in", (0, 3), 1), ScaledSum("through", (1,), 2),
        filter_("back", 2, 3), ScaledSum("after", (2,), 4),
    ]  # fmt: skip
    assert labels(order(operators)) == [
        (["before"], False),
        (["back", "in", "through"], True),
        (["after"], False),
    ]


def test_a_loop_of_one() -> None:
    """A filter that feeds itself loops; without a filter that has no order."""
    assert labels(order([filter_("memory", 0, 0)])) == [(["memory"], True)]
    with pytest.raises(BuildError, match="a cycle without a synapse has no order: alone"):
        order([ScaledSum("alone", (0,), 0)])


def test_a_loop_that_holds_an_instantaneous_one_is_refused() -> None:
    """A synapse elsewhere in the component does not help; only those that wait are named."""
    operators = [ScaledSum("a", (1, 2), 0), ScaledSum("b", (0,), 1), filter_("f", 1, 2)]
    operators.append(ScaledSum("fine", (2,), 3))
    with pytest.raises(BuildError) as caught:
        order(operators)
    text = str(caught.value)
    assert "no order: a, b." in text and "fine" not in text and "synapse=0" in text


def test_long_chains_and_loops_need_no_recursion() -> None:
    """Thousands of operators in a row, in declared and in reverse order, and in a ring."""
    chain: list[Operator] = [
        ScaledSum("0", (), 0),
        *(ScaledSum(str(i), (i - 1,), i) for i in range(1, 10_000)),
    ]
    for operators in (chain, chain[::-1]):
        assert [c.operators[0].output for c in order(operators)] == list(range(10_000))
    ring = [filter_("0", 1499, 0), *(ScaledSum(str(i), (i - 1,), i) for i in range(1, 1500))]
    (component,) = order(ring)
    assert component.loops and [op.output for op in component.operators] == list(range(1500))


@st.composite
def programs(draw: Any) -> list[Operator]:
    """Random operators: sums read earlier signals alone, filters read any."""
    n = draw(st.integers(1, 25))
    operators: list[Operator] = []
    for i in range(n):
        if draw(st.booleans()):
            operators.append(filter_(f"filter {i}", draw(st.integers(0, n - 1)), i))
        else:
            reads = draw(st.lists(st.integers(0, i - 1), max_size=3)) if i else []
            operators.append(ScaledSum(f"sum {i}", tuple(reads), i))
    return list(draw(st.permutations(operators)))


@settings(max_examples=66)
@given(operators=programs())
def test_everything_exists_before_it_is_read(operators: list[Operator]) -> None:
    """Components hold every operator once, in an order that works; loops are exactly the cycles."""
    components = order(operators)
    flat = [op for component in components for op in component.operators]
    assert sorted(op.output for op in flat) == sorted(op.output for op in operators)
    reads = {op.output: set(op.inputs) for op in operators}
    known: set[int] = set()
    for component in components:
        inside = {op.output for op in component.operators}
        assert component.loops == any(_reaches(s, s, reads) for s in inside)
        assert component.loops or len(inside) == 1
        assert all(_reaches(a, b, reads) for a in inside for b in inside) or not component.loops
        done = set(known)
        for op in component.operators:
            late = isinstance(op, Filter) and component.loops
            assert set(op.inputs) <= (known | inside if late else done)
            done.add(op.output)
        known |= inside


def _reaches(start: int, goal: int, reads: dict[int, set[int]]) -> bool:
    """Whether signal `start` depends on signal `goal`, through at least one operator."""
    waiting, seen = list(reads[start]), set()
    while waiting:
        signal = waiting.pop()
        if signal == goal:
            return True
        if signal not in seen:
            seen.add(signal)
            waiting += reads[signal]
    return False


# Networks


def cells(label: str) -> sw.Ensemble:
    """Two integrate-and-fire neurons."""
    return sw.Ensemble(2, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0, label=label)


def test_cycles_without_a_synapse_name_their_members() -> None:
    """Between populations, through junctions and through functions; one synapse resolves each."""
    for middle in ("cells", "junction", "function"):
        for synapse in (None, 0):
            with sw.Network() as net:
                a = cells("first")
                node: Any
                if middle == "cells":
                    node = cells("second").neurons
                elif middle == "junction":
                    node = sw.Node(size_in=2, label="second")
                else:
                    node = sw.Node(lambda t, x: x, size_in=2, label="second")
                sw.Connection(a.neurons, node, None)
                sw.Connection(node, a.neurons, synapse)
                bystander = cells("bystander")
                sw.Connection(a.neurons, bystander.neurons, None)
            if synapse is None:
                with pytest.raises(BuildError) as caught:
                    sw.Simulator(net, engine="reference")
                text = str(caught.value)
                assert "'first'" in text and "'second'" in text and "bystander" not in text
            else:
                sw.Simulator(net, engine="reference")


def test_a_population_connected_to_itself_needs_a_synapse() -> None:
    """The smallest cycle of a network."""
    with sw.Network() as net:
        a = cells("me")
        sw.Connection(a.neurons, a.neurons, None)
    with pytest.raises(BuildError, match=r"without a synapse.*<Ensemble 'me'>"):
        sw.Simulator(net, engine="reference")


def test_feed_forward_networks_have_no_loops_and_loops_stay_small() -> None:
    """Only what is recurrent runs step by step."""
    with sw.Network() as net:
        stimulus = sw.Node(np.ones(2))
        a, b, c = cells("a"), cells("b"), cells("c")
        sw.Connection(stimulus, a.neurons, None)
        sw.Connection(a.neurons, b.neurons, 0.01)
        back = sw.Connection(b.neurons, b.neurons, 0.01, 0.5)
        sw.Connection(b.neurons, c.neurons, None)
        sw.Probe(b.neurons, "voltage")
    program = compile_network(net, 0.001, 0, "float32")
    (loop,) = (component for component in program.components if component.loops)
    inside = {op.ensemble for op in loop.operators if isinstance(op, Neurons)}
    assert inside == {b}
    net.connections.remove(back)
    program = compile_network(net, 0.001, 0, "float32")
    assert not any(component.loops for component in program.components)


# Compilation


def test_objects_of_another_network_are_named() -> None:
    """A connection or probe that leads out of the network says what to add."""
    with sw.Network(label="elsewhere") as other:
        foreign = cells("foreign")
    with sw.Network(label="mine") as net:
        node = sw.Node(np.ones(2))
        link = sw.Connection(node, foreign.neurons, None, label="link")
    with pytest.raises(BuildError, match=r"'link'>: <Neurons of .*'foreign'.* 'mine'.*add the"):
        sw.Simulator(net, engine="reference")
    net.connections.remove(link)
    with net:
        sw.Probe(foreign.neurons, label="look")
    with pytest.raises(BuildError, match=r"'look'>: its target is not in <Network 'mine' "):
        sw.Simulator(net, engine="reference")
    net.add(other)
    sw.Simulator(net, engine="reference")


def test_a_probe_of_a_connection_elsewhere_is_refused() -> None:
    """Connections are looked for like other objects."""
    with sw.Network():
        a = sw.Node([1.0])
        link = sw.Connection(a, sw.Node(size_in=1), None)
    with sw.Network() as net:
        sw.Probe(link)
    with pytest.raises(BuildError, match="its target is not in"):
        sw.Simulator(net, engine="reference")


def test_a_probe_of_input_that_a_node_does_not_take_is_refused() -> None:
    """A constant has no input to record."""
    with sw.Network() as net:
        sw.Probe(sw.Node([1.0], label="constant"), "input")
    with pytest.raises(BuildError, match="'constant'> takes no input"):
        sw.Simulator(net, engine="reference")


def test_a_network_that_is_a_part_twice_is_refused() -> None:
    """Its objects could not be told apart."""
    one, two, shared = sw.Network(), sw.Network(label="two"), sw.Network(label="shared")
    two.add(shared)
    one.add(shared)
    one.add(two)
    with pytest.raises(BuildError, match=r"'shared'> is a part of .* more than once"):
        sw.Simulator(one, engine="reference")


def test_impossible_gains_are_found_when_compiled() -> None:
    """Maximum rates that no neuron of the type can have."""
    with sw.Network() as net:
        sw.Ensemble(3, neuron_type=sw.LIF(), max_rates=np.full(3, 600.0))
    with pytest.raises(NetworkError, match=r"LIF: 3 of 3 neurons have no gain above 0.*500 Hz"):
        sw.Simulator(net, engine="reference")


def test_a_program_holds_the_arrays_of_the_network() -> None:
    """No copy of weights is made before an engine makes its form of them."""
    matrix = np.random.default_rng(0).standard_normal((3, 4))
    with sw.Network() as net:
        a, b = sw.Node(np.ones(4)), sw.Node(size_in=3)
        link = sw.Connection(a, b, None, sw.Dense(matrix))
    program = compile_network(net, 0.001, 0, "float32")
    np.testing.assert_array_equal(program.weights[link], matrix)
    (held,) = (op.transform.matrix for op in program.operators if hasattr(op, "transform"))
    assert held is link.transform.matrix


def test_only_the_asked_for_probes_are_recorded() -> None:
    """`probes` replaces the network's own, which then cost nothing."""
    with sw.Network() as net:
        a = cells("a")
        mine, other = sw.Probe(a.neurons, "voltage"), sw.Probe(a.neurons)
    program = compile_network(net, 0.001, 0, "float32", [other])
    assert [r.probe for r in program.recordings] == [other]
    assert all("voltage" not in op.states for op in program.operators if isinstance(op, Neurons))
    program = compile_network(net, 0.001, 0, "float32")
    assert [r.probe for r in program.recordings] == [mine, other]
