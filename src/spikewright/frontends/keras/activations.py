"""Activation functions: as layers, as operations, and as the `activation=` argument of layers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from spikewright._base.optional import require
from spikewright.frontends.keras.registry import (
    KerasCall,
    OwnCode,
    Unreadable,
    Value,
    array,
    kind_of,
    of_keras,
    reads,
    unbatched_axes,
)
from spikewright.frontends.reading.arithmetic import (
    function,
    gated,
    normalised_exponentials,
    parametric_relu,
)
from spikewright.frontends.reading.attention import softmax
from spikewright.frontends.reading.call import finite
from spikewright.frontends.reading.names import Named, keras_kinds, names_in
from spikewright.graph.clipping import Steps, clip_steps
from spikewright.graph.layers import Activation, Layer, Shape

Function = Callable[..., Steps]
"""From the (unbatched) shape of the input and the function's own parameters to layers, one after
another, each with a name for its part."""


def _named(named: Named) -> Function:
    """A function whose parameters have the names that Keras gives them."""
    return lambda shape, **given: function(named.function, **named.values(given))


def _relu(
    shape: Shape, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0
) -> Steps:
    slope, top = float(negative_slope), math.inf if max_value is None else float(max_value)
    if threshold == 0 and math.isinf(top):
        return function("leaky_relu", negative_slope=slope) if slope else function("relu")
    if threshold == 0 and slope == 0 and top > 0:
        return clip_steps(0.0, top)
    if threshold < 0 and not math.isinf(top):
        raise Unreadable(
            f"max_value={max_value} and threshold={threshold} cut its values twice",
            "Use a threshold of 0 or more together with max_value",
        )
    parameters = {"threshold": float(threshold), "negative_slope": slope, "maximum": top}
    return (("", Activation("threshold", parameters)),)


def _normaliser(name: str) -> Function:
    """Softmax and its logarithm, over one axis or several."""

    def over_axes(shape: Shape, axis: Any = -1) -> Steps:
        return normalised_exponentials(name, shape, unbatched_axes(axis, len(shape)))

    return over_axes


NAMED: Mapping[str, Function] = MappingProxyType(
    {
        **{name: _named(named) for name, named in names_in("keras").items()},
        "relu": _relu,
        "gelu": lambda shape, approximate: function("gelu_tanh" if approximate else "gelu"),
        "softmax": _normaliser("softmax"),
        "log_softmax": _normaliser("log_softmax"),
    }
)
"""Keras's functions of one tensor, by name: the layers of the graph that compute them."""

OPTIONS = "Use one of keras.activations other than sparsemax and glu"

_KINDS: Mapping[str, str] = {
    **keras_kinds(),
    "Softmax": "softmax",
    "ops.Softmax": "softmax",
    "ops.LogSoftmax": "log_softmax",
}
"""Layers and operations that are one of these functions, their parameters being attributes."""


def add_with_activation(call: KerasCall, linear: Layer, *inputs: Value) -> Value:
    """Add the linear part of a layer and the activation that it applies to it."""
    function = call.layer.activation
    if is_linear(function):
        return call.add(linear, *inputs)
    return activate(call, function, call.add(linear, *inputs, part="linear"))


def is_linear(function: Any) -> bool:
    """Whether an activation function is the identity."""
    return function is None or function is require("keras").activations.linear


def activate(call: KerasCall, function: Any, value: Value, part: str = "") -> Value:
    """Add an activation function, given as Keras takes it, behind a value."""
    steps = of_function(function, value.shape)
    layer = steps[0][1]
    if value.masked is not None and isinstance(layer, Activation) and layer.function == "softmax":
        return softmax(call, value, (int(layer.parameters["axis"]),), part=part)
    return call.chain(finite(value), *steps, part=part)


def of_function(function: Any, shape: Shape) -> Steps:
    """The graph's form of an activation function on values of this unbatched shape."""
    given: dict[str, Any] = {}
    if isinstance(function, partial) and not function.args:
        function, given = function.func, dict(function.keywords)
    keras = require("keras")
    for name in NAMED:
        for module in (keras.activations, keras.ops):
            if function is getattr(module, name, module):
                return NAMED[name](shape, **_parameters(function, given))
    if function is keras.activations.glu or function is keras.ops.glu:
        raise Unreadable(
            "its activation 'glu' halves an axis, which the layer's own shape does not tell",
            "Apply keras.ops.glu to the layer's output",
        )
    if of_keras(function):
        kind = kind_of(function)
        if kind == "Activation":
            return of_function(function.activation, shape)
        if kind in _KINDS:
            return NAMED[_KINDS[kind]](shape, **_attributes(function))
    found = getattr(function, "__name__", None) or getattr(function, "name", repr(function))
    module = str(getattr(function, "__module__", ""))
    ours = module.startswith("keras.") and not module.startswith("keras.src.ops.")
    refusal = Unreadable if ours or of_keras(function) else OwnCode
    raise refusal(f"its activation {found!r} is unknown", f"{OPTIONS}, by name")


def _parameters(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a function beside its tensor: Keras's defaults, and the given ones."""
    _, *rest = inspect.signature(function).parameters.values()
    lacking = [p.name for p in rest if p.default is p.empty and p.name not in given]
    if lacking:
        raise Unreadable(
            f"its activation {function.__name__!r} needs a value for {', '.join(lacking)}",
            "Give it with functools.partial, or use a layer",
        )
    return {**{p.name: p.default for p in rest}, **given}


def _attributes(operation: Any) -> dict[str, Any]:
    """The parameters of a layer or operation that is a function: attributes of the same names."""
    parameters = inspect.signature(type(operation).__init__).parameters
    names = [name for name in parameters if name not in ("self", "name", "kwargs")]
    return {name: getattr(operation, name) for name in names}


@reads("Activation", *(kind for kind in _KINDS if kind != "Softmax"))
def activation(call: KerasCall) -> Value:
    """A layer or operation that is nothing but an activation function."""
    function = call.layer.activation if call.kind == "Activation" else call.layer
    return activate(call, function, call.inputs[0])


@reads("ops.Glu")
def gated_half(call: KerasCall) -> Value:
    """One half of the values along an axis times the sigmoid of the other."""
    (axis,) = unbatched_axes(call.layer.axis, len(call.shape))
    return gated(call, call.inputs[0], axis)


@reads("PReLU")
def prelu(call: KerasCall) -> Value:
    """A slope a value, or one along each of `shared_axes`."""
    return parametric_relu(call, call.inputs[0], array(call.layer.alpha))
