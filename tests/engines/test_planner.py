"""The planner: everything exists before it is read, loops are found, impossible ones are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spikewright as sw
from spikewright.engines.planner import order
from spikewright.engines.program import Component, Filter, Operator, Sum
from spikewright.errors import BuildError

LOWPASS = sw.Lowpass(0.005).discretise(0.001)


def filter_(label: str, source: int, output: int) -> Filter:
    """A synapse from one signal to another."""
    return Filter(label, (source,), output, LOWPASS)


def labels(components: tuple[Component, ...]) -> list[tuple[list[str], bool]]:
    """Components by the labels of their operators, and whether they loop."""
    return [([op.label for op in c.operators], c.loops) for c in components]


def test_feed_forward_parts_come_one_by_one_in_order() -> None:
    """Whatever the order of declaration."""
    operators = [Sum("c", (2, 1), 3), Sum("b", (1,), 2), Sum("a", (0,), 1), Sum("source", (), 0)]
    found = labels(order(operators))
    assert [names for names, _ in found] == [["source"], ["a"], ["b"], ["c"]]
    assert not any(loops for _, loops in found)


def test_a_loop_is_one_component_with_its_filters_first() -> None:
    """What leads into it comes before, what reads it after."""
    operators = [
        Sum("before", (), 0), Sum("in", (0, 3), 1), Sum("through", (1,), 2),
        filter_("back", 2, 3), Sum("after", (2,), 4),
    ]  # fmt: skip
    assert labels(order(operators)) == [
        (["before"], False),
        (["back", "in", "through"], True),
        (["after"], False),
    ]


def test_long_chains_and_loops_need_no_recursion() -> None:
    """Thousands of operators in a row, in declared and in reverse order, and in a ring."""
    chain: list[Operator] = [Sum("0", (), 0), *(Sum(str(i), (i - 1,), i) for i in range(1, 10_000))]
    for operators in (chain, chain[::-1]):
        assert [c.operators[0].output for c in order(operators)] == list(range(10_000))
    ring = [filter_("0", 1499, 0), *(Sum(str(i), (i - 1,), i) for i in range(1, 1500))]
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
            operators.append(Sum(f"sum {i}", tuple(reads), i))
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
