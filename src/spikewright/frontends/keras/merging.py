"""Layers with several inputs, and their kin among the operations."""

from __future__ import annotations

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.keras.arithmetic import aligned, negated, total
from spikewright.frontends.keras.einsum import contract, ranks_of
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    reads,
    unbatched_axis,
)
from spikewright.frontends.reading.equation import tensordot_labels
from spikewright.graph.layers import (
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Reshape,
    ScaleShift,
    UnitNormalization,
)


@reads("Add")
def add(call: Call) -> Value:
    """The sum of any number of inputs."""
    return total(call, *aligned(call, call.inputs))


@reads("Subtract")
def subtract(call: Call) -> Value:
    """The first input minus the second."""
    first, second = aligned(call, call.inputs)
    return total(call, first, negated(call, second))


@reads("Average")
def average(call: Call) -> Value:
    """The mean of any number of inputs."""
    sum_ = total(call, *aligned(call, call.inputs), part="sum")
    return call.value(ScaleShift(scale=np.array(1.0 / len(call.inputs))), sum_)


@reads("Multiply")
def multiply(call: Call) -> Value:
    """The product of any number of inputs."""
    return call.value(Multiply(), *aligned(call, call.inputs))


@reads("Maximum", "Minimum")
def extremum(call: Call) -> Value:
    """The largest or the smallest of any number of inputs."""
    layer = Maximum() if call.kind == "Maximum" else Minimum()
    return call.value(layer, *aligned(call, call.inputs))


@reads("Dot")
def dot(call: Call) -> Value:
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
            call.value(UnitNormalization((axis,), epsilon), value, part=part)
            for axis, value, part in zip(over, (first, second), ("first", "second"), strict=True)
        )
    labels, result = tensordot_labels(ranks_of((first, second)), *([axis + 1] for axis in over))
    named = [("batch", *own[1:]) for own in labels]
    out = ("batch", *(label for label in result if label not in (labels[0][0], labels[1][0])))
    if len(out) > 1:
        return contract(call, (first, second), named, out)
    sum_ = contract(call, (first, second), named, out, part="sum")
    return call.value(Reshape((1,)), sum_)


@reads("Concatenate", "ops.Concatenate")
def concatenate(call: Call) -> Value:
    """Inputs side by side."""
    if call.kind == "ops.Concatenate" and len(call.inputs) != len(call.arguments["xs"]):
        raise Unreadable(
            "it joins a constant whose batch is fixed to tensors whose batch is not",
            "Add the constant with zeros in the tensors' places: pad the tensors and add",
        )
    return call.value(Concatenate(unbatched_axis(call.layer.axis, len(call.shape))))
