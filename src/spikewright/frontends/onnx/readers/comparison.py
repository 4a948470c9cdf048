"""Truth values: comparisons of signals, and choices by them.

`a > b` is one or zero: the `threshold` activation at one of `a - b + 1`, and no more than one. It
jumps where the two are equal; a spiking network tends to it everywhere else.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.arithmetic import (
    Operands,
    broadcast,
    finite,
    operands,
    spread,
)
from spikewright.frontends.onnx.reasons import reason_for
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Truth, Unreadable, View
from spikewright.graph.layers import (
    Activation,
    Add,
    Broadcast,
    Identity,
    Layer,
    Maximum,
    Minimum,
    Multiply,
    ScaleShift,
    Shape,
)

STEP = Activation("threshold", {"threshold": 1.0, "value": 0.0, "maximum": 1.0})
_MINUS = np.array(-1.0)
_NOT = ScaleShift(_MINUS, np.array(1.0))


@reads("Greater", "Less", "GreaterOrEqual", "LessOrEqual")
def compare(node: OnnxNode) -> Truth:
    """The truth values of an inequality of two values, at least one of them a signal."""
    given = operands(node)
    strict = not node.kind.endswith("OrEqual")  # a >= b where not b > a
    first = 0 if node.kind in ("Greater", "LessOrEqual") else 1
    margin = 0.5 if _are_whole(node) else 1.0  # between whole numbers, so that none lies on it
    difference = _difference(node, given, first, margin)
    step = node.add(STEP, difference, part="" if strict else "other")
    name = step if strict else node.add(_NOT, step)
    threshold = given.constants.get(1)
    if node.kind == "Greater" and threshold is not None and threshold.size == 1:
        above = (given.signals[0].name, float(threshold.ravel()[0]))
        return Truth(name=name, layout=given.layout, above=above)
    return Truth(name=name, layout=given.layout)


@reads("Equal")
def equal(node: OnnxNode) -> Truth:
    """The truth values of an equality of whole numbers; for real ones they would jump."""
    if not _are_whole(node):
        raise Unreadable(*reason_for("", "Equal"))
    given = operands(node)
    steps = [
        ("distance", Activation("abs")),
        ("distance and half", ScaleShift(shift=np.array(0.5))),
        ("unequal", STEP),
        ("", _NOT),
    ]
    return Truth(name=node.chain(_difference(node, given, 0, 0.0), steps), layout=given.layout)


def _are_whole(node: OnnxNode) -> bool:
    """Whether the signals that a node reads, where they are known, hold whole numbers."""
    return all(value.whole for value in node.inputs if isinstance(value, Signal))


def _difference(node: OnnxNode, given: Operands, first: int, margin: float) -> str:
    """Input `first` minus the other, plus a margin."""
    shape, shift, names = given.shape, np.array(margin), []
    for index in (0, 1):
        sign = 1.0 if index == first else -1.0
        if index in given.constants:
            shift = margin + sign * np.asarray(given.constants[index], np.float64)
            continue
        name = spread(node, given.signals[index], shape, f"repeated {index}")
        if sign < 0:
            name = node.add(ScaleShift(_MINUS), name, part=f"negative {index}")
        names.append(name)
    total = node.add(Add(), *names, part="sum") if len(names) > 1 else names[0]
    return node.add(ScaleShift(shift=shift), total, part="difference")


def nonzero(node: OnnxNode) -> Truth:
    """The truth values of `x != 0` for a signal x."""
    view = node.view(0)
    steps = [("magnitude", Activation("abs")), ("difference", ScaleShift(shift=np.array(1.0)))]
    return Truth(name=node.chain(view.name, [*steps, ("", STEP)]), layout=view.layout)


def _as_signals(node: OnnxNode) -> OnnxNode:
    """The node with its truth values as signals of ones and zeros."""
    inputs = tuple(
        Signal(value.name, value.layout) if isinstance(value, Truth) else value
        for value in node.inputs
    )
    return replace(node, inputs=inputs)


@reads("Not")
def negation(node: OnnxNode) -> Truth:
    """One minus a truth value."""
    view = _as_signals(node).view(0)
    return Truth(name=node.add(_NOT, view.name), layout=view.layout)


@reads("And", "Or")
def connective(node: OnnxNode) -> Truth:
    """The smaller, or larger, of truth values."""
    given = operands(_as_signals(node))
    names = [view.name for view in given.signals.values()]
    names += [node.add_constant(c, f"constant {i}") for i, c in given.constants.items()]
    layer: Layer = Minimum() if node.kind == "And" else Maximum()
    return Truth(name=node.add(layer, *names), layout=given.layout)


@reads("Where")
def where(node: OnnxNode) -> Signal:
    """A choice between values, constant or not, by a constant condition or by a truth value."""
    condition = node.inputs[0]
    if isinstance(condition, Truth):
        return _exported_softplus(node, condition) or _chosen_by_truth(node)
    if not node.is_constant(0):
        node.view(0)  # raises where a refusal explains the input already
    given = operands(node)
    chosen = given.constants.pop(0).astype(bool)
    shape = broadcast([chosen.shape, given.shape])
    terms, shift, masked = [], np.zeros(()), False
    for index, mask in ((1, chosen), (2, ~chosen)):
        if index in given.constants:
            value, infinite = finite(np.asarray(given.constants[index]))
            shift = shift + np.where(mask, value, 0.0)
            masked = masked or infinite
        else:
            name = spread(node, given.signals[index], shape, f"repeated {index}")
            terms.append((index, name, mask.astype(np.float64)))
    if len(terms) == 1:
        ((_, name, mask),) = terms
        return given.result(node.add(ScaleShift(mask, np.asarray(shift)), name), not masked)
    parts = [node.add(ScaleShift(m), name, part=f"chosen {i}") for i, name, m in terms]
    return given.result(node.add(Add(), *parts))


def _chosen_by_truth(node: OnnxNode) -> Signal:
    """`c a + (1 - c) b` for a truth value `c`."""
    given = operands(_as_signals(node))
    shape, condition = given.shape, given.signals.pop(0)
    other = View(node.add(_NOT, condition.name, part="other"), condition.shape, condition.layout)
    parts, masked = [], False
    for index, truth in ((1, condition), (2, other)):
        constant = given.constants.get(index)
        if constant is not None:
            constant, infinite = finite(np.asarray(constant))
            masked = masked or infinite
            if not constant.any():
                continue
        parts.append(_times(node, truth, given.signals.get(index), constant, shape, index))
    if not parts:
        name = spread(node, condition, shape, "repeated")
        return given.result(node.add(ScaleShift(np.array(0.0)), name))
    layer: Layer = Add() if len(parts) > 1 else Identity()
    return given.result(node.add(layer, *parts), not masked)


def _times(
    node: OnnxNode,
    truth: View,
    view: View | None,
    constant: NDArray | None,
    shape: Shape,
    index: int,
) -> str:
    """A value where a truth value is one, else zero."""
    part = f"chosen {index}"
    if view is None:
        name = spread(node, truth, shape, f"truth {index}")
        return node.add(ScaleShift(constant), name, part=part)
    name = node.add(Multiply(), truth.name, view.name, part=part)
    if node.shape_of(name) != shape:
        name = node.add(Broadcast(shape), name, part=f"{part} repeated")
    return name


def _exported_softplus(node: OnnxNode, condition: Truth) -> Signal | None:
    """`where(x > t, x, softplus(x))`, PyTorch's softplus: above `t` the two differ by rounding.

    The softplus alone, or None for any other choice.
    """
    if condition.above is None or node.is_constant(1) or node.is_constant(2):
        return None
    kept, view, (signal, t) = node.view(1), node.view(2), condition.above
    made = next(made for made in node.builder.nodes if made.name == view.name)
    smooth = isinstance(made.layer, Activation) and made.layer.function == "softplus"
    exact = t > 0 and math.log1p(math.exp(-t)) / t <= 2.0**-24  # below float32's rounding
    if kept.name == signal and smooth and exact and made.inputs == (signal,):
        return view.signal(view.name)
    return None
