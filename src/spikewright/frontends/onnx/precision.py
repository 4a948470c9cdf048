"""Half-precision models become single-precision ones, so that both sides of a check are exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from spikewright._optional import require


def widen(proto: Any) -> None:
    """Turn FLOAT16 and BFLOAT16 into FLOAT throughout a model, in place."""
    types = require("onnx").TensorProto
    half = (types.FLOAT16, types.BFLOAT16)
    for tensor in proto.graph.initializer:
        _widen_tensor(tensor, half)
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        if value.type.tensor_type.elem_type in half:
            value.type.tensor_type.elem_type = types.FLOAT
    for attribute in _attributes(proto.graph):
        if attribute.name in ("to", "dtype") and attribute.i in half:
            attribute.i = types.FLOAT
        if attribute.HasField("t"):
            _widen_tensor(attribute.t, half)


def _attributes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield from node.attribute


def _widen_tensor(tensor: Any, half: tuple[int, ...]) -> None:
    if tensor.data_type in half:
        helper = require("onnx").numpy_helper
        wide = helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(helper.from_array(wide, tensor.name))
