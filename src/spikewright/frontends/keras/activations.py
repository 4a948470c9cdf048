"""Activation functions: as layers, as operations, and as the `activation=` argument of layers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.keras.registry import (
    Call,
    OwnCode,
    Unreadable,
    Value,
    array,
    kind_of,
    of_keras,
    reads,
    unbatched_axes,
)
from spikewright.graph.clipping import Steps, clip_steps
from spikewright.graph.layers import (
    Activation,
    Layer,
    Multiply,
    ParametricReLU,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Slice,
)

Function = Callable[..., Steps]
"""From the (unbatched) shape of the input and the function's own parameters to layers, one after
another, each with a name for its part."""


def _one(layer: Layer) -> Steps:
    return (("", layer),)


def _named(name: str) -> Function:
    return lambda shape: _one(Activation(name))


def _with(name: str, *parameters: str) -> Function:
    """An activation of the graph whose parameters have the names that Keras gives them."""

    def function(shape: Shape, **given: float) -> Steps:
        return _one(Activation(name, {key: float(given[key]) for key in parameters}))

    return function


def _relu(
    shape: Shape, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0
) -> Steps:
    slope, top = float(negative_slope), math.inf if max_value is None else float(max_value)
    if threshold == 0 and math.isinf(top):
        leaky = Activation("leaky_relu", {"negative_slope": slope})
        return _one(leaky if slope else Activation("relu"))
    if threshold == 0 and slope == 0 and top > 0:
        return clip_steps(0.0, top)
    if threshold < 0 and not math.isinf(top):
        raise Unreadable(
            f"max_value={max_value} and threshold={threshold} cut its values twice",
            "Use a threshold of 0 or more together with max_value",
        )
    parameters = {"threshold": float(threshold), "negative_slope": slope, "maximum": top}
    return _one(Activation("threshold", parameters))


def _normaliser(name: str) -> Function:
    """Softmax and its logarithm; several axes are made one for as long as it takes."""

    def function(shape: Shape, axis: Any = -1) -> Steps:
        axes = unbatched_axes(axis, len(shape))
        if len(axes) == 1:
            return _one(Activation(name, {"axis": axes[0]}))
        rest = [i for i in range(len(shape)) if i not in axes]
        order = (*rest, *sorted(axes))
        moved = tuple(shape[i] for i in order)
        merged = (*moved[: len(rest)], math.prod(moved[len(rest) :]))
        return (
            ("moved", Permute(order)),
            ("merged", Reshape(merged)),
            (name, Activation(name)),
            ("split", Reshape(moved)),
            ("", Permute(tuple(int(i) for i in np.argsort(order)))),
        )

    return function


def _chain(*layers: Layer) -> Function:
    def function(shape: Shape) -> Steps:
        parts = [str(layer.kind).lower() for layer in layers[:-1]]
        return tuple(zip((*parts, ""), layers, strict=True))

    return function


def _scale(factor: float, shift: float = 0.0) -> ScaleShift:
    return ScaleShift(np.array(factor), np.array(shift) if shift else None)


NAMED: Mapping[str, Function] = MappingProxyType(
    {
        "linear": _named("linear"),
        "relu": _relu,
        "relu6": _named("relu6"),
        "leaky_relu": _with("leaky_relu", "negative_slope"),
        "sigmoid": _named("sigmoid"),
        "sparse_sigmoid": lambda shape: _one(
            Activation("hard_sigmoid", {"slope": 0.5, "offset": 0.5})
        ),
        "hard_sigmoid": _named("hard_sigmoid"),
        "tanh": _named("tanh"),
        "hard_tanh": _named("clip"),
        "tanh_shrink": _named("tanhshrink"),
        "softplus": _named("softplus"),
        "softsign": _named("softsign"),
        "soft_shrink": _with("softshrink", "threshold"),
        "hard_shrink": _with("hardshrink", "threshold"),
        "threshold": lambda shape, threshold, default_value: _one(
            Activation("threshold", {"threshold": float(threshold), "value": float(default_value)})
        ),
        "sparse_plus": _named("sparse_plus"),
        "squareplus": _with("squareplus", "b"),
        "log_sigmoid": _named("log_sigmoid"),
        "silu": _named("silu"),
        "swish": _named("silu"),
        "hard_silu": _named("hard_swish"),
        "hard_swish": _named("hard_swish"),
        "mish": _named("mish"),
        "gelu": lambda shape, approximate: _one(Activation("gelu_tanh" if approximate else "gelu")),
        "elu": _with("elu", "alpha"),
        "celu": _with("celu", "alpha"),
        "selu": _named("selu"),
        "exponential": _named("exp"),
        "softmax": _normaliser("softmax"),
        "log_softmax": _normaliser("log_softmax"),
        "exp": _named("exp"),
        "exp2": _chain(_scale(math.log(2.0)), Activation("exp")),
        "expm1": _chain(Activation("exp"), _scale(1.0, -1.0)),
        "log": _named("log"),
        "log1p": _chain(_scale(1.0, 1.0), Activation("log")),
        "log2": _chain(Activation("log"), _scale(1.0 / math.log(2.0))),
        "log10": _chain(Activation("log"), _scale(1.0 / math.log(10.0))),
        "sqrt": _named("sqrt"),
        "rsqrt": lambda shape: _one(Activation("power", {"exponent": -0.5})),
        "square": _named("square"),
        "reciprocal": _named("reciprocal"),
        "abs": _named("abs"),
        "absolute": _named("abs"),
        "sin": _named("sin"),
        "cos": _named("cos"),
        "erf": _named("erf"),
        "negative": _chain(_scale(-1.0)),
    }
)
"""Keras's functions of one tensor, by name: the layers of the graph that compute them."""

