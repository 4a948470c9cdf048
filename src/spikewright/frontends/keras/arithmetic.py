"""Layers with several inputs, and `keras.ops` value by value: arithmetic, extrema, casts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.keras.choices import unequal_to
from spikewright.frontends.keras.constants import as_values, operands
from spikewright.frontends.keras.registry import (
    KerasCall,
    Unreadable,
    Value,
    array,
    reads,
    unbatched_axis,
)
from spikewright.frontends.reading.arithmetic import (
    clipped,
    combined,
    exponential,
    extremum,
    hyperbolic,
    powered,
    quotient,
    rounded,
    total,
)
from spikewright.frontends.reading.call import JUMPS, afford
from spikewright.frontends.reading.products import contracted, ranks, tensordot_labels
from spikewright.frontends.reading.truth import BINARY, NOT
from spikewright.graph.clipping import Steps
from spikewright.graph.layers import (
    Activation,
    Concatenate,
    Identity,
    Multiply,
    Reshape,
    ScaleShift,
    UnitNormalization,
)


@reads("Add")
def add(call: KerasCall) -> Value:
    """The sum of any number of inputs."""
    return total(call, *call.aligned(*call.inputs))


@reads("Subtract")
def subtract(call: KerasCall) -> Value:
    """The first input minus the second."""
    first, second = call.aligned(*call.inputs)
    return combined(call, (1.0, first), (-1.0, second))


@reads("Average")
def average(call: KerasCall) -> Value:
    """The mean of any number of inputs."""
    terms = ((1.0, value) for value in call.aligned(*call.inputs))
    return combined(call, *terms, divisor=len(call.inputs))


@reads("Multiply")
def multiply(call: KerasCall) -> Value:
    """The product of any number of inputs."""
    return call.add(Multiply(), *call.aligned(*call.inputs))


@reads("Maximum", "Minimum")
def maximum(call: KerasCall) -> Value:
    """The largest or the smallest of any number of inputs."""
    return extremum(call, call.kind == "Maximum", *call.aligned(*call.inputs))


@reads("Dot")
def dot(call: KerasCall) -> Value:
    """Products summed along one axis of each input, of unit vectors if asked so."""
    first, second = call.inputs
    given = call.layer.axes
    axes = [given, given] if isinstance(given, int) else list(given)
    over = [
        unbatched_axis(axis, len(value.shape))
        for axis, value in zip(axes, call.inputs, strict=True)
    ]
    if call.layer.normalize:
        epsilon = float(require("keras").config.epsilon())
        first, second = (
            call.add(UnitNormalization((axis,), epsilon), value, part=part)
            for axis, value, part in zip(over, (first, second), ("first", "second"), strict=True)
        )
    labels, result = tensordot_labels(ranks(call, (first, second)), *([axis + 1] for axis in over))
    named = [("batch", *own[1:]) for own in labels]
    out = tuple(label for label in result if label not in (labels[0][0], labels[1][0]))
    if out:
        return contracted(call, (first, second), named, ("batch", *out))
    sum_ = contracted(call, (first, second), named, ("batch",), part="sum")
    return call.add(Reshape((1,)), sum_)


@reads("Concatenate", "ops.Concatenate")
def concatenate(call: KerasCall) -> Value:
    """Inputs side by side."""
    if call.kind == "Concatenate":
        axis = unbatched_axis(call.layer.axis, len(call.shape))
        return call.add(Concatenate(axis))
    return joined(call, call.arguments["xs"], call.layer.axis)


@reads("ops.Append")
def append(call: KerasCall) -> Value:
    """One tensor behind another along an axis."""
    if call.layer.axis is None:
        raise Unreadable("it joins the flat batch", "Name the axis")
    return joined(call, [call.arguments["x1"], call.arguments["x2"]], call.layer.axis)


@reads("ops.Hstack", "ops.Dstack")
def stacked_sideways(call: KerasCall) -> Value:
    """Tensors side by side along the second axis, or the third."""
    if call.kind == "ops.Hstack":
        return joined(call, call.arguments["xs"], 1)
    return joined(call, call.arguments["xs"], 2)


def joined(call: KerasCall, tensors: Sequence[Any], axis: int) -> Value:
    """Values and constants side by side along one of Keras's axes."""
    values = as_values(call, tensors)
    return call.add(Concatenate(unbatched_axis(axis, len(call.shape))), *values)


