"""Choices by values of the data, as exporters write piecewise functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_helpers import agrees, close, model, node, random

from spikewright.frontends.onnx import read
from spikewright.graph import evaluate

T = np.float32(0.3)


@pytest.mark.parametrize("operator", ["Greater", "Less", "GreaterOrEqual", "LessOrEqual"])
@pytest.mark.parametrize("operands", ["x t", "t x", "x z", "x c"])
def test_comparisons(operator: str, operands: str) -> None:
    """Signals are compared with each other and with constants, whichever stands first."""
    nodes = [node(operator, operands, "b"), node("Cast", "b", "y", to=TensorProto.FLOAT)]
    inputs = {"x": ["n", 3, 4], **({"z": ["n", 1, 4]} if "z" in operands else {})}
    agrees(model(nodes, inputs, ["y"], {"t": T, "c": random(3, 1)}))


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_equal_values_decide_as_the_standard_says(value: float) -> None:
    """At the threshold itself `>` is false and `>=` is true."""
    for operator, expected in (
        ("Greater", 0.0), ("Less", 0.0), ("GreaterOrEqual", 1.0), ("LessOrEqual", 1.0),
    ):  # fmt: skip
        nodes = [node(operator, "x t", "b"), node("Cast", "b", "y", to=TensorProto.FLOAT)]
        source = read(model(nodes, {"x": ["n", 1]}, ["y"], {"t": np.float32(value)}))
        assert evaluate(source.graph, {"x": np.full((1, 1), value)})["y"] == expected


@pytest.mark.parametrize("choice", ["x z", "x t", "t x", "t u", "x zero", "zero x", "zero zero"])
def test_choices(choice: str) -> None:
    """Between signals and constants in either place."""
    nodes = [
        node("Greater", "x t", "above"),
        node("Less", "x u", "below"),
        node("And", "above below", "inside"),
        node("Not", "inside", "outside"),
        node("Or", "outside mask", "chosen"),
        node("Where", f"chosen {choice}", "w"),
        node("Add", "w z", "y"),
    ]
    weights = {"t": np.float32(-0.5), "u": np.float32(0.7), "zero": np.float32(0),
               "mask": random(4) > 0}  # fmt: skip
    agrees(model(nodes, {"x": ["n", 3, 4], "z": ["n", 3, 4]}, ["y"], weights))


@pytest.mark.parametrize("low", [-np.inf, np.finfo(np.float32).min])
def test_a_mask_of_minus_infinity(low: float) -> None:
    """Scores that a condition hides have no weight, from data or from constants."""
    nodes = [
        node("Greater", "x t", "b"),
        node("Where", "b x low", "masked", "masked"),
        node("Softmax", "masked", "y", axis=-1),
    ]
    weights = {"t": np.float32(-0.2), "low": np.float32(low)}
    proto = model(nodes, {"x": ["n", 3, 6]}, ["y"], weights)
    source = read(proto)
    x = random(2, 3, 6, seed=1)
    close(evaluate(source.graph, {"x": x})["y"], source.activations({"x": x})["y"])
    assert "masked" not in source.activations({"x": x})


def test_truth_values_are_values_like_any_other() -> None:
    """Ones and zeros: they are joined, compared, chosen among, and outputs."""
    nodes = [node("Greater", "x t", "b"), node("Not", "b", "c"),
             node("Concat", "b c", "d", "joined", axis=1), node("Xor", "b c", "e"),
             node("Concat", "d e", "f", axis=1), node("Cast", "f", "y", to=1)]  # fmt: skip
    agrees(model(nodes, {"x": ["n", 3]}, ["y"], {"t": T}))
    proto = model(nodes[:1], {"x": ["n", 3]}, ["b"], {"t": T})
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.BOOL
    source = read(proto)
    x = random(4, 3)
    np.testing.assert_array_equal(source.call({"x": x})["b"], evaluate(source.graph, {"x": x})["b"])


@pytest.mark.parametrize(
    ("threshold", "chosen", "smooth", "dropped"),
    [(20.0, "x", "x", True), (5.0, "x", "x", False), (20.0, "h", "x", False),
     (20.0, "x", "h", False)],
)  # fmt: skip
def test_the_choice_of_exported_softplus(
    threshold: float, chosen: str, smooth: str, dropped: bool
) -> None:
    """PyTorch writes softplus as a choice that changes values by rounding alone: it is dropped.
    A choice that would change them, or is between other values, stays.
    """
    nodes = [
        node("Tanh", "x", "h", "h"),
        node("Softplus", smooth, "s", "s"),
        node("Greater", "x t", "c", "greater"),
        node("Where", f"c {chosen} s", "y", "choice"),
    ]
    source = agrees(model(nodes, {"x": ("n", 3)}, ["y"], {"t": np.float32(threshold)}))
    assert ("greater" not in source.graph) is dropped


@pytest.mark.parametrize("taken", [True, False])
def test_a_branch_by_a_constant_condition(taken: bool) -> None:
    """Exporters ask for shapes at run time; where the answer is known, one branch is the model."""

    def graph(name: str, nodes: list[Any], output: str) -> Any:
        info = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        info.type.tensor_type.shape.SetInParent()
        half = numpy_helper.from_array(np.float32(0.5), f"{name} half")
        return helper.make_graph(nodes, name, [], [info], [half])

    then = graph("a", [node("Relu", "r", "p"), helper.make_node("Mul", ["p", "a half"], ["q"])],
                 "q")  # fmt: skip
    other = graph("b", [node("Tanh", "r", "u", "inner")], "u")
    nodes = [
        node("Neg", "x", "r"),
        node("Shape", "x", "shape", start=1, end=2),
        node("Equal", "shape three", "known"),
        node("If", "known", "y", "choose", then_branch=then, else_branch=other),
    ]
    weights = {"three": np.array([3 if taken else 4])}
    proto = model(nodes, {"x": ["n", 3]}, ["y"], weights)
    source = agrees(proto, independent=False)
    kinds = [n.source_kind for n in source.graph if n.source_kind]
    assert kinds == (["Neg", "Relu", "Mul"] if taken else ["Neg", "Tanh"])
    x = random(2, 3)
    close(source.activations({"x": x})[source.graph.outputs["y"]],
          np.maximum(-x, 0) / 2 if taken else np.tanh(-x))  # fmt: skip
