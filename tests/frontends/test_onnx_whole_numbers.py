"""Whole numbers, truth values and comparisons in ONNX models."""

from __future__ import annotations

import io
import warnings
from itertools import cycle
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx_helpers import agrees, close, model, node, random
from torch import nn

import spikewright as sw
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends.onnx import OnnxNode, read, registry
from spikewright.graph import evaluate
from spikewright.graph.layers import ScaleShift

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


TABLE = random(7, 3)


def whole(
    *nodes: Any, element: int = TensorProto.INT64, shape: tuple[Any, ...] = ("n", 5), **weights: Any
) -> onnx.ModelProto:
    """A model of one input of whole numbers, and one output of real ones."""
    read_by = {name for n in nodes for name in n.input}
    given = {name: value for name, value in {"t": TABLE, **weights}.items() if name in read_by}
    proto = model(nodes, {"x": shape}, ["y"], given, opset=18, element=element)
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return proto


def numbers(*shape: int, rows: int = 7, seed: int = 0) -> NDArray:
    """Seeded numbers of rows."""
    return np.random.default_rng(seed).integers(0, rows, shape)


def equals(proto: onnx.ModelProto, x: NDArray) -> None:
    """The graph computes what onnxruntime makes of the file, of these numbers and of drawn ones."""
    source = read(proto)
    (found,) = evaluate(source.graph, {"x": x}).values()
    (expected,) = source.call({"x": x}).values()
    assert np.unique(expected).size > 1
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert max(sw.convert(proto).verify().values()) < 1e-6


@pytest.mark.parametrize("element", [TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32])
def test_numbers_that_are_cast_are_real(element: int) -> None:
    """Images of bytes, moved about and cast."""
    proto = whole(
        node("Transpose", "x", "m", perm=[0, 2, 1]),
        node("Cast", "m", "r", to=1),
        node("Mul", "r scale", "s"),
        node("MatMul", "s w", "y"),
        element=element, shape=("n", 3, 4), scale=np.float32(1 / 255), w=random(3, 2),
    )  # fmt: skip
    equals(proto, numbers(4, 3, 4, rows=100))
    assert sw.convert(proto, spiking=True).trace.guarantee == "exact"


def test_bytes_of_a_quantised_model_stand_for_numbers() -> None:
    """DequantizeLinear of an input is exact: nothing is rounded there."""
    nodes = [node("DequantizeLinear", "x s z", "d"), node("MatMul", "d w", "y")]
    proto = whole(
        *nodes, element=TensorProto.UINT8, s=np.float32(0.1), z=np.uint8(7), w=random(5, 2)
    )
    equals(proto, numbers(4, 5, rows=256))
    assert read(proto).notes == ()


LOOKED_UP: dict[str, list[Any]] = {
    "rows": [node("Gather", "t x", "y", "it")],
    "moved": [node("Unsqueeze", "x last", "u"), node("Concat", "u u", "c", axis=2),
              node("Gather", "t c", "y", "it")],
    "counted on": [node("Add", "x one", "more"), node("Min", "more six", "least"),
                   node("Gather", "t least", "y", "it")],
    "one-hot": [node("OneHot", "x seven zeros", "h", "it"), node("MatMul", "h t", "y")],
    "one-hot before": [node("OneHot", "x seven zeros", "h", "it", axis=1),
                       node("ReduceSum", "h last", "y")],
    "compared": [node("Equal", "x three", "e", "it"), node("Cast", "e", "y", to=1)],
    "larger": [node("Greater", "x three", "e", "it"), node("Cast", "e", "y", to=1)],
    "positions": [node("Equal", "x three", "e"), node("Not", "e", "ne"),
                  node("Cast", "ne", "w", to=7), node("CumSum", "w one", "sums"),
                  node("Mul", "sums w", "p"), node("Gather", "t p", "y", "it")],
    "numbers of numbers": [node("Gather", "again x", "z"), node("Gather", "t z", "y", "it")],
    "of each sample": [node("Shape", "x", "n", start=0, end=1),
                       node("Concat", "n wide", "shape", axis=0),
                       node("Expand", "row shape", "rows"),
                       node("GatherElements", "rows x", "y", "it", axis=1)],
    "chosen": [node("Greater", "x three", "e"), node("Where", "e x three", "c"),
               node("Gather", "t c", "y", "it")],
}  # fmt: skip
MORE = {
    "last": np.array([-1]), "one": np.array(1), "six": np.array(6), "seven": np.array(7),
    "zeros": np.float32([0, 1]), "three": np.array(3), "again": np.array([3, 1, 6, 0, 2, 5, 4]),
    "wide": np.array([7]), "row": random(1, 7),
}  # fmt: skip


@pytest.mark.parametrize(("way", "batch"), list(zip(LOOKED_UP, cycle(["n", 1, 3]), strict=False)))
def test_rows_are_looked_up_by_whole_numbers(way: str, batch: Any) -> None:
    """Whatever is made of them on the way is the same of whole numbers as of real ones."""
    equals(whole(*LOOKED_UP[way], shape=(batch, 5), **MORE), numbers(3, 5))


