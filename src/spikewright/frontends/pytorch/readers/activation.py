"""Activations."""

from __future__ import annotations

import math

import numpy as np

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.clipping import clip_steps
from spikewright.graph.layers import Activation

_SIMPLE = {
    "aten.relu.default": "relu",
    "aten.relu6.default": "relu6",
    "aten.sigmoid.default": "sigmoid",
    "aten.tanh.default": "tanh",
}


@reads(*_SIMPLE)
def _simple(call: Call) -> Value:
    return call.add(Activation(_SIMPLE[call.target]), call.value("self"))


@reads(
    "aten.hardtanh.default",
    "aten.clamp.default",
    "aten.clamp_min.default",
    "aten.clamp_max.default",
    "aten.clip.default",
)
def _clipped(call: Call) -> Value:
    low, high = call.get("min_val", call.get("min")), call.get("max_val", call.get("max"))
    try:
        steps = clip_steps(
            -math.inf if low is None else float(low), math.inf if high is None else float(high)
        )
    except ValueError as error:
        raise Cannot(str(error)) from None
    return call.chain(call.value("self"), *steps)


@reads("aten.threshold.default")
def _threshold(call: Call) -> Value:
    if call["threshold"] != 0 or call["value"] != 0:
        raise Cannot(
            f"a threshold of {call['threshold']} with value {call['value']} jumps", "Use ReLU."
        )
    return call.add(Activation("relu"), call.value("self"))


@reads("aten.leaky_relu.default")
def _leaky_relu(call: Call) -> Value:
    slope = float(call["negative_slope"])
    return call.add(Activation("leaky_relu", {"negative_slope": slope}), call.value("self"))


@reads("aten.prelu.default", "aten._prelu_kernel.default")
def _prelu(call: Call) -> Value:
    slopes = np.unique(call.array("weight"))
    if slopes.size != 1:
        raise Cannot(
            f"its {call.array('weight').size} channels have slopes of their own",
            "Use nn.PReLU(1), which has one slope, or LeakyReLU.",
        )
    layer = Activation("leaky_relu", {"negative_slope": float(slopes[0])})
    return call.add(layer, call.value("self"))


@reads("aten.softplus.default")
def _softplus(call: Call) -> Value:
    beta, threshold = call["beta"], call["threshold"]
    # Above its threshold PyTorch returns x itself: log(1 + e^-x) must be below float32's rounding.
    if beta != 1 or threshold <= 0 or math.log1p(math.exp(-threshold)) / threshold > 2.0**-24:
        raise Cannot(
            f"softplus with beta={beta} and threshold={threshold} is not log(1 + exp(x))",
            "Use nn.Softplus() with its defaults, beta=1 and threshold=20.",
        )
    return call.add(Activation("softplus"), call.value("self"))


@reads("aten.softmax.int", "aten._softmax.default", "aten._safe_softmax.default")
def _softmax(call: Call) -> Value:
    x = call.value("self")
    return call.add(Activation("softmax", {"axis": call.axis(x, call["dim"])}), x)
