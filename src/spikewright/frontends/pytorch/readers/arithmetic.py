"""Sums, products with constants, and putting values side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.reasons import PRODUCT
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import Add, Concatenate, Reshape, ScaleShift, Shape


@reads("aten.add.Tensor", "aten.add.Scalar")
def _add(call: Call) -> Value:
    return _combine(call, call["self"], 1, call["other"], call["alpha"])


@reads("aten.sub.Tensor", "aten.sub.Scalar", "aten.subtract.Tensor")
def _subtract(call: Call) -> Value:
    return _combine(call, call["self"], 1, call["other"], -call["alpha"])


@reads("aten.rsub.Tensor", "aten.rsub.Scalar")
def _subtract_from(call: Call) -> Value:
    return _combine(call, call["self"], -call["alpha"], call["other"], 1)


@reads("aten.neg.default")
def _negative(call: Call) -> Value:
    return call.add(ScaleShift(scale=np.asarray(-1.0)), call.value("self"))


@reads("aten.mul.Tensor", "aten.mul.Scalar", "aten.multiply.Tensor")
def _multiply(call: Call) -> Value:
    x, constant = call["self"], call["other"]
    if isinstance(x, Value) and isinstance(constant, Value):
        raise Cannot(*PRODUCT)
    if not isinstance(x, Value):
        x, constant = constant, x
    return _scale(call, x, call.against(constant, x))


@reads("aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor", "aten.divide.Tensor")
def _divide(call: Call) -> Value:
    if isinstance(call["other"], Value):
        raise Cannot("it divides by a value that depends on the input", PRODUCT[1])
    x = call.value("self")
    divisor = call.against(call["other"], x)
    if not divisor.all():
        raise Cannot("it divides by zero")
    return _scale(call, x, np.asarray(1.0 / divisor.astype(np.float64)))


def _scale(call: Call, x: Value, scale: NDArray) -> Value:
    return call.add(ScaleShift(scale=scale), call.expand(x, _result_shape(call, x)))


def _result_shape(call: Call, *values: Value) -> Shape:
    return call.shape_of(call.results, any(value.merged for value in values))


def _combine(call: Call, x: Any, a: float, y: Any, b: float) -> Value:
    """`a x + b y`, where at least one of them depends on the input."""
    if any(isinstance(factor, torch.SymInt | torch.SymFloat) for factor in (a, b)):
        raise Cannot("its factor depends on the size of the batch")
    if not isinstance(x, Value):
        x, a, y, b = y, b, x, a
    if isinstance(y, Value):
        shape = _result_shape(call, x, y)
        return call.add(
            Add(), _term(call, x, a, shape, "first"), _term(call, y, b, shape, "second")
        )
    layer = ScaleShift(None if a == 1 else np.asarray(float(a)), b * call.against(y, x))
    return call.add(layer, call.expand(x, _result_shape(call, x)))


def _term(call: Call, x: Value, factor: float, shape: Shape, part: str) -> Value:
    x = call.expand(x, shape)
    return x if factor == 1 else call.add(ScaleShift(np.asarray(float(factor))), x, part=part)


@reads("aten.cat.default", "aten.concat.default", "aten.concatenate.default")
def _concatenate(call: Call) -> Value:
    values = _values(call)
    return call.add(Concatenate(call.axis(values[0], call["dim"])), *values)


@reads("aten.stack.default")
def _stack(call: Call) -> Value:
    values = _values(call)
    first = values[0]
    axis = call["dim"] % (first.rank + 1)
    if axis == 0 or first.merged:
        raise Cannot("it stacks values before the batch axis", "Stack along another axis.")
    parts = [
        call.add(Reshape((*shape[: axis - 1], 1, *shape[axis - 1 :])), value, part=str(index))
        for index, value in enumerate(values)
        if (shape := value.known_shape) is not None
    ]
    return call.add(Concatenate(axis - 1), *parts)


def _values(call: Call) -> list[Value]:
    values = call["tensors"]
    constants = sum(not isinstance(value, Value) for value in values)
    if constants:
        raise Cannot(
            f"{constants} of the {len(values)} tensors that it joins are constants",
            "For zeros use zero padding; let a layer's bias make other constants.",
        )
    return list(values)
