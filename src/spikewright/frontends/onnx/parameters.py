"""The initializers of ONNX models, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require

_FLOATS = ("FLOAT", "DOUBLE", "FLOAT16")
_BIASED = ("Conv", "ConvTranspose", "Gemm")
_SETTINGS = ("Resize", "Upsample", "Pad", "Clip", "Range", "ConstantOfShape", "QuantizeLinear",
             "DequantizeLinear")  # fmt: skip


def parameters(model: Any) -> dict[str, NDArray]:
    """Those of real numbers, but single ones and those that set how an operator works."""
    helper = require("onnx.numpy_helper")
    return {tensor.name: np.array(helper.to_array(tensor)) for tensor in _tensors(model)}


def frozen(model: Any) -> set[str]:
    """None: an ONNX model does not say what was trained."""
    return set()


def copied(model: Any, values: Mapping[str, NDArray]) -> Any:
    """A copy of a model with other values; the model is left as it is."""
    return write(model, values)


def write(model: Any, values: Mapping[str, NDArray]) -> Any:
    """A new model with these values."""
    onnx, helper = require("onnx"), require("onnx.numpy_helper")
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for tensor in _tensors(made):
        if tensor.name in values:
            value = values[tensor.name].astype(helper.to_array(tensor).dtype)
            tensor.CopyFrom(helper.from_array(value, tensor.name))
    return made


def _tensors(model: Any) -> list[Any]:
    kinds, nodes = require("onnx").TensorProto, model.graph.node
    floats = [getattr(kinds, name) for name in _FLOATS]
    settings = {name for node in nodes if node.op_type in _SETTINGS for name in node.input}
    biases = {node.input[2] for node in nodes if node.op_type in _BIASED and len(node.input) > 2}
    return [
        tensor
        for tensor in model.graph.initializer
        if tensor.data_type in floats
        and tensor.name not in settings
        and (_size(tensor) > 1 or tensor.name in biases)
    ]


def _size(tensor: Any) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64))
