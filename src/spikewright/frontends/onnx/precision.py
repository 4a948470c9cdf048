"""Half-precision models become single-precision ones, so that layers can be compared exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.onnx.tensors import array_of


def half_of(proto: Any) -> str:
    """The half precision that a model computes in, the coarser of several, "" for none."""
    types = require("onnx").TensorProto
    found = {tensor.data_type for tensor in _tensors(proto.graph)}
    found |= {value.type.tensor_type.elem_type for value in _values(proto.graph)}
    found |= {attribute.i for attribute in _casts(proto.graph)}
    names = {types.BFLOAT16: "bfloat16", types.FLOAT16: "float16"}
    return next((name for element, name in names.items() if element in found), "")


def widen(proto: Any, place: str) -> None:
    """Turn FLOAT16 and BFLOAT16 into FLOAT throughout a model, in place.

    Raises `DamagedFileError` for a tensor whose data does not fit its shape.
    """
    types = require("onnx").TensorProto
    half = (types.FLOAT16, types.BFLOAT16)
    for tensor in _tensors(proto.graph):
        if tensor.data_type in half:
            wide = array_of(tensor, place).astype(np.float32)
            tensor.CopyFrom(require("onnx").numpy_helper.from_array(wide, tensor.name))
    for value in _values(proto.graph):
        if value.type.tensor_type.elem_type in half:
            value.type.tensor_type.elem_type = types.FLOAT
    for attribute in _casts(proto.graph):
        if attribute.i in half:
            attribute.i = types.FLOAT


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    yield from (one.t for node in graph.node for one in node.attribute if one.HasField("t"))


def _values(graph: Any) -> Iterator[Any]:
    yield from (*graph.input, *graph.output, *graph.value_info)


def _casts(graph: Any) -> Iterator[Any]:
    """Attributes that name a type."""
    for node in graph.node:
        yield from (one for one in node.attribute if one.name in ("to", "dtype"))
