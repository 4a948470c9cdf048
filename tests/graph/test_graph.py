"""Graphs: what makes one, what it says about itself, what it computes, and its stages."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright.errors import GraphError
from spikewright.graph import (
    IDENTITY_FREE,
    IMPORTED,
    SPIKING_READY,
    STAGES,
    Graph,
    Node,
    Stage,
    check_finite,
    evaluate,
    evaluate_all,
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
X = Node("x", Input((3,)))


def _relu(name: str, *inputs: str) -> Node:
    return Node(name, Activation("relu"), inputs)


MALFORMED = {
    "duplicate": ((X, _relu("x", "x")), {"y": "x"}, {}, "two layers are named 'x'"),
    "order": ((_relu("a", "x"), X), {"y": "a"}, {}, r"layer 'a' reads \['x'\]"),
    "missing": ((X, _relu("a", "b")), {"y": "a"}, {}, r"reads \['b'\], which no earlier"),
    "arity": ((X, _relu("a", "x", "x")), {"y": "a"}, {}, r"'a' \(Activation\) has 2 inputs.*1"),
    "no inputs": ((X, Node("a", Add())), {"y": "a"}, {}, "0 inputs, it takes one or more"),
    "input reads": ((X, Node("a", Input((3,)), ("x",))), {"y": "a"}, {}, "it takes 0"),
    "no outputs": ((X,), {}, {}, "no outputs"),
    "lost output": ((X,), {"y": "z"}, {}, r"outputs \['z'\] are not made"),
    "alias of a node": ((X,), {"y": "x"}, {"x": "x"}, "'x' -> 'x'"),
    "alias to nowhere": ((X,), {"y": "x"}, {"a": "b"}, "'a' -> 'b'"),
    "shapes": (
        (X, Node("dense", Affine(np.ones((2, 4))), ("x",))), {"y": "dense"}, {},
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
        Node("image", Input((2, 5, 5))),
        Node(
            "conv",
            Convolution(
                RNG.normal(size=(4, 2, 3, 3)), RNG.normal(size=4), (2, 2),
                ((1, 1), (1, 1)), (1, 1),
            ),
            ("image",),
            "conv", "Conv2d",
        ),
        Node("relu", Activation("relu"), ("conv",)),
        Node("leaky", Activation("leaky_relu", {"negative_slope": 0.1}), ("conv",)),
        Node("sum", Add(), ("relu", "leaky", "relu")),
        Node("flat", Reshape((36,)), ("sum",)),
        Node("scores", Affine(RNG.normal(size=(3, 36))), ("flat",)),
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


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"inputs are \['x', 'z'\]; missing \['x', 'z'\], unknown \[\]"),
        ({"x": 0, "z": 0, "q": 0}, r"unknown \['q'\]"),
        ({"x": np.ones((2, 4)), "z": np.ones((2, 3))}, r"'x' must have shape \(batch, \*\(3,\)\)"),
        ({"x": np.ones(3), "z": np.ones((2, 3))}, r"got \(3,\)"),
        ({"x": 1.0, "z": np.ones((2, 3))}, r"got \(\)"),
        ({"x": np.ones((2, 3)), "z": np.ones((1, 3))}, r"batch size: {'x': 2, 'z': 1}"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict, message: str) -> None:
    """Missing, unknown, misshapen or of different batch sizes: the message names the input."""
    graph = Graph((X, Node("z", Input((3,))), Node("a", Add(), ("x", "z"))), {"y": "a"})

    with pytest.raises(GraphError, match=message):
        evaluate(graph, inputs)


def test_parameters_that_are_not_finite_are_found() -> None:
    """The message names the layer, the field and how many values are bad."""
    weight = RNG.normal(size=(2, 3))
    check_finite((X, Node("dense", Affine(weight), ("x",))))
    weight[0, 1], weight[1, 1] = np.nan, np.inf

    with pytest.raises(GraphError, match=r"'dense' \(Affine\): 2 of 6 values of its weight"):
        check_finite((X, Node("dense", Affine(weight), ("x",))))


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
    ("layer", "strictest", "message"),
    [
        (Unregistered(), None, r"layer 'a' \(Unregistered\): its kind is not registered"),
        (Identity(), IMPORTED, r"layer 'a' \(Identity\): identities must have been dropped"),
        (Activation("linear"), IMPORTED, "identities must have been dropped"),
        (NORM, IDENTITY_FREE, "batch normalisation must have been folded"),
        (Activation("relu"), SPIKING_READY, ""),
    ],
)
def test_each_stage_refuses_what_its_grammar_forbids(
    layer: Layer, strictest: Stage | None, message: str
) -> None:
    """A layer passes the stages up to the strictest that allows it, and none after."""
    graph = Graph((X, Node("a", layer, ("x",)), _relu("b", "a")), {"y": "b"})
    allowed = STAGES[: 1 + STAGES.index(strictest)] if strictest else ()

    for stage in STAGES:
        if stage in allowed:
            stage.check(graph)
        else:
            with pytest.raises(GraphError, match=message) as caught:
                stage.check(graph)
            assert str(caught.value).startswith(f"the graph is not {stage.name}:")
