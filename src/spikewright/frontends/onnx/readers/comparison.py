"""Truth values: comparisons of signals, and choices by them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.arithmetic import finite_terms, signal
from spikewright.frontends.onnx.reasons import reason_for
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Truth, Unreadable
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
def compare(node: OnnxNode) -> Truth:
    """The truth values of an inequality of two values, at least one of them a signal."""
    first, second = node.inputs_of_sample()
    x, y = (first, second) if node.kind.startswith("Greater") else (second, first)
    found = Truth(signal=signal(greater(node, x, y, strict=not node.kind.endswith("OrEqual"))))
    if node.kind == "Greater" and isinstance(first, Value) and not isinstance(second, Value):
        above = (str(first.name), float(second.ravel()[0]))
        return replace(found, above=above) if second.size == 1 else found
    return found


@reads("Equal")
def equality(node: OnnxNode) -> Truth:
    """The truth values of an equality of whole numbers; for real ones they would jump."""
    first, second = node.inputs_of_sample()
    if not are_whole(first, second):
        raise Unreadable(*reason_for("", "Equal"))
    return Truth(signal=signal(equal(node, first, second)))


def nonzero(node: OnnxNode) -> Truth:
    """The truth values of `x != 0` for a signal x."""
    steps = [("magnitude", Activation("abs")), ("difference", ScaleShift(shift=np.array(1.0)))]
    return Truth(signal=signal(node.chain(node.view(0), *steps, ("", STEP))))


def as_signals(node: OnnxNode) -> OnnxNode:
    """The node with its truth values as signals of ones and zeros."""
    inputs = tuple(value.signal if isinstance(value, Truth) else value for value in node.inputs)
    return replace(node, inputs=inputs)


@reads("Not")
def negation(node: OnnxNode) -> Truth:
    """One minus a truth value."""
    return Truth(signal=node.add(NOT, as_signals(node).view(0)))


@reads("And", "Or")
def connective(node: OnnxNode) -> Truth:
    """The smaller, or larger, of truth values."""
    given = as_signals(node).inputs_of_sample()
    return Truth(signal=signal(extremum(node, node.kind == "Or", *given)))


@reads("Where")
def where(node: OnnxNode) -> Signal:
    """A choice between values, constant or not, by a constant condition or by a truth value."""
    condition = node.inputs[0]
    if isinstance(condition, Truth):
        return _exported_softplus(node, condition) or _chosen_by_truth(node)
    if not node.is_constant(0):
        node.view(0)  # raises where a refusal explains the input already
    holds, *given = node.inputs_of_sample()
    ((_, yes), (_, no)), masked = finite_terms([(1.0, x) for x in given])
    return signal(chosen(node, np.asarray(holds, bool), yes, no), not masked)


def _chosen_by_truth(node: OnnxNode) -> Signal:
    """`c a + (1 - c) b` for a truth value `c`."""
    condition, *given = as_signals(node).inputs_of_sample()
    assert isinstance(condition, Value)
    ((_, yes), (_, no)), masked = finite_terms([(1.0, x) for x in given])
    return signal(chosen_by_truth(node, condition, yes, no), not masked)


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
        return view
    return None