OPTIONS = "Use one of keras.activations other than sparsemax and glu"

_KINDS: Mapping[str, str] = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "ELU": "elu",
    "Softmax": "softmax",
    "ops.LeakyRelu": "leaky_relu",
    "ops.LogSigmoid": "log_sigmoid",
    "ops.LogSoftmax": "log_softmax",
    "ops.HardSigmoid": "hard_sigmoid",
    "ops.HardSilu": "hard_silu",
    "ops.HardTanh": "hard_tanh",
    "ops.HardShrink": "hard_shrink",
    "ops.SoftShrink": "soft_shrink",
    "ops.TanhShrink": "tanh_shrink",
    "ops.SparsePlus": "sparse_plus",
    "ops.SparseSigmoid": "sparse_sigmoid",
    **{
        f"ops.{kind}": kind.lower()
        for kind in (
            "ReLU",
            "Relu",
            "Relu6",
            "Sigmoid",
            "Tanh",
            "Softplus",
            "Softsign",
            "Squareplus",
            "Silu",
            "Gelu",
            "Elu",
            "Celu",
            "Selu",
            "Softmax",
            "Threshold",
            "Exp",
            "Exp2",
            "Expm1",
            "Log",
            "Log1p",
            "Log2",
            "Log10",
            "Sqrt",
            "Rsqrt",
            "Square",
            "Reciprocal",
            "Absolute",
            "Sin",
            "Cos",
            "Erf",
            "Negative",
        )
    },
}
"""Layers and operations that are one of these functions, their parameters being attributes."""


def add_with_activation(call: Call, linear: Layer, *inputs: Value) -> Value:
    """Add the linear part of a layer and the activation that it applies to it."""
    function = call.layer.activation
    if is_linear(function):
        return call.value(linear, *inputs)
    return activate(call, function, call.value(linear, *inputs, part="linear"))


def is_linear(function: Any) -> bool:
    """Whether an activation function is the identity."""
    return function is None or function is require("keras").activations.linear


def activate(call: Call, function: Any, value: Value, part: str = "") -> Value:
    """Add an activation function, given as Keras takes it, behind a value."""
    prefix = f"{part}/" if part else ""
    steps = of_function(function, value.shape)
    for index, (name, layer) in enumerate(steps):
        last = index == len(steps) - 1
        value = call.value(layer, value, part=part if last else f"{prefix}{name}")
    return value


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
    ours = str(getattr(function, "__module__", "")).split(".")[0] == "keras"
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


@reads("Activation", *_KINDS)
def activation(call: Call) -> Value:
    """A layer or operation that is nothing but an activation function."""
    function = call.layer.activation if call.kind == "Activation" else call.layer
    return activate(call, function, call.inputs[0])


@reads("ops.Glu")
def gated(call: Call) -> Value:
    """One half of the values along an axis times the sigmoid of the other (Dauphin et al. 2017)."""
    (value,) = call.inputs
    (over,) = unbatched_axes(call.layer.axis, len(value.shape))
    n = value.shape[over]
    halves = (slice(0, n // 2), slice(n // 2, n))
    first, second = (Slice.along(value.shape, {over: half}) for half in halves)
    kept = call.value(first, value, part="half")
    gate = call.value(second, value, part="other_half")
    gate = call.value(Activation("sigmoid"), gate, part="gate")
    return call.value(Multiply(), kept, gate)


@reads("PReLU")
def parametric_relu(call: Call) -> Value:
    """A slope a value, or one along each of `shared_axes`."""
    return call.value(ParametricReLU(array(call.layer.alpha)))
