"""The diagram of a network made by hand: boxes, arrows and their order."""

from __future__ import annotations

from typing import Any

import pytest
from explorers import unpacked
from networks import network

import spikewright as sw
from spikewright.explorer.diagram import BOXES, diagram_of, names_of, ranks
from spikewright.explorer.live import live, run_greeting


def _diagram(net: sw.Network) -> dict[str, Any]:
    return diagram_of(net, names_of(net), {})


def _arrows(found: dict[str, Any]) -> set[tuple[str, str, bool]]:
    """Arrows by the names of their ends."""
    names = [box["name"] for box in found["boxes"]]
    return {(names[start], names[end], learning) for start, end, learning in found["arrows"]}


def test_boxes_and_arrows_are_those_of_the_network() -> None:
    """Nodes and ensembles have a box with their size, parts and neurons lead to the whole."""
    told, _ = unpacked(run_greeting(live(network())))
    found = told["diagram"]

    assert [(box["name"], box["kind"], box["size"]) for box in found["boxes"]] == [
        ("stimulus", "node", "1 value"),
        ("Node 2", "node", "2 values"),
        ("screen", "node", "30 values"),
        ("a", "ensemble", "80 neurons"),
        ("Ensemble 2", "ensemble", "60 neurons"),
    ]
    ends = [("stimulus", "a"), ("a", "Ensemble 2"), ("Node 2", "Ensemble 2")]
    ends.append(("screen", "Ensemble 2"))
    assert _arrows(found) == {(*end, False) for end in ends}
    assert [box.get("input") for box in found["boxes"]] == [0, 1, None, None, None]
    assert [box.get("curves") for box in found["boxes"]] == [None, None, None, 0, 1]


def test_loops_and_rules() -> None:
    """A recurrent connection is an arrow to itself, an error leads to what learns."""
    with sw.Network(seed=0) as net:
        a, b, error = (sw.Ensemble(10, 1, label=label) for label in ("a", "b", "error"))
        learned = sw.Connection(a, b, learning_rule_type=sw.PES())
        sw.Connection(a, a, synapse=0.1)
        sw.Connection(b.neurons[:3], error.neurons[:3])
        sw.Connection(b, error)
        sw.Connection(error, learned.learning_rule)

    found = _diagram(net)
    straight = {("a", "a", False), ("a", "b", False), ("b", "error", False)}
    assert _arrows(found) == {*straight, ("error", "b", True)}
    assert [box["rank"] for box in found["boxes"]] == [0, 1, 2]


def test_networks_inside_are_one_box_where_there_are_many() -> None:
    """Above so many boxes a network inside is one, and arrows lead to it."""
    with sw.Network(seed=0) as net:
        given = sw.Node([0.0] * BOXES, label="given")
        array = sw.networks.EnsembleArray(10, BOXES, label="array")
        sw.Connection(given, array.input)

    found = _diagram(net)
    assert [(box["name"], box["kind"]) for box in found["boxes"]] == [
        ("given", "node"),
        ("array", "network"),
    ]
    assert found["boxes"][1]["size"] == f"{BOXES} ensembles"
    assert ("given", "array", False) in _arrows(found)


@pytest.mark.parametrize(
    ("arrows", "expected"),
    [
        ([], [0, 0, 0, 0]),
        ([(0, 1), (1, 2), (0, 2), (2, 3)], [0, 1, 1, 2]),
        ([(3, 2), (2, 1), (1, 2)], [0, 2, 1, 0]),
        ([(0, 1), (1, 2), (2, 0), (3, 3)], [0, 1, 2, 0]),
    ],
)
def test_ranks(arrows: list[tuple[int, int]], expected: list[int]) -> None:
    """The shortest way from where nothing arrives; a loop begins at its first box."""
    assert ranks(4, [(start, end, False) for start, end in arrows]) == expected
