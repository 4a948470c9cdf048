"""Constants with a row for every sample, as exported transformers are full of."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_helpers import agrees, model, node, random

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.onnx import read

ROWS = [
    node("Shape", "x", "n", start=0, end=1),
    node("Concat", "n rest", "shape", axis=0),
]
"""The shape of a constant that has a row for every sample."""
WAYS = {
    "full of one number": [node("ConstantOfShape", "shape", "c0"), node("Cast", "c0", "c1", to=1),
                           node("Add", "c1 half", "c")],
    "expanded": [node("Expand", "row shape", "c")],
    "looked up": [node("ConstantOfShape", "shape", "zeros"), node("Cast", "zeros", "ids", to=7),
                  node("Gather", "table ids", "many"), node("ReduceSum", "many last", "c",
                                                            keepdims=0)],
    "counted": [node("Range", "zero three one", "numbers"), node("Expand", "numbers shape", "ids"),
                node("Cast", "ids", "c", to=1)],
}  # fmt: skip
USES: dict[str, list[Any]] = {
    "added": [node("Add", "x c", "y", "it")],
    "subtracted from": [node("Sub", "c x", "y", "it")],
    "multiplied": [node("Mul", "c x", "y", "it")],
    "divided by": [node("Add", "c half", "d"), node("Div", "x d", "y", "it")],
    "compared": [node("Greater", "x c", "t", "it"), node("Cast", "t", "y", to=1)],
    "chosen by": [node("Greater", "c half", "t"), node("Where", "t x half", "y", "it")],
    "chosen": [node("Relu", "x", "r"), node("Greater", "r half", "t"),
               node("Where", "t x c", "y", "it")],
    "beside": [node("Concat", "c x", "y", "it", axis=1)],
    "largest of": [node("Max", "x c", "y", "it")],
    "slope": [node("PRelu", "x c", "y", "it")],
    "matrix": [node("MatMul", "x c", "y", "it")],
    "matrix before": [node("MatMul", "c x", "y", "it")],
    "mask": [node("Attention", "x x x c", "y", "it", q_num_heads=1, kv_num_heads=1)],
    "through everything": [node("Transpose", "c", "ct", perm=[0, 2, 1]), node("Tanh", "ct", "cc"),
                           node("Mul", "x cc", "s"), node("Softmax", "s", "y", "it")],
}  # fmt: skip
GIVEN = {
    "rest": np.array([3, 3]), "half": np.float32(0.5), "row": random(1, 3, 3), "zero": np.array(0),
    "three": np.array(3), "one": np.array(1), "table": random(5, 4), "last": np.array([-1]),
}  # fmt: skip


def made(nodes: list[Any], opset: int = 23) -> onnx.ModelProto:
    """A model of one input, with the constants that its nodes read."""
    read_by = {name for n in nodes for name in n.input}
    weights = {name: value for name, value in GIVEN.items() if name in read_by}
    return model(nodes, {"x": ["n", 3, 3]}, ["y"], weights, opset=opset)


@pytest.mark.parametrize(("use", "way"), list(zip(USES, cycle(WAYS), strict=False)))
def test_rows_that_are_equal_are_one_constant(use: str, way: str) -> None:
    """However a constant with a row for every sample is made, and whatever reads it."""
    nodes = [*ROWS, *WAYS[way], *USES[use]]
    if use == "mask":
        nodes[-1] = node("Attention", "x x x cm", "y", "it", q_num_heads=1, kv_num_heads=1)
        nodes.insert(-1, node("Unsqueeze", "c one1", "cm"))
        GIVEN["one1"] = np.array([1])
    source = agrees(made(nodes), independent=False)
    assert all(n.name != "c" for n in source.graph)  # nothing of it is left but an array


@pytest.mark.parametrize("use", [use for use in USES if use not in ("mask", "through everything")])
def test_rows_that_differ_are_refused(use: str) -> None:
    """A constant that tells samples apart is none, and is said to be so."""
    nodes = [
        ROWS[0],
        node("Squeeze", "n", "count"),
        node("Range", "zero count one", "samples"),
        node("Reshape", "samples apart", "column"),
        ROWS[1],
        node("Expand", "column shape", "wide"),
        node("Cast", "wide", "c", to=1),
        *USES[use],
    ]
    GIVEN["apart"] = np.array([-1, 1, 1])
    with pytest.raises(
        UnsupportedLayerError, match=r"(differs from sample to sample|mixes the samples)"
    ):
        read(made(nodes))
