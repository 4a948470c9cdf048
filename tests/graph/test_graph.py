"""Graphs: what makes one, what it says about itself, what it computes, and its stages."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright.errors import GraphError
from spikewright.graph import (
    CANONICAL,
    IDENTITY_FREE,
    IMPORTED,
    SPIKING_READY,
    STAGES,
    Graph,
    GraphNode,
    Stage,
    check_finite,
    evaluate,
    evaluate_all,
    prune,
    to_text,
    unique_name,
)
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    BatchNormalization,
    Convolution,
    Identity,
    Input,
    Layer,
    Reshape,
)

RNG = np.random.default_rng(2)
X = GraphNode("x", Input((3,)))


def _relu(name: str, *inputs: str) -> GraphNode:
    return GraphNode(name, Activation("relu"), inputs)


MALFORMED = {
    "duplicate": ((X, _relu("x", "x")), {"y": "x"}, {}, "two layers are named 'x'"),
    "order": ((_relu("a", "x"), X), {"y": "a"}, {}, r"layer 'a' reads \['x'\]"),
    "missing": ((X, _relu("a", "b")), {"y": "a"}, {}, r"reads \['b'\], which no earlier"),
    "arity": ((X, _relu("a", "x", "x")), {"y": "a"}, {}, r"'a' \(Activation\) has 2 inputs.*1"),
    "no inputs": ((X, GraphNode("a", Add())), {"y": "a"}, {}, "0 inputs, it takes one or more"),
    "input reads": ((X, GraphNode("a", Input((3,)), ("x",))), {"y": "a"}, {}, "it takes 0"),
    "no outputs": ((X,), {}, {}, "no outputs"),
    "lost output": ((X,), {"y": "z"}, {}, r"outputs \['z'\] are not made"),
    "alias of a node": ((X,), {"y": "x"}, {"x": "x"}, "'x' -> 'x'"),
    "alias to nowhere": ((X,), {"y": "x"}, {"a": "b"}, "'a' -> 'b'"),
    "shapes": (
        (X, GraphNode("dense", Affine(np.ones((2, 4))), ("x",))), {"y": "dense"}, {},
        "layer 'dense': Affine: the input's last axis holds 3 values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_graph_is_refused_naming_the_layer(case: str) -> None:
    """Names, order, arity, outputs, aliases and shapes are checked when a graph is made."""
    nodes, outputs, aliases, message = MALFORMED[case]

    with pytest.raises(GraphError, match=message):
        Graph(nodes, outputs, aliases)


def _diamond() -> Graph:
    nodes = (
        GraphNode("image", Input((2, 5, 5))),
        GraphNode(
            "conv",
            Convolution(
                RNG.normal(size=(4, 2, 3, 3)), RNG.normal(size=4), (2, 2),
                ((1, 1), (1, 1)), (1, 1),
            ),
            ("image",),
            "conv", "Conv2d",
        ),
        GraphNode("relu", Activation("relu"), ("conv",)),
        GraphNode("leaky", Activation("leaky_relu", {"negative_slope": 0.1}), ("conv",)),
        GraphNode("sum", Add(), ("relu", "leaky", "relu")),
        GraphNode("flat", Reshape((36,)), ("sum",)),
        GraphNode("scores", Affine(RNG.normal(size=(3, 36))), ("flat",)),
    )  # fmt: skip
    return Graph(nodes, {"y": "scores", "early": "relu"}, {"dropout": "relu"})


def test_a_graph_describes_itself() -> None:
    """Names, shapes, readers (one entry a use) and outputs."""
    graph = _diamond()

    assert len(graph) == 7
    assert [node.name for node in graph] == list(graph.shapes)
    assert graph.inputs == ("image",)
    assert graph.shapes["conv"] == (4, 3, 3)
    assert graph.consumers["conv"] == ("relu", "leaky")
    assert graph.consumers["relu"] == ("sum", "sum")
    assert graph.consumers["scores"] == ()
    assert graph["conv"].source_kind == "Conv2d"
    assert "conv" in graph
    assert "dropout" not in graph
    assert graph.is_output("relu")
    assert not graph.is_output("leaky")


def test_the_text_form() -> None:
    """One line a node, arrays as their shapes, fields that are None left out, outputs last."""
    assert to_text(_diamond()) == "\n".join(
        [
            "image: [2,5,5] = Input(shape=(2, 5, 5), whole=False)",
            "conv: [4,3,3] = Convolution(weight=[4,2,3,3], bias=[4], stride=(2, 2), "
            "padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1, channels_last=False) <- image",
            "relu: [4,3,3] = Activation(function='relu', parameters={}) <- conv",
            "leaky: [4,3,3] = Activation(function='leaky_relu', "
            "parameters={'negative_slope': 0.1}) <- conv",
            "sum: [4,3,3] = Add() <- relu, leaky, relu",
            "flat: [36] = Reshape(shape=(36,)) <- sum",
            "scores: [3] = Affine(weight=[3,36]) <- flat",
            "output y = scores",
            "output early = relu",
        ]
    )


def test_values_of_a_graph_follow_its_layers() -> None:
    """Every node's value is its layer's equation on the values that it reads."""
    graph = _diamond()
    x = RNG.normal(size=(3, 2, 5, 5))
    values = evaluate_all(graph, {"image": x})

    assert list(values) == [node.name for node in graph]
    conv = graph["conv"].layer.evaluate(x)
    both = 2 * np.maximum(conv, 0) + np.where(conv > 0, conv, 0.1 * conv)
    np.testing.assert_allclose(values["sum"], both)
    expected = both.reshape(3, -1) @ graph["scores"].layer.arrays()["weight"].T
    outputs = evaluate(graph, {"image": x})
    assert list(outputs) == ["y", "early"]
    np.testing.assert_allclose(outputs["y"], expected)
    np.testing.assert_array_equal(outputs["early"], values["relu"])


def test_values_are_float64_whatever_comes_in() -> None:
    """Integers, float32 and lists are inputs too."""
    graph = Graph((X, _relu("a", "x")), {"y": "a"})

    for x in ([[1, -2, 3]], np.array([[1, -2, 3]], np.int8), np.float32([[1, -2, 3]])):
        value = evaluate(graph, {"x": x})["y"]
        assert value.dtype == np.float64
        assert value.tolist() == [[1.0, 0.0, 3.0]]


def test_an_input_that_is_an_output_passes_through() -> None:
    """A graph may hand a value on untouched."""
    graph = Graph((X,), {"y": "x"})

    assert evaluate(graph, {"x": [[1.0, 2.0, 3.0]]})["y"].tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"inputs are \['x', 'z'\]; missing \['x', 'z'\], unknown \[\]"),
        ({"x": 0, "z": 0, "q": 0}, r"unknown \['q'\]"),
        ({"x": np.ones((2, 4)), "z": np.ones((2, 3))}, r"'x' must be \(batch, 3\)"),
        ({"x": np.ones(3), "z": np.ones((2, 3))}, r"got shape \(3,\)"),
        ({"x": 1.0, "z": np.ones((2, 3))}, r"got shape \(\)"),
        ({"x": np.ones((2, 3)), "z": np.ones((1, 3))}, r"batch size: {'x': 2, 'z': 1}"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict, message: str) -> None:
    """Missing, unknown, misshapen or of different batch sizes: the message names the input."""
    graph = Graph((X, GraphNode("z", Input((3,))), GraphNode("a", Add(), ("x", "z"))), {"y": "a"})

    with pytest.raises(GraphError, match=message):
        evaluate(graph, inputs)


def test_an_input_of_single_values_needs_its_batch_axis() -> None:
    """A scalar per sample is an input of shape (batch,), not a number."""
    graph = Graph((GraphNode("x", Input(())),), {"y": "x"})

    assert evaluate(graph, {"x": [1.0, 2.0]})["y"].tolist() == [1.0, 2.0]
    with pytest.raises(GraphError, match=r"'x' must be \(batch\), got shape \(\)"):
        evaluate(graph, {"x": 1.0})


def test_prune_keeps_what_outputs_need_and_every_input() -> None:
    """A branch that no output depends on goes; an input stays even if it is unused."""
    nodes = (X, GraphNode("unused", Input((2,))), _relu("a", "x"), _relu("b", "x"), _relu("c", "a"))

    assert [node.name for node in prune(nodes, {"y": "c"})] == ["x", "unused", "a", "c"]


def test_unique_names_count_up() -> None:
    """A name that is taken gets the first number that is free."""
    assert unique_name("a", []) == "a"
    assert unique_name("a", ["a", "a_1", "a_3"]) == "a_2"


def test_parameters_that_are_not_finite_are_found() -> None:
    """The message names the layer, the field and how many values are bad."""
    weight = RNG.normal(size=(2, 3))
    check_finite((X, GraphNode("dense", Affine(weight), ("x",))))
    weight[0, 1], weight[1, 1] = np.nan, np.inf

    with pytest.raises(GraphError, match=r"'dense' \(Affine\): 2 of 6 values of its weight"):
        check_finite((X, GraphNode("dense", Affine(weight), ("x",))))


class Unregistered(Layer):
    """A layer that no registry knows."""

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of its input."""
        return shapes[0]

    def evaluate(self, *values: np.ndarray) -> np.ndarray:
        """Its input."""
        return values[0]


