"""Units of values at every node of a graph: the value that one whole number stands for.

A population's unit is the height of its spikes. Layers that move values move units, means divide
them, and weights in whole numbers have a step of their own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import split_shape
from spikewright.graph import Node
from spikewright.graph.layers import (
    Add,
    AveragePool,
    Broadcast,
    Concatenate,
    Crop,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Layer,
    MaxPool,
    Pad,
    Permute,
    Reshape,
    Slice,
    Sum,
    Take,
    Tile,
    UpsampleNearest,
    ZeroPad,
)
from spikewright.network.transforms import Shape

_MOVES = (
    Broadcast, Concatenate, Crop, Identity, MaxPool, GlobalMaxPool, Pad, Permute, Reshape, Slice,
    Take, Tile, UpsampleNearest, ZeroPad,
)  # fmt: skip


class Unit(NamedTuple):
    """The value of one, `(*shape)`; values are whole numbers of it where `whole` is true."""

    value: NDArray
    whole: bool


def along(values: NDArray, axis: int | None) -> NDArray:
    """The mean at each place along an axis, `(n,)`; of all places for None, `(1,)`."""
    if axis is None or values.ndim == 0:
        return np.array([values.mean()])
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    return np.asarray(values.mean(axis=others))


def same_along(values: NDArray, axis: int | None) -> bool:
    """True where places with one index along an axis have one value."""
    if axis is None or values.ndim == 0:
        return bool(np.all(values == values.flat[0]))
    moved = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    return bool(np.all(moved == moved[:, :1]))


def one_each(shape: Shape, axis: int | None) -> Shape:
    """The shape of one number a channel that broadcasts to values of `shape`."""
    return tuple(n if i == axis else 1 for i, n in enumerate(shape))


def given(shape: Shape) -> Unit:
    """The unit of values that are no whole numbers of anything."""
    return Unit(np.ones(shape), False)


def carried(node: Node, inputs: list[Unit], shape: Shape) -> Unit:
    """The unit behind a layer without weights; what is no move, sum or mean is no whole number."""
    layer = node.layer
    if isinstance(layer, Add):
        values = np.broadcast_arrays(*(unit.value for unit in inputs))
        same = all(np.array_equal(value, values[0]) for value in values)
        return Unit(np.array(values[0]), same and all(unit.whole for unit in inputs))
    if isinstance(layer, _MOVES):
        return _moved(layer, inputs)
    if isinstance(layer, AveragePool):
        return _averaged(layer, inputs[0])
    if isinstance(layer, GlobalAveragePool | Sum):
        return _summed(layer, inputs[0])
    return given(shape)


def _moved(layer: Layer, inputs: list[Unit]) -> Unit:
    """Units move as values do; places that are filled with zeros have any unit."""
    moved = layer.evaluate(*(unit.value[None] for unit in inputs))[0]
    least = min(float(unit.value.min()) for unit in inputs)
    return Unit(np.where(moved > 0, moved, least), all(unit.whole for unit in inputs))


def _averaged(layer: AveragePool, unit: Unit) -> Unit:
    """Sums of whole numbers, divided by the number of values in each window."""
    shape = unit.value.shape
    axis = len(shape) - 1 if layer.channels_last else 0
    spatial, _ = split_shape(shape, layer.channels_last)
    divisors = np.expand_dims(layer.divisors(spatial), axis)
    channels = along(unit.value, axis).reshape(one_each(shape, axis))
    return Unit(channels / divisors, unit.whole and same_along(unit.value, axis))


def _summed(layer: GlobalAveragePool | Sum, unit: Unit) -> Unit:
    """Sums of whole numbers over axes, or their means."""
    terms = math.prod(unit.value.shape[axis] for axis in layer.axes)
    same = bool(np.all(np.ptp(unit.value, axis=tuple(layer.axes)) == 0))
    return Unit(layer.evaluate(unit.value[None])[0] / terms, unit.whole and same)
