"""Dropping identities: one test a rule, and what must stay."""

from __future__ import annotations

import numpy as np
import pytest
from pass_graphs import apply, chain, kinds

from spikewright.graph import Graph, GraphNode, evaluate
from spikewright.graph.layers import (
    Activation,
    AdaptiveAveragePool,
    Add,
    AveragePool,
    Concatenate,
    Crop,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Input,
    Layer,
    MaxPool,
    Permute,
    Reshape,
    ScaleShift,
    UpsampleNearest,
    ZeroPad,
)
from spikewright.passes import DropIdentities

IMAGE = (2, 3, 4)
NONE2 = ((0, 0), (0, 0))
NONE3 = ((0, 0), (0, 0), (0, 0))
relu = Activation("relu")

VANISH: dict[str, list[Layer]] = {
    "rule 1": [Identity(), Activation("linear")],
    "rule 2": [
        Reshape(IMAGE), Permute((0, 1, 2)), ZeroPad(NONE3), Crop(NONE3), UpsampleNearest((1, 1, 1)),
    ],
    "rule 3": [
        AveragePool((1, 1), (1, 1), NONE2), MaxPool((1, 1), (1, 1), NONE2, (2, 2)),
        AveragePool((1, 1), (1, 1), NONE2, True, True, True), AdaptiveAveragePool((3, 4)),
        GlobalAveragePool(()), GlobalMaxPool((), keepdims=True),
    ],
    "rule 4": [Add(), Concatenate(1), ScaleShift()],
}  # fmt: skip

STAY: list[Layer] = [
    Reshape((4, 3, 2)), Reshape((24,)), Permute((0, 2, 1)), ZeroPad(((0, 0), (0, 0), (0, 1))),
    Crop(((1, 0), (0, 0), (0, 0))), UpsampleNearest((1, 1, 2)),
    AveragePool((1, 1), (2, 1), NONE2), AveragePool((1, 2), (1, 1), NONE2),
    AveragePool((1, 1), (1, 2), NONE2), MaxPool((2, 1), (1, 1), NONE2, (1, 1)),
    AdaptiveAveragePool((4, 4)), AdaptiveAveragePool((3, 2), True), GlobalMaxPool((0,), True),
    ScaleShift(scale=np.array(1.0)), ScaleShift(shift=np.array(0.0)), Activation("relu6"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "layer"), [(r, layer) for r in VANISH for layer in VANISH[r]])
def test_a_layer_that_changes_nothing_vanishes(rule: str, layer: Layer) -> None:
    """Rules 1 to 4: its readers read its input, its name leads there, a note says why."""
    graph = chain(IMAGE, ("a", relu), ("gone", layer), ("b", Activation("tanh")))
    result = apply(DropIdentities(), graph)

    assert kinds(result.graph) == {"a": "Activation", "b": "Activation"}
    assert result.graph["b"].inputs == ("a",)
    assert dict(result.graph.aliases) == {"gone": "a"}
    assert [note.layer for note in result.notes] == ["gone"]
    assert result.notes[0].text.startswith("dropped: ")


@pytest.mark.parametrize("layer", STAY, ids=str)
def test_a_layer_that_changes_something_stays(layer: Layer) -> None:
    """A layer that looks like one that vanishes, and does something, is left alone."""
    result = apply(DropIdentities(), chain(IMAGE, ("a", relu), ("kept", layer)))

    assert "kept" in result.graph
    assert result.notes == ()


def test_a_sum_of_a_value_with_itself_stays() -> None:
    """Add reads one value, twice: that is a doubling, not an identity."""
    result = apply(DropIdentities(), chain((3,), ("twice", Add(), ("x", "x"))))

    assert kinds(result.graph) == {"twice": "Add"}


def test_an_output_that_is_an_identity_keeps_its_name() -> None:
    """y = Identity(relu(x)): the output stays under its name, made by what is left."""
    graph = chain((3,), ("a", relu), ("i", Identity()), outputs={"y": "i", "z": "a"})
    result = apply(DropIdentities(), graph)

    assert dict(result.graph.outputs) == {"y": "a", "z": "a"}
    assert result.graph.aliases["i"] == "a"


def test_an_input_may_become_an_output() -> None:
    """y = Identity(x), where x is a graph input: input and output at once."""
    result = apply(
        DropIdentities(), chain((3,), ("i", Identity()), outputs={"y": "i", "same": "x"})
    )

    assert dict(result.graph.outputs) == {"y": "x", "same": "x"}
    assert kinds(result.graph) == {}
    assert evaluate(result.graph, {"x": [[1.0, 2.0, 3.0]]})["y"].tolist() == [[1.0, 2.0, 3.0]]


def test_chains_of_identities_vanish_together() -> None:
    """Every name along the chain leads to what is left, aliases from before included."""
    steps = [(f"i{k}", Identity()) for k in range(4)]
    graph = chain((3,), ("a", relu), *steps, ("b", relu), older="i3")
    result = apply(DropIdentities(), graph)

    assert kinds(result.graph) == {"a": "Activation", "b": "Activation"}
    assert set(result.graph.aliases.values()) == {"a"}
    assert set(result.graph.aliases) == {"i0", "i1", "i2", "i3", "older"}


def test_every_reader_of_an_identity_reads_its_input() -> None:
    """Readers that read it several times do so still."""
    graph = chain(
        (3,),
        ("a", relu),
        ("i", Identity()),
        ("b", Activation("tanh")),
        ("c", Add(), ("i", "b", "i")),
    )
    result = apply(DropIdentities(), graph)

    assert result.graph["c"].inputs == ("a", "b", "a")
    assert sorted(result.graph.consumers["a"]) == ["b", "c", "c"]


def test_a_source_layer_read_as_several_nodes_keeps_its_name() -> None:
    """A source that no node is named after leads to the last node that was read from it."""
    nodes = (
        GraphNode("x", Input((3,))),
        GraphNode("block/a", relu, ("x",), "block"),
        GraphNode("block/b", Identity(), ("block/a",), "block"),
        GraphNode("end", Activation("tanh"), ("block/b",), "end"),
    )
    result = apply(DropIdentities(), Graph(nodes, {"y": "end"}))

    assert dict(result.graph.aliases) == {"block": "block/a", "block/b": "block/a"}


def test_nodes_that_stay_keep_what_they_say_of_their_source() -> None:
    """Name, source and kind of source pass through."""
    result = apply(DropIdentities(), chain((3,), ("i", Identity()), ("a", relu)))

    assert (result.graph["a"].source, result.graph["a"].source_kind) == ("a", "SourceActivation")
