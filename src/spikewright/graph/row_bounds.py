"""The numbers that inputs may hold because rows of tables are looked up by them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers import (
    Broadcast,
    Concatenate,
    Crop,
    Identity,
    Input,
    Layer,
    Lookup,
    Permute,
    Reshape,
    Shape,
    Slice,
    Take,
    Tile,
)

MOVES = (Broadcast, Concatenate, Crop, Identity, Permute, Reshape, Slice, Take, Tile)
"""Layers whose values are those of their inputs, elsewhere."""


class Node(Protocol):
    """A layer under a name, and the values that it reads."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def layer(self) -> Layer:
        """Its layer."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what it reads."""


def row_bounds(nodes: Sequence[Node], shapes: Mapping[str, Shape]) -> dict[str, NDArray]:
    """The number of rows that each value of an input is looked up in, `{input: (*shape) or ()}`.

    Infinity for values by which no row is looked up, or only after a change; inputs without any
    bound are left out. Values of several tables have the smallest number of rows.
    """
    leading = _leading(nodes)
    places, numbers, bounds = dict[str, NDArray](), dict[str, NDArray](), np.full(0, np.inf)
    for node in nodes:
        layer = node.layer
        if isinstance(layer, Lookup) and node.inputs[0] in numbers:
            found = numbers[node.inputs[0]].astype(np.int64)
            bounds[found] = np.minimum(bounds[found], len(layer.table))
        elif node.name not in leading:
            continue
        elif isinstance(layer, Input):
            shape = shapes[node.name]
            first, count = len(bounds), math.prod(shape)
            places[node.name] = np.arange(first, first + count).reshape(shape)
            numbers[node.name] = places[node.name][None].astype(np.float64)
            bounds = np.append(bounds, np.full(count, np.inf))
        elif all(name in numbers for name in node.inputs):
            numbers[node.name] = layer.evaluate(*(numbers[name] for name in node.inputs))
    each = {name: bounds[place] for name, place in places.items()}
    return {name: _short(found) for name, found in each.items() if np.any(np.isfinite(found))}


def _leading(nodes: Sequence[Node]) -> set[str]:
    """Inputs, and nodes that move their values, from which a table is reached."""
    found: set[str] = set()
    for node in reversed(nodes):
        moved = isinstance(node.layer, MOVES) and node.name in found
        if moved or isinstance(node.layer, Lookup):
            found.update(node.inputs)
    return {n.name for n in nodes if n.name in found and isinstance(n.layer, (*MOVES, Input))}


def _short(bounds: NDArray) -> NDArray:
    """One bound without axes where all are the same: it holds for sequences of any length."""
    return np.asarray(bounds.flat[0]) if np.all(bounds == bounds.flat[0]) else np.asarray(bounds)
