"""Functions of `keras.ops` that are made of others, value by value."""

from __future__ import annotations

import math

import numpy as np

from spikewright.frontends.keras.arithmetic import operands
from spikewright.frontends.keras.registry import Call, Value, array, reads
from spikewright.frontends.reading.arithmetic import extremum, quotient
from spikewright.frontends.reading.functions import length, log_of_sum
from spikewright.frontends.reading.spending import afford
from spikewright.graph.layers import Activation, Identity, ScaleShift

_FACTORS = {"ops.Deg2rad": math.pi / 180, "ops.Rad2deg": 180 / math.pi}


@reads(*_FACTORS)
def angle(call: Call) -> Value:
    """Degrees as radians, or radians as degrees."""
    return call.add(ScaleShift(np.array(_FACTORS[call.kind])))


@reads("ops.Real", "ops.Conjugate")
def real_part(call: Call) -> Value:
    """Real numbers themselves."""
    return call.add(Identity())


@reads("ops.Fabs")
def absolute(call: Call) -> Value:
    """`|x|`."""
    return call.add(Activation("abs"))


@reads("ops.Erfc")
def complementary_error(call: Call) -> Value:
    """`1 - erf(x)`."""
    rest = ScaleShift(np.array(-1.0), np.array(1.0))
    return call.chain(call.inputs[0], ("erf", Activation("erf")), ("", rest))


@reads("ops.Tan")
def tangent(call: Call) -> Value:
    """`sin(x) / cos(x)`."""
    (x,) = call.inputs
    sine, cosine = (call.add(Activation(name), x, part=name) for name in ("sin", "cos"))
    return quotient(call, sine, cosine)


@reads("ops.Hypot")
def hypotenuse(call: Call) -> Value:
    """`sqrt(x^2 + y^2)`."""
    x, y = operands(call, "x1", "x2")
    return length(call, x, y)


@reads("ops.Logaddexp", "ops.Logaddexp2")
def logarithm_of_sum(call: Call) -> Value:
    """`log(exp(x) + exp(y))`, or the same to base 2."""
    base = 2.0 if call.kind.endswith("2") else math.e
    x, y = operands(call, "x1", "x2")
    return log_of_sum(call, x, y, base)


@reads("ops.Fmax", "ops.Fmin")
def maximum_of_numbers(call: Call) -> Value:
    """The larger or the smaller of two; values of a network are numbers."""
    return extremum(call, call.kind == "ops.Fmax", *operands(call, "x1", "x2"))


@reads("ops.OnesLike", "ops.ZerosLike", "ops.FullLike")
def filled_like(call: Call) -> np.ndarray:
    """A constant of the shape of a value."""
    number = {"ops.OnesLike": 1.0, "ops.ZerosLike": 0.0}.get(call.kind)
    given = call.arguments.get("fill_value") if number is None else number
    (x,) = call.inputs[:1]
    dtype = "float32" if call.layer.dtype is None else str(call.layer.dtype)
    if call.layer.dtype is None and (x.whole or x.truth):
        dtype = "bool" if x.truth else "int32"
    afford(math.prod(x.shape))
    return np.full((1, *x.shape), array(given).astype(dtype))
