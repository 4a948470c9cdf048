"""Functions of one signal, arithmetic, comparisons and choices, broadcast against each other."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.registry import OnnxNode, reads, reason_for
from spikewright.frontends.onnx.values import ConstantValue, SignalValue, UnsupportedOp
from spikewright.frontends.reading.arithmetic import (
    HIDDEN,
    LEAST,
    chosen,
    clipped,
    combined,
    exponential,
    extremum,
    function,
    hyperbolic,
    parametric_relu,
    powered,
    rounded,
)
from spikewright.frontends.reading.call import Operand, Value
from spikewright.frontends.reading.names import names_in
from spikewright.frontends.reading.truth import BINARY, NOT, STEP, are_whole, chosen_by_truth, equal
from spikewright.graph import GraphNode
from spikewright.graph.layers import (
    Activation,
    Divide,
    Identity,
    Maximum,
    Minimum,
    Permute,
    Reshape,
    ScaleShift,
)

NAMED = names_in("onnx")
"""Functions by ONNX's names, with the attributes that are their parameters."""

_UNBOUNDED = 3.4e38  # the standard's default bounds are float32's largest numbers


@reads(*NAMED)
def named(node: OnnxNode) -> Value:
    """A function whose parameters are attributes."""
    found = NAMED[node.kind]
    return node.chain(node.view(0), *function(found.function, **found.values(node.attributes)))


@reads("Floor", "Ceil", "Round")
def rounding(node: OnnxNode) -> Value:
    """To whole numbers, as a part of an activation with steps, or of a quantiser of values."""
    if node.kind == "Round" and node.origin.kind != "Round":
        return node.add(Activation("round"), node.view(0))
    return rounded(node, node.view(0), node.kind.lower())


@reads("Sinh", "Cosh")
def hyperbolic_function(node: OnnxNode) -> Value:
    """Hyperbolic sine and cosine."""
    return hyperbolic(node, node.view(0), node.kind == "Sinh")


@reads("Gelu")
def gelu(node: OnnxNode) -> Value:
    """With the error function, or its approximation by tanh."""
    approximate = node.attributes.get("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise UnsupportedOp(
            f"its approximation is {approximate!r}, which the standard does not know"
        )
    return node.add(Activation("gelu" if approximate == "none" else "gelu_tanh"), node.view(0))


@reads("PRelu")
def prelu(node: OnnxNode) -> Value:
    """`x` where positive, elsewhere times a constant slope, which broadcasts to `x`."""
    view = node.view(0)
    return parametric_relu(node, view, node.per_sample(1, view))


@reads("Shrink")
def shrink(node: OnnxNode) -> Value:
    """Hard (`bias` 0) or soft (`bias` as the threshold) shrinkage."""
    threshold = float(node.attributes.get("lambd", 0.5))
    bias = float(node.attributes.get("bias", 0.0))
    if bias not in (0.0, threshold) or threshold < 0:
        raise UnsupportedOp(
            f"its lambd is {threshold}, its bias {bias}",
            "A bias of 0 or of lambd, which must not be negative, can be read",
        )
    name = "hardshrink" if bias == 0 else "softshrink"
    return node.chain(node.view(0), *function(name, threshold=threshold))


@reads("Clip")
def clip(node: OnnxNode) -> Value:
    """`relu` or `relu6`; other bounds are one of those between two affine maps, exactly."""
    low, high = _bound(node, "min", 1, -math.inf), _bound(node, "max", 2, math.inf)
    return clipped(node, node.view(0), low, high)


def _bound(node: OnnxNode, name: str, index: int, unbounded: float) -> float:
    value = node.setting(name, index)
    if value is None:
        return unbounded
    number = _one(value, name)
    return math.copysign(math.inf, number) if abs(number) >= _UNBOUNDED else number


def _one(value: Any, name: str) -> float:
    """A setting or constant that is one number."""
    if np.size(value) != 1 or value is None:
        shape = None if value is None else np.shape(value)
        raise UnsupportedOp(f"its {name} has shape {shape}, one number is expected")
    return float(np.ravel(value)[0])


@reads("Pow")
def power(node: OnnxNode) -> Value:
    """A signal to a constant power, or a positive constant to the power of a signal."""
    if node.is_constant(0):
        return exponential(node, _one(node.constant(0), "base"), node.view(1))
    return powered(node, node.view(0), _one(node.constant(1), "exponent"))


@reads("Add", "Sum", "Mean", "Sub")
def add(node: OnnxNode) -> SignalValue:
    """Sum, mean or difference of signals and constants."""
    signs = [1.0] + [-1.0 if node.kind == "Sub" else 1.0] * (len(node.inputs) - 1)
    terms, masked = finite_terms(list(zip(signs, node.inputs_of_sample(), strict=True)))
    made = combined(node, *terms, divisor=len(terms) if node.kind == "Mean" else 1.0)
    return signal(made, not masked)


def signal(made: Value, comparable: bool = True) -> SignalValue:
    """A result, which may differ from the ONNX value by design."""
    assert isinstance(made, SignalValue)
    return replace(made, comparable=comparable)


def finite_terms(terms: list[tuple[float, Operand]]) -> tuple[list[tuple[float, Operand]], bool]:
    """Factors and operands with `HIDDEN` for minus infinity, and whether there was any."""
    found: list[tuple[float, Operand]] = []
    any_masked = False
    for factor, x in terms:
        if not isinstance(x, Value):
            shift, masked = finite(factor * x if factor != 1 else x)
            factor, x, any_masked = 1.0, shift, any_masked or masked
        found.append((factor, x))
    return found, any_masked


