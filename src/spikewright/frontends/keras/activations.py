"""Activation functions, as layers and as the `activation=` argument of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spikewright._optional import require
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    kind_of,
    of_keras,
    reads,
    unbatched_axis,
)
from spikewright.graph.clipping import Steps, clip_steps
from spikewright.graph.layers import Activation, Layer

NAMED: Mapping[str, Mapping[str, float]] = {
    "linear": {},
    "relu": {},
    "relu6": {},
    "leaky_relu": {"negative_slope": 0.2},
    "sigmoid": {},
    "tanh": {},
    "softplus": {},
    "softmax": {},
}
"""Keras's activation functions that can be read, with the parameters that they have by default."""

OPTIONS = f"Use one of {', '.join(NAMED)}"


def add_with_activation(call: Call, linear: Layer, *inputs: str | None) -> str | None:
    """Add the linear part of a layer and the activation that it applies to it.

    `linear` keeps the rank of the call's first input.
    """
    steps = of_function(call.layer.activation, len(call.shape))
    if steps == _LINEAR:
        return call.add(linear, *inputs)
    return _add_steps(call, steps, call.add(linear, *inputs, part="linear"))


def _add_steps(call: Call, steps: Steps, *value: str | None) -> str | None:
    """Add layers one after another, the first on `value` or, without one, on the call's input."""
    for part, layer in steps:
        value = (call.add(layer, *value, part=part),)
    return value[0]


def of_function(function: Any, rank: int) -> Steps:
    """The graph's form of an activation function on values of this unbatched rank.

    It is one layer, or several one after another, each with a name for its part.
    """
    keras = require("keras")
    for name, parameters in NAMED.items():
        for module in (keras.activations, keras.ops):
            if function is getattr(module, name, module):
                return _one(Activation(name, parameters))
    describe = _DESCRIPTIONS.get(kind_of(function))
    if describe is not None and of_keras(function):
        return describe(function, rank)
    found = getattr(function, "__name__", None) or getattr(function, "name", repr(function))
    raise Unreadable(f"its activation {found!r} is unknown", f"{OPTIONS}, by name")


def _one(layer: Layer) -> Steps:
    return (("", layer),)


_LINEAR = _one(Activation("linear"))


def _activation(layer: Any, rank: int) -> Steps:
    return of_function(layer.activation, rank)


def _relu(layer: Any, rank: int) -> Steps:
    slope, top, threshold = layer.negative_slope, layer.max_value, layer.threshold
    if threshold == 0 and top is None:
        return _leaky_relu(layer, rank) if slope else _one(Activation("relu"))
    if threshold == 0 and slope == 0 and top > 0:
        return clip_steps(0.0, float(top))
    raise Unreadable(
        f"max_value={top}, negative_slope={slope} and threshold={threshold} have no activation "
        f"in the graph together",
        "Use max_value or negative_slope, and no threshold",
    )


def _leaky_relu(layer: Any, rank: int) -> Steps:
    return _one(Activation("leaky_relu", {"negative_slope": float(layer.negative_slope)}))


def _softmax(layer: Any, rank: int) -> Steps:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if len(axes) != 1 or axes[0] is None:
        raise Unreadable(f"it normalises over the axes {layer.axis} at once", "Give one axis")
    return _one(Activation("softmax", {"axis": unbatched_axis(axes[0], rank)}))


_DESCRIPTIONS: Mapping[str, Callable[[Any, int], Steps]] = {
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "Softmax": _softmax,
    "ops.ReLU": _relu,
    "ops.LeakyRelu": _leaky_relu,
    "ops.Softmax": _softmax,
}


@reads(*_DESCRIPTIONS)
def activation(call: Call) -> str | None:
    """A layer or operation that is nothing but an activation function."""
    return _add_steps(call, _DESCRIPTIONS[call.kind](call.layer, len(call.shape)))


@reads("ops.Relu", "ops.Relu6", "ops.Sigmoid", "ops.Tanh", "ops.Softplus")
def plain_activation(call: Call) -> str | None:
    """`keras.ops` functions without parameters."""
    return call.add(Activation(call.kind.removeprefix("ops.").lower()))
