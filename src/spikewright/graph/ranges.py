"""Bounds of the values of each layer that follow from its kind alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    AdaptiveAveragePool,
    Add,
    AveragePool,
    Broadcast,
    Concatenate,
    Constant,
    Crop,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Layer,
    Lookup,
    Maximum,
    MaxPool,
    Minimum,
    Multiply,
    Pad,
    Permute,
    Reshape,
    Slice,
    Take,
    Tile,
    UpsampleNearest,
    ZeroPad,
)

_FAR = 1e6
_FARTHER = (-1e30, -1e12, -1e-30, 1e-30, 1e12, 1e30)  # a function that grows there has no bound


class ValueRange(NamedTuple):
    """Values from `low` to `high`."""

    low: float
    high: float

    def points(self) -> NDArray:
        """Values to look at: many small ones of either sign, few large ones, and the bounds."""
        sizes = np.concatenate([np.linspace(0.0, 20.0, 401)[1:], np.geomspace(20.0, _FAR, 60)[1:]])
        small = np.geomspace(1e-6, 0.05, 30)[:-1]
        inside = np.concatenate([-sizes[::-1], -small[::-1], [0.0], small, sizes])
        ends = [end for end in self if np.isfinite(end)]
        kept = inside[(inside >= self.low) & (inside <= self.high)]
        return np.unique(np.concatenate([kept, ends]))


ANY = ValueRange(-np.inf, np.inf)
"""The range of unknown values."""

_COPIES = (
    AdaptiveAveragePool, Broadcast, Concatenate, Crop, GlobalAveragePool, GlobalMaxPool, Identity,
    Maximum, MaxPool, Minimum, Pad, Permute, Reshape, Slice, Take, Tile, UpsampleNearest,
)  # fmt: skip
"""Layers whose values are some of their inputs', or means of them."""

_COPIES_AND_ZEROS = (AveragePool, ZeroPad)
_OVER_AXIS = {"softmax": ValueRange(0.0, 1.0), "log_softmax": ValueRange(-np.inf, 0.0)}


def ranges(graph: Graph) -> dict[str, ValueRange]:
    """The range of every node's values, for inputs of any value."""
    found: dict[str, ValueRange] = {}
    for node in graph:
        found[node.name] = _range(node, [found[name] for name in node.inputs])
    return found


def _range(node: GraphNode, given: Sequence[ValueRange]) -> ValueRange:
    layer = node.layer
    if isinstance(layer, Constant):
        return ValueRange(float(layer.value.min()), float(layer.value.max()))
    if isinstance(layer, Lookup):
        return ValueRange(float(layer.table.min()), float(layer.table.max()))
    if isinstance(layer, Activation):
        if not layer.elementwise:
            return _OVER_AXIS[layer.function]
        return image(layer.evaluate, given[0])
    return _combined(layer, given)


def _combined(layer: Layer, given: Sequence[ValueRange]) -> ValueRange:
    """The range of a layer that combines values."""
    low, high = [r.low for r in given], [r.high for r in given]
    if isinstance(layer, Add):
        return ValueRange(sum(low), sum(high))
    if isinstance(layer, Multiply) and min(low) >= 0:
        return ValueRange(0.0, np.inf)
    if isinstance(layer, _COPIES):
        return ValueRange(min(low), max(high))
    if isinstance(layer, _COPIES_AND_ZEROS):
        return ValueRange(min(*low, 0.0), max(*high, 0.0))
    return ANY


def image(function: Callable[[NDArray], NDArray], given: ValueRange) -> ValueRange:
    """The range of an elementwise function's values, sampled; infinite where it keeps growing."""
    points = given.points()
    far = np.array([x for x in _FARTHER if given.low <= x <= given.high])
    with np.errstate(all="ignore"):
        values, beyond = function(points), function(far)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return ANY
    low, high = float(values.min()), float(values.max())
    grows = beyond.size > 0 and not np.nanmax(beyond) <= high
    falls = beyond.size > 0 and not np.nanmin(beyond) >= low
    return ValueRange(-np.inf if falls else low, np.inf if grows else high)
