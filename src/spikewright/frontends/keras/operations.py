"""`keras.ops` on the tensors of a functional model: arithmetic, extrema, casts."""

from __future__ import annotations

import math

import numpy as np

from spikewright.frontends.keras.arithmetic import operands
from spikewright.frontends.keras.choices import unequal_to
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array, reads
from spikewright.frontends.reading.arithmetic import (
    clipped,
    combined,
    exponential,
    extremum,
    powered,
    product,
    quotient,
    total,
)
from spikewright.frontends.reading.functions import hyperbolic, rounded
from spikewright.frontends.reading.reasons import JUMPS
from spikewright.graph.layers import Identity


@reads("ops.Add")
def add(call: Call) -> Value:
    """`x + y` and `x + constant`."""
    return total(call, *operands(call, "x1", "x2"))


@reads("ops.Subtract")
def subtraction(call: Call) -> Value:
    """`x - y`, `x - constant` and `constant - x`."""
    x, y = operands(call, "x1", "x2")
    return combined(call, (1.0, x), (-1.0, y))


@reads("ops.Multiply")
def multiply(call: Call) -> Value:
    """`x * y` and `x * constant`."""
    x, y = operands(call, "x1", "x2")
    return product(call, x, y)


@reads("ops.Divide", "ops.TrueDivide")
def divide(call: Call) -> Value:
    """`x / y`, `x / constant` and `constant / x`."""
    x, y = operands(call, "x1", "x2")
    return quotient(call, x, y)


@reads("ops.Power")
def power(call: Call) -> Value:
    """`x ** number` and `number ** x`."""
    x, y = operands(call, "x1", "x2")
    constant = x if isinstance(y, Value) else y
    if isinstance(constant, Value) or constant.size != 1:
        raise Unreadable("neither its base nor its exponent is a number", "Use a number for one")
    number = float(constant.ravel()[0])
    return exponential(call, number, y) if isinstance(y, Value) else powered(call, x, number)


@reads("ops.Maximum", "ops.Minimum")
def maximum(call: Call) -> Value:
    """Of two tensors, or of a tensor and a constant; or the minimum."""
    return extremum(call, call.kind == "ops.Maximum", *operands(call, "x1", "x2"))


@reads("ops.Clip")
def clip(call: Call) -> Value:
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
def rounding(call: Call) -> Value:
    """To whole numbers, as a part of an activation with steps."""
    if getattr(call.layer, "decimals", 0):
        raise Unreadable(*JUMPS)
    return rounded(call, call.inputs[0], call.kind.removeprefix("ops.").lower())


@reads("ops.Cast", "ops.SaturateCast", "ops.Array", "ops.ConvertToTensor")
def cast(call: Call) -> Value:
    """Between kinds of numbers that hold the same; the graph has one."""
    (x,) = call.inputs
    dtype = str(call.layer.dtype or "float32")
    if dtype == "bool" and not x.truth:
        return unequal_to(call, x, np.zeros(()))
    exact = dtype in ("float16", "bfloat16", "float32", "float64") or x.truth
    if not (exact or ("int" in dtype and x.whole)):
        raise Unreadable(f"it rounds to {dtype}", "Leave the cast out")
    return call.add(Identity())


@reads("ops.StopGradient", "ops.Copy")
def same(call: Call) -> Value:
    """Operations that change no value."""
    return call.add(Identity())


@reads("ops.Cosh", "ops.Sinh")
def hyperbolic_function(call: Call) -> Value:
    """`(exp(x) +- exp(-x)) / 2`."""
    return hyperbolic(call, call.inputs[0], call.kind == "ops.Sinh")
