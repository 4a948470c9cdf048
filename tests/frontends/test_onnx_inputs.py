"""Inputs whose batch is not on axis 0, and inputs without axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_helpers import agrees, close, feed_of, model, node, random

import spikewright as sw
from spikewright.errors import ReadError
from spikewright.frontends.onnx import read
from spikewright.graph import evaluate


def stateful(batch: Any, states: list[Any]) -> onnx.ModelProto:
    """A step of a network with two states side by side, which come first in their input."""
    nodes = [
        node("Gather", "state zero", "h", "hidden", axis=0),
        node("Gather", "state one", "c", "cell", axis=0),
        node("MatMul", "x w", "g", "gates"),
        node("Add", "g h", "sum"),
        node("Tanh", "sum", "new"),
        node("Mul", "new c", "y", "product"),
        node("Unsqueeze", "new axes", "n1"),
        node("Unsqueeze", "y axes", "y1"),
        node("Concat", "n1 y1", "states", "states", axis=0),
    ]
    weights = {
        "zero": np.array(0), "one": np.array(1), "axes": np.array([0]), "w": random(4, 3),
    }  # fmt: skip
    return model(nodes, {"x": [batch, 4], "state": states}, ["y", "states"], weights)


@pytest.mark.parametrize(
    ("batch", "states"),
    [("n", [2, "n", 3]), (1, [2, 1, 3]), ("n", [2, "rows", 3]), (None, [2, None, 3])],
)
def test_the_name_of_the_batch_axis_says_where_it_is(batch: Any, states: list[Any]) -> None:
    """It is fed with the batch first, and runs as the file has it; outputs have it first too."""
    source = agrees(stateful(batch, states), independent=False)
    assert source.graph.shapes["state"] == (2, 3)
    made = source.graph.shapes[source.graph.outputs["states"]]
    assert made == ((2, 1, 3) if batch == 1 else (2, 3))  # of one sample nothing is set apart
    feed = feed_of(source)
    values = evaluate(source.graph, feed)
    h, c = feed["state"][:, 0], feed["state"][:, 1]
    new = np.tanh(feed["x"] @ random(4, 3) + h)
    close(values["y"], new * c)
    close(values["states"], np.stack([new, new * c], 1).reshape(-1, *made))
    assert sw.convert(stateful(batch, states)).verify()


def test_one_sample_without_any_batch_axis() -> None:
    """In a file of one sample an input may have no axis for it at all."""
    nodes = [node("MatMul", "x w", "g"), node("Add", "g bias", "y", "it")]
    proto = model(nodes, {"x": [1, 4], "bias": [2, 3]}, ["y"], {"w": random(4, 3)})
    source = agrees(proto, independent=False)
    assert source.graph.shapes["bias"] == (2, 3)


def test_inputs_that_share_no_batch_are_refused() -> None:
    """Two sizes that are fixed and differ, and no name that says which is the batch."""
    with pytest.raises(ReadError, match=r"different first axes, {'x': 5, 'state': 2}"):
        read(stateful(5, [2, 5, 3]))


def rated() -> onnx.ModelProto:
    """Two networks, one for each sampling rate, of which a number without axes chooses."""

    def branch(function: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(function, TensorProto.FLOAT, None)
        return helper.make_graph([node(function, "x", function)], function, [], [out])

    nodes = [
        node("Equal", "rate fast", "quick"),
        node("If", "quick", "y", "choice", then_branch=branch("Relu"), else_branch=branch("Tanh")),
    ]
    proto = model(nodes, {"x": ["n", 4]}, ["y"], {"fast": np.array(16000)})
    proto.graph.input.append(helper.make_tensor_value_info("rate", TensorProto.INT64, []))
    return proto


@pytest.mark.parametrize(("rate", "function"), [(16000, "relu"), (8000, "tanh")])
def test_a_number_for_all_samples_is_a_constant(rate: int, function: str) -> None:
    """Its value is that of the example, and it is no input any more."""
    source = read(rated(), {"x": random(1, 4), "rate": rate})
    assert source.graph.inputs == ("x",)
    assert source.graph[source.graph.outputs["y"]].layer.function == function
    x = {"x": random(3, 4)}
    close(evaluate(source.graph, x)["y"], source.call(x)["y"])
    with pytest.raises(ReadError, match=r"'rate' has no axes.*example_input={'rate': ...}"):
        read(rated())
