"""Layers with several inputs."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.keras.registry import Call, reads, unbatched_axis
from spikewright.graph.layers import Add, Concatenate, ScaleShift


@reads("Add")
def add(call: Call) -> str | None:
    """The sum of any number of inputs of one shape."""
    return call.add(Add())


@reads("Subtract")
def subtract(call: Call) -> str | None:
    """The first input minus the second."""
    first, second = call.inputs
    negative = call.add(ScaleShift(scale=np.array(-1.0)), second.node, part="negative")
    return call.add(Add(), first.node, negative)


@reads("Average")
def average(call: Call) -> str | None:
    """The mean of any number of inputs of one shape."""
    total = call.add(Add(), part="sum")
    return call.add(ScaleShift(scale=np.array(1.0 / len(call.inputs))), total)


@reads("Concatenate", "ops.Concatenate")
def concatenate(call: Call) -> str | None:
    """Inputs side by side."""
    return call.add(Concatenate(unbatched_axis(call.layer.axis, len(call.shape))))
