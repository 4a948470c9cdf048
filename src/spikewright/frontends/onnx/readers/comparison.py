"""Truth values: comparisons of signals, and choices by them."""

from __future__ import annotations

import math

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.arithmetic import finite_terms, signal
from spikewright.frontends.onnx.reasons import reason_for
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable
from spikewright.frontends.reading.arithmetic import chosen, extremum
from spikewright.frontends.reading.truth import (
    NOT,
    STEP,
    are_whole,
    chosen_by_truth,
    equal,
    greater,
)
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Activation, ScaleShift


@reads("Greater", "Less", "GreaterOrEqual", "LessOrEqual")
def compare(node: OnnxNode) -> Value:
    """The truth values of an inequality of two values, at least one of them a signal."""
    first, second = node.inputs_of_sample()
    x, y = (first, second) if node.kind.startswith("Greater") else (second, first)
    return greater(node, x, y, strict=not node.kind.endswith("OrEqual"))


@reads("Equal")
def equality(node: OnnxNode) -> Value:
    """The truth values of an equality of whole numbers; for real ones they would jump."""
    first, second = node.inputs_of_sample()
    if not are_whole(first, second):
        raise Unreadable(*reason_for("", "Equal"))
    return equal(node, first, second)


@reads("Xor")
def difference(node: OnnxNode) -> Value:
    """Whether truth values differ."""
    first, second = node.inputs_of_sample()
    return equal(node, first, second, same=False)


def nonzero(node: OnnxNode) -> Value:
    """The truth values of `x != 0` for a signal x."""
    steps = [("magnitude", Activation("abs")), ("difference", ScaleShift(shift=np.array(1.0)))]
    return node.chain(node.view(0), *steps, ("", STEP))


@reads("Not")
def negation(node: OnnxNode) -> Value:
    """One minus a truth value."""
    return node.add(NOT, node.view(0))


@reads("And", "Or")
def connective(node: OnnxNode) -> Value:
    """The smaller, or larger, of truth values."""
    return extremum(node, node.kind == "Or", *node.inputs_of_sample())


@reads("Where")
def where(node: OnnxNode) -> Signal:
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


def _exported_softplus(node: OnnxNode) -> Signal | None:
    """`where(x > t, x, softplus(x))`, PyTorch's softplus: above `t` the two differ by rounding.

    The softplus alone, or None for any other choice.
    """
    condition, kept, view = node.inputs
    if not (
        isinstance(condition, Signal) and isinstance(kept, Signal) and isinstance(view, Signal)
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
