"""Layers with several inputs, and their kin among the operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spikewright._base.optional import require
from spikewright.frontends.keras.constants import as_values
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    reads,
    unbatched_axis,
)
from spikewright.frontends.reading.arithmetic import combined, extremum, total
from spikewright.frontends.reading.equation import tensordot_labels
from spikewright.frontends.reading.products import contracted, ranks
from spikewright.graph.layers import (
    Concatenate,
    Multiply,
    Reshape,
    UnitNormalization,
)


@reads("Add")
def add(call: Call) -> Value:
    """The sum of any number of inputs."""
    return total(call, *call.aligned(*call.inputs))


@reads("Subtract")
def subtract(call: Call) -> Value:
    """The first input minus the second."""
    first, second = call.aligned(*call.inputs)
    return combined(call, (1.0, first), (-1.0, second))


@reads("Average")
def average(call: Call) -> Value:
    """The mean of any number of inputs."""
    terms = ((1.0, value) for value in call.aligned(*call.inputs))
    return combined(call, *terms, divisor=len(call.inputs))


@reads("Multiply")
def multiply(call: Call) -> Value:
    """The product of any number of inputs."""
    return call.add(Multiply(), *call.aligned(*call.inputs))


@reads("Maximum", "Minimum")
def maximum(call: Call) -> Value:
    """The largest or the smallest of any number of inputs."""
    return extremum(call, call.kind == "Maximum", *call.aligned(*call.inputs))


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
            call.add(UnitNormalization((axis,), epsilon), value, part=part)
            for axis, value, part in zip(over, (first, second), ("first", "second"), strict=True)
        )
    labels, result = tensordot_labels(ranks(call, (first, second)), *([axis + 1] for axis in over))
    named = [("batch", *own[1:]) for own in labels]
    out = tuple(label for label in result if label not in (labels[0][0], labels[1][0]))
    if out:
        return contracted(call, (first, second), named, ("batch", *out))
    sum_ = contracted(call, (first, second), named, ("batch",), part="sum")
    return call.add(Reshape((1,)), sum_)


@reads("Concatenate", "ops.Concatenate")
def concatenate(call: Call) -> Value:
    """Inputs side by side."""
    if call.kind == "Concatenate":
        axis = unbatched_axis(call.layer.axis, len(call.shape))
        return call.add(Concatenate(axis))
    return joined(call, call.arguments["xs"], call.layer.axis)


@reads("ops.Append")
def append(call: Call) -> Value:
    """One tensor behind another along an axis."""
    if call.layer.axis is None:
        raise Unreadable("it joins the flat batch", "Name the axis")
    return joined(call, [call.arguments["x1"], call.arguments["x2"]], call.layer.axis)


@reads("ops.Hstack", "ops.Dstack")
def stacked_sideways(call: Call) -> Value:
    """Tensors side by side along the second axis, or the third."""
    if call.kind == "ops.Hstack":
        return joined(call, call.arguments["xs"], 1)
    return joined(call, call.arguments["xs"], 2)


def joined(call: Call, tensors: Sequence[Any], axis: int) -> Value:
    """Values and constants side by side along one of Keras's axes."""
    values = as_values(call, tensors)
    return call.add(Concatenate(unbatched_axis(axis, len(call.shape))), *values)