REFUSED: dict[str, tuple[list[Any], str]] = {
    "division": ([node("Div", "x two", "d", "it"), node("Gather", "t d", "y")], "whole numbers"),
    "remainder": ([node("Mod", "x two", "d", "it"), node("Gather", "t d", "y")], "it jumps"),
    "columns": ([node("Gather", "t x", "y", "it", axis=1)], "Transpose it"),
    "real numbers": (
        [node("Cast", "x", "r", to=1), node("Equal", "r half", "e", "it"),
         node("Cast", "e", "y", to=1)],
        "truth values from the data",
    ),
    "bytes of numbers": (
        [node("Cast", "x", "b", "it", to=TensorProto.UINT8), node("Cast", "b", "n", to=7),
         node("Gather", "t n", "y")],
        "numbers that UINT8 does not hold become others",
    ),
    "rounding": (
        [node("Cast", "x", "r", to=1), node("Mul", "r half", "h"),
         node("Cast", "h", "w", "it", to=7), node("Gather", "t w", "y")],
        "rounds to INT64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_jumps_is_refused(case: str) -> None:
    """Operators that do otherwise to whole numbers than to real ones, with the way out."""
    nodes, message = REFUSED[case]
    weights = {"two": np.array(2), "half": np.float32(0.5)}
    with pytest.raises(UnsupportedLayerError, match=rf"'it'.*{message}"):
        read(whole(*nodes, **weights))


def export(module: nn.Module, given: tuple[torch.Tensor, ...], dynamo: bool) -> onnx.ModelProto:
    """What torch.onnx.export writes with a free batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters deprecate each other
        if dynamo:
            shapes = tuple({0: torch.export.Dim("batch")} for _ in given)
            settings = {"dynamo": True, "verbose": False, "dynamic_shapes": shapes}
            return torch.onnx.export(module, given, **settings).model_proto
        names = ["ids", "mask"][: len(given)]
        file, axes = io.BytesIO(), {name: {0: "batch"} for name in names}
        settings = {"dynamo": False, "input_names": names, "dynamic_axes": axes}
        torch.onnx.export(module, given, file, **settings)
    return onnx.load_model_from_string(file.getvalue())


@pytest.mark.parametrize("wrong", [0.5, 300.0, -1.0])
def test_numbers_that_the_model_does_not_take_are_errors(wrong: float) -> None:
    """They are not rounded, and do not become others: `verify` says input, type and number."""
    nodes = [node("Cast", "x", "r", to=1), node("MatMul", "r w", "y")]
    proto = whole(*nodes, element=TensorProto.UINT8, w=random(5, 2))
    x = numbers(4, 5).astype(float)
    conversion = sw.convert(proto)
    assert conversion.verify(x)
    x[1, 2] = wrong
    with pytest.raises(ReadError, match=rf"'x' takes whole numbers \(UINT8\), got {wrong:g}"):
        conversion.verify(x)


def test_small_types_count_nothing() -> None:
    """A sum that runs over becomes another number, so that it is refused; choices are not."""
    nodes = [node("Add", "x one", "d", "it"), node("Gather", "t d", "y")]
    proto = whole(*nodes, element=TensorProto.INT32, one=np.int32(1), t=random(9, 3))
    equals(proto, numbers(4, 5))
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    with pytest.raises(UnsupportedLayerError, match=r"'it' \(Add\).*counts in UINT8"):
        read(proto)
    nodes = [node("Min", "x six", "d"), node("Cast", "d", "n", to=7), node("Gather", "t n", "y")]
    equals(whole(*nodes, element=TensorProto.UINT8, six=np.uint8(6)), numbers(4, 5, rows=99))


def test_comparisons_of_whole_numbers_hold_in_any_network() -> None:
    """They lie half between numbers, so that means which are almost whole decide them rightly."""
    nodes = [node("LessOrEqual", "x three", "e"), node("Cast", "e", "y", to=1)]
    graph = read(whole(*nodes, three=np.array(3))).graph
    x = numbers(4, 5)
    (exact,) = evaluate(graph, {"x": x}).values()
    assert (x == 3).any()
    for distance in (-0.4, 0.4):
        (near,) = evaluate(graph, {"x": x + distance}).values()
        np.testing.assert_array_equal(near, exact)


def test_a_reader_of_ones_own_takes_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of standard operators is known what they make of them."""

    def halve(call: OnnxNode) -> str:
        return call.add(ScaleShift(np.array(0.5)), call.signal(0))

    monkeypatch.setitem(registry._readers, ("example.own", "Halve"), halve)
    proto = whole(helper.make_node("Halve", ["x"], ["y"], domain="example.own"))
    proto.opset_import.append(helper.make_opsetid("example.own", 1))
    (found,) = evaluate(read(proto).graph, {"x": numbers(2, 5)}).values()
    np.testing.assert_array_equal(found, numbers(2, 5) / 2)