def finite(value: NDArray) -> tuple[NDArray, bool]:
    """A constant with `HIDDEN` for minus infinity, and whether it had any."""
    if not np.issubdtype(value.dtype, np.floating):
        return value, False
    masked = value <= LEAST
    return (np.where(masked, HIDDEN, value), True) if masked.any() else (value, False)


@reads("Max", "Min")
def maximum(node: OnnxNode) -> Value:
    """The larger, or smaller, of signals and constants; of one signal and one number, a bound."""
    operands = node.inputs_of_sample()
    if node.origin.kind == node.kind:
        return extremum(node, node.kind == "Max", *operands)
    x, bound = operands  # a limit of a quantised input or output, for which no neurons stand
    assert isinstance(x, Value)
    limit = node.constant_like(np.full(x.shape, bound), x, "limit")
    return node.add(Maximum() if node.kind == "Max" else Minimum(), x, limit)


@reads("Equal")
def equality(node: OnnxNode) -> Value:
    """The truth values of an equality of whole numbers; for real ones they would jump."""
    first, second = node.inputs_of_sample()
    if not are_whole(first, second):
        raise UnsupportedOp(*reason_for("", "Equal"))
    return equal(node, first, second)


def nonzero(node: OnnxNode) -> Value:
    """The truth values of `x != 0` for a signal x."""
    steps = [("magnitude", Activation("abs")), ("difference", ScaleShift(shift=np.array(1.0)))]
    return node.chain(node.view(0), *steps, ("", STEP))


@reads("Not")
def negation(node: OnnxNode) -> Value:
    """One minus a truth value."""
    return node.add(NOT, node.view(0))


@reads("Where")
def where(node: OnnxNode) -> SignalValue:
    """A choice between values, constant or not, by a constant condition or by a truth value."""
    smooth = _exported_softplus(node)
    if smooth is not None:
        return smooth
    if not node.is_constant(0):
        node.view(0)  # raises where a refusal explains the input already
    holds, *given = node.inputs_of_sample()
    ((_, yes), (_, no)), masked = finite_terms([(1.0, x) for x in given])
    if isinstance(holds, Value):
        return signal(chosen_by_truth(node, holds, yes, no), not masked)
    return signal(chosen(node, np.asarray(holds, bool), yes, no), not masked)


def _exported_softplus(node: OnnxNode) -> SignalValue | None:
    """`where(x > t, x, softplus(x))`, PyTorch's softplus: above `t` the two differ by rounding.

    The softplus alone, or None for any other choice.
    """
    condition, kept, view = node.inputs
    if not (
        isinstance(condition, SignalValue)
        and isinstance(kept, SignalValue)
        and isinstance(view, SignalValue)
    ):
        return None
    smooth, step = node.made(view.node), node.made(condition.node)
    if smooth.layer != Activation("softplus") or smooth.inputs != (kept.node,):
        return None
    difference = node.made(step.inputs[0]) if step.layer == STEP else step
    layer = difference.layer
    if difference.inputs != (kept.node,) or not isinstance(layer, ScaleShift):
        return None
    if layer.scale is not None or layer.shift is None or layer.shift.size != 1:
        return None
    t = 1.0 - float(layer.shift.reshape(()))
    exact = t > 0 and math.log1p(math.exp(-t)) / t <= 2.0**-24  # below float32's rounding
    return view if exact else None


_BINARY = {
    "Mul": "multiply", "Div": "divide", "Greater": "greater", "GreaterOrEqual": "greater or equal",
    "Less": "less", "LessOrEqual": "less or equal", "And": "both", "Or": "either", "Xor": "differ",
}  # fmt: skip


@reads(*_BINARY)
def binary(node: OnnxNode) -> Value:
    """An operation on two values, or a value and a constant."""
    first, second = node.inputs_of_sample()
    return BINARY[_BINARY[node.kind]](node, first, second)


_PARTIAL = ("log", "log_softmax", "power", "reciprocal", "sqrt")


@reads("IsNaN", "IsInf")
def is_no_number(node: OnnxNode) -> ConstantValue:
    """False: where exporters guard a softmax, or anything that makes numbers of all numbers.

    The rows of a softmax that a constant masks everywhere are no numbers.
    """
    view = node.view(0)
    made = {made.name: made for made in node.builder.nodes}
    guarded, moved = made[view.node], False
    while isinstance(guarded.layer, Identity | Permute | Reshape):
        moved = moved or not isinstance(guarded.layer, Identity)
        guarded = made[guarded.inputs[0]]
    layer = guarded.layer
    function = layer.function if isinstance(layer, Activation) else layer.kind
    if function in _PARTIAL or isinstance(layer, Divide):
        raise UnsupportedOp(
            f"it asks where {function} has no value, which jumps there",
            "Keep its input where it has one, e.g. by adding a small number",
        )
    none = np.zeros(view.shape, bool)
    if function == "softmax" and node.kind == "IsNaN":
        none |= _masked_everywhere(node, made, guarded, moved)
    return ConstantValue(none.reshape(view.full))


def _masked_everywhere(
    node: OnnxNode, made: dict[str, GraphNode], softmax: GraphNode, moved: bool
) -> NDArray:
    """True for the rows of a softmax that a constant masks everywhere.

    Raises `UnsupportedOp` where there are some and they are moved behind the softmax.
    """
    (name,) = softmax.inputs
    shape, layer = node.builder.shapes[name], softmax.layer
    axis = layer.axis(len(shape)) if isinstance(layer, Activation) else -1
    shift = made[name].layer.arrays().get("shift", np.zeros(()))
    found = np.all(np.broadcast_to(shift, shape) <= HIDDEN, axis=axis, keepdims=True)
    if found.any() and moved:
        raise UnsupportedOp(
            "it asks which rows of a softmax are masked everywhere, and some are",
            "Leave something of every row unmasked",
        )
    return np.zeros((), bool) if moved else np.asarray(found)
