"""Activation functions, and layers and operations value by value: arithmetic, extrema, casts."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.keras.choices import unequal_to
from spikewright.frontends.keras.registry import (
    KerasCall,
    OwnCode,
    UnsupportedOp,
    Value,
    array,
    kind_of,
    of_keras,
    reads,
    unbatched_axes,
    unbatched_axis,
)
from spikewright.frontends.keras.running import as_values, operands
from spikewright.frontends.reading.arithmetic import (
    clipped,
    combined,
    exponential,
    extremum,
    function,
    gated,
    hyperbolic,
    normalised_exponentials,
    parametric_relu,
    powered,
    quotient,
    rounded,
    softmax,
    total,
)
from spikewright.frontends.reading.call import JUMPS, afford, finite
from spikewright.frontends.reading.names import NamedFunction, keras_kinds, names_in
from spikewright.frontends.reading.products import contracted, ranks, tensordot_labels
from spikewright.frontends.reading.truth import BINARY, NOT
from spikewright.graph.clipping import Steps, clip_steps
from spikewright.graph.layers import (
    Activation,
    Concatenate,
    Identity,
    Layer,
    Multiply,
    Reshape,
    ScaleShift,
    Shape,
    UnitNormalization,
)

Function = Callable[..., Steps]
"""From the (unbatched) shape of the input and the function's own parameters to layers, one after
another, each with a name for its part."""


def _named(named: NamedFunction) -> Function:
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
        raise UnsupportedOp(
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


def activate(call: KerasCall, function: Any, value: Value) -> Value:
    """Add an activation function, given as Keras takes it, behind a value."""
    steps = of_function(function, value.shape)
    layer = steps[0][1]
    if value.masked is not None and isinstance(layer, Activation) and layer.function == "softmax":
        return softmax(call, value, (int(layer.parameters["axis"]),))
    return call.chain(finite(value), *steps)


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
        raise UnsupportedOp(
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
    refusal = UnsupportedOp if ours or of_keras(function) else OwnCode
    raise refusal(f"its activation {found!r} is unknown", f"{OPTIONS}, by name")


def _parameters(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a function beside its tensor: Keras's defaults, and the given ones."""
    _, *rest = inspect.signature(function).parameters.values()
    lacking = [p.name for p in rest if p.default is p.empty and p.name not in given]
    if lacking:
        raise UnsupportedOp(
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
    (axis,) = call.axes
    return gated(call, call.inputs[0], axis)


@reads("PReLU")
def prelu(call: KerasCall) -> Value:
    """A slope a value, or one along each of `shared_axes`."""
    return parametric_relu(call, call.inputs[0], array(call.layer.alpha))


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
    sum_ = contracted(call.inside("sum"), (first, second), named, ("batch",))
    return call.add(Reshape((1,)), sum_)


@reads("Concatenate", "ops.Concatenate")
def concatenate(call: KerasCall) -> Value:
    """Inputs side by side."""
    if call.kind == "Concatenate":
        axis = call.axis
        return call.add(Concatenate(axis))
    return joined(call, call.arguments["xs"], call.layer.axis)


@reads("ops.Append")
def append(call: KerasCall) -> Value:
    """One tensor behind another along an axis."""
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
        raise UnsupportedOp("neither its base nor its exponent is a number", "Use a number for one")
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
    return extremum(call, False, extremum(call.inside("raised"), True, value, low), high)


@reads("ops.Floor", "ops.Ceil", "ops.Round", "ops.Trunc")
def rounding(call: KerasCall) -> Value:
    """To whole numbers, as a part of an activation with steps."""
    if getattr(call.layer, "decimals", 0):
        raise UnsupportedOp(*JUMPS)
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
        raise UnsupportedOp(f"it rounds to {dtype}", "Leave the cast out")
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
