"""Activations and other functions of one value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.readers.arithmetic import extremum
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.clipping import clip_steps
from spikewright.graph.layers import (
    Activation,
    Maximum,
    Minimum,
    Multiply,
    ParametricReLU,
    ScaleShift,
    Slice,
)

HIDDEN = -1e4
"""Replaces minus infinity in front of a softmax: its exponential is zero."""

_SIMPLE = {
    "relu": "relu", "relu6": "relu6", "sigmoid": "sigmoid", "special_expit": "sigmoid",
    "tanh": "tanh", "silu": "silu",
    "hardswish": "hard_swish", "hardsigmoid": "hard_sigmoid", "mish": "mish", "selu": "selu",
    "log_sigmoid": "log_sigmoid", "abs": "abs", "exp": "exp", "log": "log",
    "sqrt": "sqrt", "sin": "sin", "cos": "cos", "erf": "erf", "special_erf": "erf",
}  # fmt: skip


@reads(*(f"aten.{name}.default" for name in _SIMPLE))
def _simple(call: Call) -> Value:
    return call.add(Activation(_SIMPLE[call.target.split(".")[1]]), call.value("self"))


@reads("aten.log_sigmoid_forward.default")
def _log_sigmoid(call: Call) -> tuple[Value | None, ...]:
    return call.add(Activation("log_sigmoid"), call.value("self")), None


@reads("aten.gelu.default")
def _gelu(call: Call) -> Value:
    name = "gelu_tanh" if call["approximate"] == "tanh" else "gelu"
    return call.add(Activation(name), call.value("self"))


@reads("aten.elu.default", "aten.celu.default")
def _exponential(call: Call) -> Value:
    alpha = float(call["alpha"])
    scale, inner = float(call.get("scale", 1)), float(call.get("input_scale", 1))
    if inner != 1:
        raise Cannot(f"it scales its input by {inner} on the way")
    curve = Activation("celu" if "celu" in call.target else "elu", {"alpha": alpha})
    after = None if scale == 1 else ScaleShift(np.asarray(scale))
    return call.chain(call.value("self"), ("elu", curve), ("scale", after))


@reads("aten.hardshrink.default", "aten.softshrink.default")
def _shrink(call: Call) -> Value:
    name = "hardshrink" if "hard" in call.target else "softshrink"
    layer = Activation(name, {"threshold": float(call["lambd"])})
    return call.add(layer, call.value("self"))


@reads("aten.rsqrt.default")
def _inverse_root(call: Call) -> Value:
    return call.add(Activation("power", {"exponent": -0.5}), call.value("self"))


@reads("aten.exp2.default", "aten.expm1.default")
def _other_exponentials(call: Call) -> Value:
    base = math.log(2) if "exp2" in call.target else 1.0
    shift = None if "exp2" in call.target else ScaleShift(shift=np.asarray(-1.0))
    before = ScaleShift(np.asarray(base)) if base != 1 else None
    curve = ("exp", Activation("exp"))
    return call.chain(call.value("self"), ("scale", before), curve, ("shift", shift))


@reads("aten.log1p.default", "aten.log2.default", "aten.log10.default")
def _other_logarithms(call: Call) -> Value:
    base = {"log2": 2.0, "log10": 10.0}.get(call.target.split(".")[1])
    before = ScaleShift(shift=np.asarray(1.0)) if base is None else None
    after = None if base is None else ScaleShift(np.asarray(1 / math.log(base)))
    curve = ("log", Activation("log"))
    return call.chain(call.value("self"), ("shift", before), curve, ("scale", after))


_POWERS = {2.0: "square", 0.5: "sqrt", -1.0: "reciprocal"}


@reads("aten.pow.Tensor_Scalar")
def _power(call: Call) -> Value:
    exponent = call["exponent"]
    if not isinstance(exponent, int | float):
        raise Cannot("its exponent depends on the size of the batch")
    exponent = float(exponent)
    if exponent == 1:
        return call.chain(call.value("self"))
    if exponent in _POWERS:
        return call.add(Activation(_POWERS[exponent]), call.value("self"))
    return call.add(Activation("power", {"exponent": exponent}), call.value("self"))


@reads("aten.pow.Scalar")
def _power_of_constant(call: Call) -> Value:
    base = float(call["self"])
    if base <= 0:
        raise Cannot(f"powers of {base} are not real numbers everywhere")
    scale = ScaleShift(np.asarray(math.log(base)))
    return call.chain(call.value("exponent"), ("scale", scale), ("exp", Activation("exp")))


@reads(
    "aten.hardtanh.default", "aten.clamp.default", "aten.clamp_min.default",
    "aten.clamp_max.default", "aten.clip.default",
)  # fmt: skip
def _clipped(call: Call) -> Value:
    low, high = call.get("min_val", call.get("min")), call.get("max_val", call.get("max"))
    x = call.value("self")
    low, high = (
        (-math.inf if low is None else float(low)),
        (math.inf if high is None else float(high)),
    )
    norm = call.notes.get(("norm", x.name))
    if norm is not None and math.isinf(high) and low >= 0:  # |v| kept away from zero
        value = call.add(Activation("clip", {"minimum": low, "maximum": high}), x)
        call.notes["norm", value.name] = (*norm[:2], low)
        return value
    try:
        steps = clip_steps(low, high)
    except ValueError as error:
        raise Cannot(str(error)) from None
    return call.chain(x, *steps)


@reads("aten.clamp.Tensor", "aten.clamp_min.Tensor", "aten.clamp_max.Tensor")
def _clipped_to_arrays(call: Call) -> Value:
    low, high = call.get("min"), call.get("max")
    x: Any = call["self"]
    if low is not None:
        x = extremum(call, Maximum, x, low, "" if high is None else "low")
    return x if high is None else extremum(call, Minimum, x, high)


@reads("aten.threshold.default")
def _threshold(call: Call) -> Value:
    threshold, value = float(call["threshold"]), float(call["value"])
    layer = Activation("threshold", {"threshold": threshold, "value": value})
    zero = threshold == value == 0
    return call.add(Activation("relu") if zero else layer, call.value("self"))


@reads("aten.leaky_relu.default")
def _leaky_relu(call: Call) -> Value:
    slope = float(call["negative_slope"])
    return call.add(Activation("leaky_relu", {"negative_slope": slope}), call.value("self"))


@reads("aten.rrelu.default")
def _random_leaky_relu(call: Call) -> Value:
    if call["training"]:
        raise Cannot("its slope is drawn at random, which is meant for training only")
    slope = (float(call["lower"]) + float(call["upper"])) / 2
    return call.add(Activation("leaky_relu", {"negative_slope": slope}), call.value("self"))


@reads("aten.prelu.default", "aten._prelu_kernel.default")
def _prelu(call: Call) -> Value:
    x, weight = call.value("self"), call.array("weight")
    if np.unique(weight).size == 1:
        layer = Activation("leaky_relu", {"negative_slope": float(weight.flat[0])})
        return call.add(layer, x)
    rank = len(x.known_shape)
    axis = call.axis(x, 1)  # the slopes are the channels'
    slope = weight.reshape(-1, *(1,) * (rank - 1 - axis))
    return call.add(ParametricReLU(slope), x)


@reads("aten.softplus.default")
def _softplus(call: Call) -> Value:
    beta, threshold = float(call["beta"]), float(call["threshold"])
    # Above its threshold PyTorch returns x itself: log(1 + e^-x) must be below float32's rounding.
    if beta <= 0 or threshold <= 0 or math.log1p(math.exp(-threshold)) / threshold > 2.0**-24:
        raise Cannot(
            f"softplus with beta={beta} and threshold={threshold} is not log(1 + exp(x))",
            "Use a positive beta and a threshold of 20, as nn.Softplus has it.",
        )
    scaled = beta != 1
    return call.chain(
        call.value("self"),
        ("scale", ScaleShift(np.asarray(beta)) if scaled else None),
        ("softplus", Activation("softplus")),
        ("unscale", ScaleShift(np.asarray(1 / beta)) if scaled else None),
    )


@reads("aten.glu.default")
def _gated(call: Call) -> Value:
    x = call.value("self")
    axis = call.axis(x, call["dim"])
    shape = x.known_shape
    half = shape[axis] // 2
    value = call.add(Slice.along(shape, {axis: slice(0, half)}), x, part="value")
    gate = call.add(Slice.along(shape, {axis: slice(half, None)}), x, part="gate")
    gate = call.add(Activation("sigmoid"), gate, part="sigmoid")
    return call.add(Multiply(), value, gate)


@reads("aten.softmax.int", "aten._softmax.default", "aten._safe_softmax.default")
def _softmax(call: Call) -> Value:
    return softmax(call, call["self"], call["dim"])


@reads("aten.log_softmax.int", "aten._log_softmax.default")
def _log_softmax(call: Call) -> Value:
    x = call.value("self")
    return call.add(Activation("log_softmax", {"axis": call.axis(x, call["dim"])}), x)


def softmax(call: Call, x: Value, dim: int, part: str = "") -> Value:
    """Softmax along an axis of the program; minus infinity gets no share."""
    axis = call.axis(x, dim)
    if x.masked is not None:
        hidden = np.broadcast_to(x.masked, x.known_shape)
        if hidden.all(axis=axis).any():
            raise Cannot("its mask leaves nothing of some rows", "Let every row see something.")
        layer = ScaleShift(shift=np.where(x.masked, HIDDEN, 0.0))
        x = Value(x.name, x.shape, x.layout)
        x = call.add(layer, x, part=f"{part}/mask" if part else "mask")
    return call.add(Activation("softmax", {"axis": axis}), x, part=part)
