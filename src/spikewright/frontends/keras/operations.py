"""`keras.ops` on the tensors of a functional model: arithmetic, extrema, casts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spikewright.frontends.keras.arithmetic import (
    at_least,
    at_most,
    negated,
    operands,
    product,
    scaled,
    shifted,
    total,
)
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array, reads
from spikewright.graph.clipping import clip_steps
from spikewright.graph.layers import (
    Activation,
    Divide,
    Identity,
    Maximum,
    Minimum,
    Multiply,
    ScaleShift,
)


@reads("ops.Add")
def add(call: Call) -> Value:
    """`x + y` and `x + constant`."""
    x, y = operands(call, "x1", "x2")
    if isinstance(x, Value) and isinstance(y, Value):
        return total(call, x, y)
    return shifted(call, y, x) if isinstance(y, Value) else shifted(call, x, y)


@reads("ops.Subtract")
def subtraction(call: Call) -> Value:
    """`x - y`, `x - constant` and `constant - x`."""
    x, y = operands(call, "x1", "x2")
    if isinstance(x, Value) and isinstance(y, Value):
        return total(call, x, negated(call, y))
    if isinstance(x, Value):
        return shifted(call, x, -y)
    return shifted(call, negated(call, y), x)


@reads("ops.Multiply")
def multiply(call: Call) -> Value:
    """`x * y` and `x * constant`."""
    x, y = operands(call, "x1", "x2")
    if isinstance(x, Value) and isinstance(y, Value):
        return product(call, x, y)
    return scaled(call, y, x) if isinstance(y, Value) else scaled(call, x, y)


@reads("ops.Divide", "ops.TrueDivide")
def divide(call: Call) -> Value:
    """`x / y`, `x / constant` and `constant / x`."""
    x, y = operands(call, "x1", "x2")
    if isinstance(y, Value):
        if isinstance(x, Value):
            return call.value(Divide(), x, y)
        return scaled(call, call.value(Activation("reciprocal"), y, part="reciprocal"), x)
    if np.any(y == 0):
        raise Unreadable("it divides by zero", "Divide by other constants")
    return scaled(call, x, 1.0 / y.astype(np.float64))


@reads("ops.Power")
def power(call: Call) -> Value:
    """`x ** number` and `number ** x`."""
    x, y = operands(call, "x1", "x2")
    constant = x if isinstance(y, Value) else y
    if isinstance(constant, Value) or constant.size != 1:
        raise Unreadable("neither its base nor its exponent is a number", "Use a number for one")
    number = float(constant.ravel()[0])
    if isinstance(y, Value):
        if number <= 0:
            raise Unreadable(f"its base {number} is not positive", "Use a base above 0")
        exponent = scaled(call, y, np.array(math.log(number)), "exponent")
        return call.value(Activation("exp"), exponent)
    return _to_the(call, x, number)


def _to_the(call: Call, x: Value, exponent: float) -> Value:
    """`x ** exponent`: whole powers are products, which hold below zero too."""
    if exponent in (0.5, -1.0, 1.0, 2.0):
        layer = {
            0.5: Activation("sqrt"),
            -1.0: Activation("reciprocal"),
            1.0: Identity(),
            2.0: Activation("square"),
        }[exponent]
        return call.value(layer, x)
    if exponent in (3.0, 4.0, 5.0, 6.0):
        return call.value(Multiply(), *[x] * int(exponent))
    if exponent == int(exponent):
        raise Unreadable(
            f"its exponent {exponent:g} is a whole number without a layer in the graph",
            "Write it as squares and products",
        )
    return call.value(Activation("power", {"exponent": exponent}), x)


@reads("ops.Maximum", "ops.Minimum")
def extremum(call: Call) -> Value:
    """Of two tensors, or of a tensor and a constant."""
    x, y = operands(call, "x1", "x2")
    largest = call.kind == "ops.Maximum"
    if isinstance(x, Value) and isinstance(y, Value):
        return call.value(Maximum() if largest else Minimum(), x, y)
    value, bound = (x, y) if isinstance(x, Value) else (y, x)
    return (at_least if largest else at_most)(call, value, bound)


@reads("ops.Clip")
def clip(call: Call) -> Value:
    """Between two numbers or arrays, either of which may be None."""
    (value,) = call.inputs
    bounds: list[Any] = [
        array(infinite if bound is None else bound)
        for bound, infinite in ((call.layer.x_min, -math.inf), (call.layer.x_max, math.inf))
    ]
    low, high = bounds
    if low.size == high.size == 1:
        try:
            steps = clip_steps(float(low.ravel()[0]), float(high.ravel()[0]))
        except ValueError as error:
            raise Unreadable(str(error), "Give a lower bound below the upper") from None
        for part, layer in steps:
            value = call.value(layer, value, part=part)
        return value
    return at_most(call, at_least(call, value, low, "raised"), high)


@reads("ops.Cast", "ops.SaturateCast", "ops.Array", "ops.ConvertToTensor")
def cast(call: Call) -> Value:
    """Between kinds of floating-point numbers; the graph has one."""
    dtype = str(call.layer.dtype or "float32")
    if dtype not in ("float16", "bfloat16", "float32", "float64"):
        raise Unreadable(f"it rounds to {dtype}", "Leave the cast out")
    return call.value(Identity())


@reads("ops.StopGradient", "ops.Copy")
def same(call: Call) -> Value:
    """Operations that change no value."""
    return call.value(Identity())


@reads("ops.Cosh", "ops.Sinh")
def hyperbolic(call: Call) -> Value:
    """`(exp(x) +- exp(-x)) / 2`."""
    (x,) = call.inputs
    up = call.value(Activation("exp"), x, part="up")
    down = call.value(Activation("exp"), negated(call, x), part="down")
    if call.kind == "ops.Sinh":
        down = call.value(ScaleShift(scale=np.array(-1.0)), down, part="down")
    return scaled(call, total(call, up, down, part="sum"), np.array(0.5))