_BINARY = {
    "Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Divide": "divide",
    "TrueDivide": "divide", "Maximum": "maximum", "Fmax": "maximum", "Minimum": "minimum",
    "Fmin": "minimum", "Hypot": "length", "Logaddexp": "log of sum",
    "Logaddexp2": "log of sum to base 2", "Greater": "greater", "GreaterEqual": "greater or equal",
    "Less": "less", "LessEqual": "less or equal",
}  # fmt: skip


@reads(*(f"ops.{name}" for name in _BINARY))
def binary(call: KerasCall) -> Value:
    """An operation on two tensors, or a tensor and a constant."""
    function = BINARY[_BINARY[call.kind.removeprefix("ops.")]]
    return function(call, *operands(call, "x1", "x2"))


_UNARY: Mapping[str, Steps] = {
    **dict.fromkeys(("Real", "Conjugate", "StopGradient", "Copy"), (("", Identity()),)),
    "Deg2rad": (("", ScaleShift(np.array(math.pi / 180))),),
    "Rad2deg": (("", ScaleShift(np.array(180 / math.pi))),),
    "Fabs": (("", Activation("abs")),),
    "Erfc": (("erf", Activation("erf")), ("", NOT)),
}


@reads(*(f"ops.{name}" for name in _UNARY))
def unary(call: KerasCall) -> Value:
    """An operation on one tensor that is a few layers."""
    return call.chain(call.inputs[0], *_UNARY[call.kind.removeprefix("ops.")])


@reads("ops.Power")
def power(call: KerasCall) -> Value:
    """`x ** number` and `number ** x`."""
    x, y = operands(call, "x1", "x2")
    constant = x if isinstance(y, Value) else y
    if isinstance(constant, Value) or constant.size != 1:
        raise Unreadable("neither its base nor its exponent is a number", "Use a number for one")
    number = float(constant.ravel()[0])
    return exponential(call, number, y) if isinstance(y, Value) else powered(call, x, number)


@reads("ops.Clip")
def clip(call: KerasCall) -> Value:
    """Between two numbers or arrays, either of which may be None."""
    (value,) = call.inputs
    low, high = (
        array(infinite if bound is None else bound)
        for bound, infinite in ((call.layer.x_min, -math.inf), (call.layer.x_max, math.inf))
    )
    if low.size == high.size == 1:
        return clipped(call, value, float(low.ravel()[0]), float(high.ravel()[0]))
    return extremum(call, False, extremum(call, True, value, low, part="raised"), high)


@reads("ops.Floor", "ops.Ceil", "ops.Round", "ops.Trunc")
def rounding(call: KerasCall) -> Value:
    """To whole numbers, as a part of an activation with steps."""
    if getattr(call.layer, "decimals", 0):
        raise Unreadable(*JUMPS)
    return rounded(call, call.inputs[0], call.kind.removeprefix("ops.").lower())


@reads("ops.Cast", "ops.SaturateCast", "ops.Array", "ops.ConvertToTensor")
def cast(call: KerasCall) -> Value:
    """Between kinds of numbers that hold the same; the graph has one."""
    (x,) = call.inputs
    dtype = str(call.layer.dtype or "float32")
    if dtype == "bool" and not x.truth:
        return unequal_to(call, x, np.zeros(()))
    exact = dtype in ("float16", "bfloat16", "float32", "float64") or x.truth
    if not (exact or ("int" in dtype and x.whole)):
        raise Unreadable(f"it rounds to {dtype}", "Leave the cast out")
    return call.add(Identity())


@reads("ops.Cosh", "ops.Sinh")
def hyperbolic_function(call: KerasCall) -> Value:
    """`(exp(x) +- exp(-x)) / 2`."""
    return hyperbolic(call, call.inputs[0], call.kind == "ops.Sinh")


@reads("ops.Tan")
def tangent(call: KerasCall) -> Value:
    """`sin(x) / cos(x)`."""
    (x,) = call.inputs
    sine, cosine = (call.add(Activation(name), x, part=name) for name in ("sin", "cos"))
    return quotient(call, sine, cosine)


@reads("ops.OnesLike", "ops.ZerosLike", "ops.FullLike")
def filled_like(call: KerasCall) -> np.ndarray:
    """A constant of the shape of a value."""
    number = {"ops.OnesLike": 1.0, "ops.ZerosLike": 0.0}.get(call.kind)
    given = call.arguments.get("fill_value") if number is None else number
    (x,) = call.inputs[:1]
    dtype = "float32" if call.layer.dtype is None else str(call.layer.dtype)
    if call.layer.dtype is None and (x.whole or x.truth):
        dtype = "bool" if x.truth else "int32"
    afford(math.prod(x.shape))
    return np.full((1, *x.shape), array(given).astype(dtype))
