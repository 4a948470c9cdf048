"""How constants reach operators: weights, small subgraphs, arithmetic over shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_helpers import NEWEST, agrees, close, model, node, random

from spikewright.errors import GraphError
from spikewright.frontends.onnx import read
from spikewright.graph.layers import Reshape

WEIGHT, BIAS = random(4, 3, 3, 3), random(4)


def conv_model(*before: Any, weights: dict[str, Any]) -> onnx.ModelProto:
    """One convolution whose weights `w` come from the given nodes or weights."""
    nodes = [*before, node("Conv", "x w b", "y")]
    return model(nodes, {"x": ["n", 3, 6, 6]}, ["y"], {"b": BIAS, **weights})


def test_initialisers_that_are_also_inputs_are_weights() -> None:
    """Up to IR version 3 every initialiser is listed among the inputs; it is no data."""
    proto = conv_model(weights={"w": WEIGHT})
    for name, value in (("w", WEIGHT), ("b", BIAS)):
        proto.graph.input.append(helper.make_tensor_value_info(name, 1, value.shape))
    proto.ir_version = 3
    assert agrees(proto).graph.inputs == ("x",)


def test_weights_as_constant_nodes() -> None:
    """A Constant node's tensor is as good as an initialiser."""
    constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(WEIGHT))
    source = agrees(conv_model(constant, weights={}))
    np.testing.assert_array_equal(source.graph["y"].layer.arrays()["weight"], WEIGHT)


def test_weights_behind_identities_and_small_subgraphs() -> None:
    """Constants are followed through operators that can be computed beforehand."""
    before = [
        node("Identity", "w0", "w1"),
        node("Transpose", "w1", "w2", perm=[3, 2, 0, 1]),
        node("Mul", "w2 half", "w3"),
        node("Cast", "w3", "w", to=TensorProto.FLOAT),
    ]
    weights = {"w0": WEIGHT.transpose(2, 3, 1, 0), "half": np.array(0.5, np.float32)}
    source = agrees(conv_model(*before, weights=weights))
    close(source.graph["y"].layer.arrays()["weight"], WEIGHT / 2)
    assert len(source.graph) == 2  # nothing of the constant part is left


def view_chain(opset: int) -> list[Any]:
    """A flatten as the exporters write `x.view(x.size(0), -1)`."""
    axes = {"axes": [0]} if opset < 13 else {}
    more = "" if opset < 13 else " zero1"
    return [
        node("Relu", "x", "r"),
        node("Shape", "r", "shape"),
        node("Gather", "shape zero", "first", axis=0),
        node("Unsqueeze", "first" + more, "first1", **axes),
        node("Unsqueeze", "minus" + more, "minus1", **axes),
        node("Concat", "first1 minus1", "target", axis=0),
        node("Reshape", "r target", "y"),
    ]


CHAIN_WEIGHTS = {"zero": np.array(0), "minus": np.array(-1), "zero1": np.array([0])}


@pytest.mark.parametrize("opset", [9, 11, 13, NEWEST])
def test_flatten_by_shape_arithmetic(opset: int) -> None:
    """Shape, Gather, Unsqueeze, Concat, Reshape with a free batch is a plain Reshape."""
    proto = model(view_chain(opset), {"x": ["n", 3, 4, 5]}, ["y"], CHAIN_WEIGHTS, opset)
    source = agrees(proto)
    assert source.graph["y"].layer == Reshape((60,))
    assert agrees(proto, batch=1).graph.shapes == source.graph.shapes


def test_reshape_to_a_computed_number_of_features() -> None:
    """What follows from the free batch size by arithmetic is computed as well."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Slice", "shape zero one", "batch"),
        node("Size", "x", "size"),
        node("Div", "size batch", "features"),
        node("Concat", "batch features", "target", axis=0),
        node("Reshape", "x target", "y"),
    ]
    weights = {"zero": np.array([0]), "one": np.array([1])}
    source = agrees(model(nodes, {"x": ["n", 3, 4, 5]}, ["y"], weights))
    assert source.graph.shapes["y"] == (60,)


def test_constant_expanded_to_the_batch() -> None:
    """A constant repeated for every sample is one constant."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Expand", "c shape", "all"),
        node("Add", "x all", "y"),
    ]
    source = agrees(model(nodes, {"x": ["n", 3, 4]}, ["y"], {"c": random(1, 3, 1)}))
    assert source.graph["y"].layer.arrays()["shift"].shape == (3, 4)


def test_nan_weights_are_a_graph_error() -> None:
    """Parameters that are not finite are reported with the layer's name."""
    weight = WEIGHT.copy()
    weight[0, 0, 0, :2] = np.nan
    with pytest.raises(GraphError, match=r"'y' \(Convolution\): 2 of 108 values of its weight"):
        read(conv_model(weights={"w": weight}))


def test_outputs_that_are_left_out() -> None:
    """An output without a name shifts no other, of constants and of signals; and an input that is
    not given needs no node that leaves an output out.
    """
    nodes = [
        node("Unique", "x", "u -", "unused"),
        node("Split", "c sizes", "- right", axis=0),
        node("Split", "x sizes", "- second", axis=1),
        node("Resize", "second - - target", "same"),
        node("Add", "same right", "y"),
    ]
    weights = {"c": random(5), "sizes": np.array([2, 3])}
    weights["target"] = np.array([3, 3])
    source = agrees(model(nodes, {"x": [3, 5]}, ["y"], weights), independent=False)
    shift = source.graph["y"].layer.arrays()["shift"]
    np.testing.assert_array_equal(shift, weights["c"][2:])
    assert [n.name for n in source.graph] == ["x", "second:1", "same", "y"]