NORM = BatchNormalization(*RNG.uniform(0.5, 1.0, (4, 3)), 1e-3, 0)


@pytest.mark.parametrize(
    ("layer", "allowed", "message"),
    [
        (Unregistered(), (), r"layer 'a' \(Unregistered\): its kind is not registered"),
        (Identity(), (IMPORTED,), r"layer 'a' \(Identity\): identities must have been dropped"),
        (Activation("linear"), (IMPORTED, SPIKING_READY), "identities must have been dropped"),
        (NORM, (IMPORTED, IDENTITY_FREE), "batch normalisation must have been folded"),
        (Activation("relu"), STAGES, ""),
    ],
)
def test_each_stage_refuses_what_its_grammar_forbids(
    layer: Layer, allowed: tuple[Stage, ...], message: str
) -> None:
    """A layer passes the stages that allow it, and no others."""
    graph = Graph((X, GraphNode("a", layer, ("x",)), _relu("b", "a")), {"y": "b"})

    for stage in STAGES:
        if stage in allowed:
            stage.check(graph)
        else:
            with pytest.raises(GraphError, match=message) as caught:
                stage.check(graph)
            assert str(caught.value).startswith(f"the graph is not {stage.name}:")


def test_a_stage_lists_every_offender() -> None:
    """One error for all the nodes that a stage forbids, not the first alone."""
    graph = Graph((X, GraphNode("a", Identity(), ("x",)), GraphNode("b", NORM, ("a",))), {"y": "b"})

    with pytest.raises(GraphError, match=r"(?s)'a' \(Identity\).*'b' \(BatchNormalization\)"):
        CANONICAL.check(graph)
