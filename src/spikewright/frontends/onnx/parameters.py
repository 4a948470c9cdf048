"""Tensors of a model: parameters by name, half precision widened, integers that stand for numbers.

An integer of a quantised tensor stands for `(integer - zero) scale`. Models of half precision
become those of single precision, so that layers can be compared exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import DamagedFileError


def array_of(tensor: Any, place: str) -> NDArray:
    """The values of a tensor; raises `DamagedFileError` where its data does not fit its shape."""
    try:
        array: NDArray = require("onnx").numpy_helper.to_array(tensor)
    except Exception as error:  # whatever NumPy says about bytes that do not fit
        raise DamagedFileError(
            f"{place}: the tensor {tensor.name!r} cannot be decoded ({error}). "
            "Export the model again."
        ) from error
    return array


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


LIMITS = {
    "uint2": (0, 3), "int2": (-2, 1), "uint4": (0, 15), "int4": (-8, 7), "uint8": (0, 255),
    "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767),
}  # fmt: skip
"""The least and the largest integer of each type that values are rounded to."""


def dequantize(
    x: NDArray, scale: NDArray, zero: NDArray | None = None, axis: int = 1, block: int = 0
) -> NDArray:
    """`(x - zero) scale` in the scale's type; see `spread` for their shapes."""
    factor = spread(scale, x.shape, axis, block)
    shift = 0 if zero is None else spread(zero, x.shape, axis, block).astype(scale.dtype)
    return np.asarray((x.astype(scale.dtype) - shift) * factor, scale.dtype)


def quantize(x: NDArray, scale: NDArray, zero: NDArray, axis: int = 1, block: int = 0) -> NDArray:
    """`x / scale + zero`, rounded to even and kept within the limits of the zero's type."""
    low, high = limits(zero)
    rounded = np.rint(x / spread(scale, x.shape, axis, block))
    shifted = rounded + spread(zero, x.shape, axis, block).astype(np.float64)
    return np.clip(shifted, low, high).astype(zero.dtype)


def limits(zero: NDArray) -> tuple[int, int]:
    """The least and the largest integer that a zero's type holds; raises ValueError for others."""
    if zero.dtype.name not in LIMITS:
        raise ValueError(f"rounding to {zero.dtype.name} is not known")
    return LIMITS[zero.dtype.name]


def spread(value: NDArray, shape: tuple[int, ...], axis: int, block: int = 0) -> NDArray:
    """Scales or zeros as they broadcast to values of a shape.

    One number (of shape `()` or `(1,)`), one for each entry of an axis, or one for each `block` of
    entries. Raises ValueError for anything else.
    """
    if value.size == 1:
        return value.reshape(())
    axis %= len(shape)
    if block:
        wide = np.repeat(value, block, axis)[(slice(None),) * axis + (slice(shape[axis]),)]
        if wide.shape == shape:
            return wide
    elif value.shape == (shape[axis],):
        return value.reshape([-1 if k == axis else 1 for k in range(len(shape))])
    raise ValueError(
        f"scales or zeros of shape {value.shape} do not fit values of shape {shape} along axis "
        f"{axis}{f' in blocks of {block}' if block else ''}"
    )


def evaluated_dequantize(
    self: Any, x: NDArray, scale: NDArray, zero: NDArray | None = None, **settings: Any
) -> tuple[NDArray, ...]:
    """DequantizeLinear for ONNX's reference evaluator."""
    block = settings.get("block_size") or 0
    return (dequantize(x, scale, zero, settings.get("axis", 1), block),)


def evaluated_quantize(
    self: Any, x: NDArray, scale: NDArray, zero: NDArray | None = None, **settings: Any
) -> tuple[NDArray, ...]:
    """QuantizeLinear for ONNX's reference evaluator."""
    block = settings.get("block_size") or 0
    zeros = zero_of(scale, zero, settings)
    return (quantize(x, scale, zeros, settings.get("axis", 1), block),)


def zero_of(scale: NDArray, zero: NDArray | None, settings: Mapping[str, Any]) -> NDArray:
    """The zero that a QuantizeLinear is given, or zeros of the type that it says."""
    if zero is not None:
        return zero
    given = settings.get("output_dtype")
    to_dtype = require("onnx").helper.tensor_dtype_to_np_dtype
    return np.zeros(scale.shape, to_dtype(given) if given else np.uint8)


_FLOATS = ("FLOAT", "DOUBLE", "FLOAT16")
_BIASED = ("Conv", "ConvTranspose", "Gemm")
_SETTINGS = ("Resize", "Upsample", "Pad", "Clip", "Range", "ConstantOfShape", "QuantizeLinear",
             "DequantizeLinear")  # fmt: skip


def parameters(model: Any) -> dict[str, NDArray]:
    """Those of real numbers, but single ones and those that set how an operator works."""
    helper = require("onnx.numpy_helper")
    return {tensor.name: np.array(helper.to_array(tensor)) for tensor in _parameters_of(model)}


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
    for tensor in _parameters_of(made):
        if tensor.name in values:
            value = values[tensor.name].astype(helper.to_array(tensor).dtype)
            tensor.CopyFrom(helper.from_array(value, tensor.name))
    return made


def _parameters_of(model: Any) -> list[Any]:
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
