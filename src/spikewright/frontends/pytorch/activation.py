"""Activations and other functions of one value."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from spikewright.frontends.fallback import is_asked_for
from spikewright.frontends.pytorch.arithmetic import extremum, times
from spikewright.frontends.pytorch.registry import TorchCall, reads, unsupported_reason
from spikewright.frontends.pytorch.windows import Complex, size_of
from spikewright.frontends.reading.arithmetic import (
    clipped,
    exponential,
    function,
    gated,
    hyperbolic,
    parametric_relu,
    powered,
    rounded,
    scaled,
    softmax,
)
from spikewright.frontends.reading.call import UnsupportedOp, Value, finite
from spikewright.frontends.reading.names import names_in
from spikewright.frontends.reading.rounding import Rounds
from spikewright.graph.layers import Activation, ScaleShift

_NAMED = {f"aten.{name}.default": named for name, named in names_in("pytorch").items()}


@reads(*_NAMED)
def _named(call: TorchCall) -> Value:
    named, x = _NAMED[call.target], call["self"]
    if isinstance(x, Complex):
        return size_of(call, x)
    steps = function(named.function, **named.values(call.arguments))
    masked = x.masked if isinstance(x, Value) and named.function == "exp" else None
    if masked is not None:  # zero where it is minus infinity
        made = call.chain(replace(x, masked=None), *steps, part="exp")
        return scaled(call, made, np.where(masked, 0.0, 1.0))
    made = call.chain(call.value("self"), *steps)
    size = x if named.function == "abs" else call.notes.get(("size", x.name))
    if size is not None and named.function in ("abs", "relu"):
        call.notes["size", made.name] = size
    return made


@reads("aten.sign.default")
def _sign(call: TorchCall) -> Value:
    """Only in the product with the size of the same value, which is that value again."""
    if is_asked_for():
        raise UnsupportedOp(*unsupported_reason(call.target))
    x = call.value("self")
    made = call.add(Rounds("floor"), x)
    if made.name is None:
        raise UnsupportedOp(*unsupported_reason(call.target))
    call.builder.rounds(made.name, call.refusal(*unsupported_reason(call.target)))
    call.notes["sign", made.name] = x
    return made


@reads(*(f"aten.{name}.default" for name in ("floor", "ceil", "round", "trunc")))
def _rounded(call: TorchCall) -> Value:
    return rounded(call, call.value("self"), call.target.split(".")[1])


@reads("aten.sinh.default", "aten.cosh.default")
def _hyperbolic(call: TorchCall) -> Value:
    return hyperbolic(call, call.value("self"), "sinh" in call.target)


@reads("aten.log_sigmoid_forward.default")
def _log_sigmoid(call: TorchCall) -> Value:
    return call.add(Activation("log_sigmoid"), call.value("self"))


@reads("aten.gelu.default")
def _gelu(call: TorchCall) -> Value:
    name = "gelu_tanh" if call["approximate"] == "tanh" else "gelu"
    return call.add(Activation(name), call.value("self"))


@reads("aten.elu.default", "aten.celu.default")
def _exponential(call: TorchCall) -> Value:
    alpha = float(call["alpha"])
    scale, inner = float(call.get("scale", 1)), float(call.get("input_scale", 1))
    if inner != 1:
        raise UnsupportedOp(f"it scales its input by {inner} on the way")
    curve = Activation("celu" if "celu" in call.target else "elu", {"alpha": alpha})
    after = None if scale == 1 else ScaleShift(np.asarray(scale))
    return call.chain(call.value("self"), ("elu", curve), ("scale", after))


@reads("aten.pow.Tensor_Scalar")
def _power(call: TorchCall) -> Value:
    return powered(call, call.value("self"), float(call["exponent"]))


@reads("aten.pow.Tensor_Tensor")
def _power_of_tensors(call: TorchCall) -> Value:
    """`x ** y = exp(y log(x))` for positive values, or a power by one number for all."""
    x, y = call["self"], call["exponent"]
    if not isinstance(y, Value):
        exponents = call.array("exponent")
        if exponents.size and np.ptp(exponents) == 0:
            return powered(call, call.value("self"), float(exponents.flat[0]))
        y = exponents
    if not isinstance(x, Value):
        base = call.array("self")
        if not (base > 0).all():
            raise UnsupportedOp("its base is not positive everywhere", "Use a base above 0")
        logarithm: Any = torch.from_numpy(np.log(np.asarray(base, np.float64)))
    else:
        logarithm = call.add(Activation("log"), finite(x), part="logarithm")
    exponent = torch.from_numpy(np.array(y)) if not isinstance(y, Value) else y
    return call.add(Activation("exp"), times(call.inside("exponent"), logarithm, exponent))


@reads("aten.pow.Scalar")
def _power_of_constant(call: TorchCall) -> Value:
    return exponential(call, float(call["self"]), call.value("exponent"))


@reads(
    "aten.hardtanh.default", "aten.clamp.default", "aten.clamp_min.default",
    "aten.clamp_max.default", "aten.clip.default",
)  # fmt: skip
def _clipped(call: TorchCall) -> Value:
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
    return clipped(call, x, low, high)


@reads("aten.clip.Tensor", "aten.clamp.Tensor", "aten.clamp_min.Tensor", "aten.clamp_max.Tensor")
def _clipped_to_arrays(call: TorchCall) -> Value:
    low, high = call.get("min"), call.get("max")
    x: Any = call["self"]
    if low is not None:
        x = extremum(call.inside("" if high is None else "low"), True, x, low)
    return x if high is None else extremum(call, False, x, high)


@reads("aten.rrelu.default")
def _random_leaky_relu(call: TorchCall) -> Value:
    if call["training"]:
        raise UnsupportedOp("its slope is drawn at random, which is meant for training only")
    slope = (float(call["lower"]) + float(call["upper"])) / 2
    return call.add(Activation("leaky_relu", {"negative_slope": slope}), call.value("self"))


@reads("aten.prelu.default", "aten._prelu_kernel.default")
def _prelu(call: TorchCall) -> Value:
    x, weight = call.value("self"), call.array("weight")
    if weight.size > 1:  # the slopes are the channels'
        weight = weight.reshape(-1, *(1,) * (len(x.shape) - 1 - call.axis(x, 1)))
    return parametric_relu(call, x, weight)


@reads("aten.softplus.default")
def _softplus(call: TorchCall) -> Value:
    beta, threshold = float(call["beta"]), float(call["threshold"])
    # Above its threshold PyTorch returns x itself: log(1 + e^-x) must be below float32's rounding.
    if beta <= 0 or threshold <= 0 or math.log1p(math.exp(-threshold)) / threshold > 2.0**-24:
        raise UnsupportedOp(
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
def _gated(call: TorchCall) -> Value:
    x, axis = call.along()
    return gated(call, x, axis)


@reads("aten.softmax.int", "aten._softmax.default", "aten._safe_softmax.default")
def _softmax(call: TorchCall) -> Value:
    x = call["self"]
    return softmax(call, x, [call.axis(x, call["dim"])], zero_rows="_safe" in call.target)


@reads("aten.log_softmax.int", "aten._log_softmax.default")
def _log_softmax(call: TorchCall) -> Value:
    x = call.value("self")
    return call.add(Activation("log_softmax", {"axis": call.axis(x, call["dim"])}), x)
