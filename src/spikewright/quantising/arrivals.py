"""Sums that arrive at a population, and the units of values at every node of a graph.

A unit is the value that one whole number stands for. That of a population is the height of its
spikes. Layers that move values move units, means divide them, and weights in whole numbers have a
step of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import split_shape
from spikewright.choosing.statistics.channels import channel_axis
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Add,
    Affine,
    AveragePool,
    BatchNormalization,
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
    ScaleShift,
    Slice,
    Sum,
    Take,
    Tile,
    UpsampleNearest,
    ZeroPad,
)
from spikewright.graph.whole_weights import WEIGHTED, rows, with_rows
from spikewright.lower.populations import Roles
from spikewright.network.transforms import Shape
from spikewright.quantising.fixed_point import FixedPoint

_MOVES = (
    Broadcast, Concatenate, Crop, Identity, MaxPool, GlobalMaxPool, Pad, Permute, Reshape, Slice,
    Take, Tile, UpsampleNearest, ZeroPad,
)  # fmt: skip


class WeightUnit(NamedTuple):
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


def given(shape: Shape) -> WeightUnit:
    """The unit of values that are no whole numbers of anything."""
    return WeightUnit(np.ones(shape), False)


def carried(node: GraphNode, inputs: list[WeightUnit], shape: Shape) -> WeightUnit:
    """The unit behind a layer without weights; what is no move, sum or mean is no whole number."""
    layer = node.layer
    if isinstance(layer, Add):
        values = np.broadcast_arrays(*(unit.value for unit in inputs))
        same = all(np.array_equal(value, values[0]) for value in values)
        return WeightUnit(np.array(values[0]), same and all(unit.whole for unit in inputs))
    if isinstance(layer, _MOVES):
        return _moved(layer, inputs)
    if isinstance(layer, AveragePool):
        return _averaged(layer, inputs[0])
    if isinstance(layer, GlobalAveragePool | Sum):
        return _summed(layer, inputs[0])
    return given(shape)


def _moved(layer: Layer, inputs: list[WeightUnit]) -> WeightUnit:
    """Units move as values do; places that are filled with zeros have any unit."""
    moved = layer.evaluate(*(unit.value[None] for unit in inputs))[0]
    least = min(float(unit.value.min()) for unit in inputs)
    return WeightUnit(np.where(moved > 0, moved, least), all(unit.whole for unit in inputs))


def _averaged(layer: AveragePool, unit: WeightUnit) -> WeightUnit:
    """Sums of whole numbers, divided by the number of values in each window."""
    shape = unit.value.shape
    axis = len(shape) - 1 if layer.channels_last else 0
    spatial, _ = split_shape(shape, layer.channels_last)
    divisors = np.expand_dims(layer.divisors(spatial), axis)
    channels = along(unit.value, axis).reshape(one_each(shape, axis))
    return WeightUnit(channels / divisors, unit.whole and same_along(unit.value, axis))


def _summed(layer: GlobalAveragePool | Sum, unit: WeightUnit) -> WeightUnit:
    """Sums of whole numbers over axes, or their means."""
    terms = math.prod(unit.value.shape[axis] for axis in layer.axes)
    same = bool(np.all(np.ptp(unit.value, axis=tuple(layer.axes)) == 0))
    return WeightUnit(layer.evaluate(unit.value[None])[0] / terms, unit.whole and same)


Edge = tuple[str, int]  # a reader, and which of its inputs


@dataclass(frozen=True, eq=False)
class Arrival:
    """One of the sums of a population's input: a layer with weights, or a value as it is.

    `node` is the layer, or None where values arrive without weights: then they get one a channel,
    at `edge`. `unit` is that of the values, along the axis `axis` of the population's channels.
    """

    node: GraphNode | None
    edge: Edge
    unit: WeightUnit
    axis: int | None

    @property
    def weights(self) -> NDArray:
        """The charge of a whole number that arrives, `(out, ...)`, as values."""
        if self.node is None:
            return self._inputs[:, None]
        if isinstance(self.node.layer, ScaleShift):
            return (_scale(self.node.layer, self.unit, self.axis) * self._inputs)[:, None]
        return rows(self.node.layer) * self._inputs

    @property
    def bias(self) -> NDArray | None:
        """The constant that is added, as the layer holds it."""
        layer = None if self.node is None else self.node.layer
        return getattr(layer, "shift" if isinstance(layer, ScaleShift) else "bias", None)

    def in_spikes(self, theta: NDArray) -> NDArray:
        """Weights as parts of the receivers' thresholds `(channels,)`."""
        weights = self.weights
        return weights / _aligned(theta, len(weights), weights.ndim)

    def bias_in_spikes(self, theta: NDArray) -> NDArray:
        """The bias as parts of the thresholds, one a channel; zero where there is none."""
        if self.bias is None:
            return np.zeros(1)
        bias = np.asarray(self.bias, np.float64)
        if self._plain:
            bias = along(np.broadcast_to(bias, self.unit.value.shape), self.axis)
        return bias / _aligned(theta, len(bias), 1)

    def rounded(self, fixed: FixedPoint, theta: NDArray, shape: tuple[int, ...]) -> Layer:
        """The layer in whole numbers; `shape` broadcasts one number a channel to its values."""
        weights, bias = fixed.weights(self.in_spikes(theta), not self.whole), None
        if self.bias is not None:
            bias = fixed.bias(self.bias_in_spikes(theta))
            bias = bias * _aligned(theta, len(bias), 1)
            bias = bias.reshape(shape) if self._plain else bias
        return self.layer(weights * _aligned(theta, len(weights), weights.ndim), bias, shape)

    @property
    def whole(self) -> bool:
        """True where whole numbers arrive, with one unit for each column of weights."""
        return self.unit.whole and same_along(self.unit.value, self._in_axis)

    @property
    def _in_axis(self) -> int | None:
        """The axis of the value that the columns of weights lie on."""
        layer = None if self.node is None else self.node.layer
        if layer is None or isinstance(layer, ScaleShift):
            return self.axis
        if isinstance(layer, Affine):
            return -1
        return -1 if layer.channels_last else 0  # type: ignore[attr-defined]

    @property
    def _inputs(self) -> NDArray:
        """Units as factors of the weights: they broadcast to `rows`."""
        unit = along(self.unit.value, self._in_axis)
        layer = None if self.node is None else self.node.layer
        if layer is None or isinstance(layer, ScaleShift | Affine):
            return unit
        weight = rows(layer)
        groups = layer.groups  # type: ignore[attr-defined]
        each = np.repeat(unit.reshape(groups, -1), len(weight) // groups, axis=0)
        return each.reshape(*each.shape, *(1,) * (weight.ndim - 2))

    def layer(self, weights: NDArray, bias: NDArray | None, shape: tuple[int, ...]) -> Layer:
        """The layer with these weights and this bias; `shape` broadcasts one a channel to them."""
        plain = weights / self._inputs.reshape(-1, 1) if self._plain else weights / self._inputs
        if self._plain:
            return ScaleShift(plain.reshape(shape), bias)
        assert self.node is not None
        return replace(with_rows(self.node.layer, plain), bias=bias)  # type: ignore[type-var]

    @property
    def _plain(self) -> bool:
        """True for one weight a channel."""
        return self.node is None or isinstance(self.node.layer, ScaleShift)


def _aligned(theta: NDArray, rows: int, rank: int) -> NDArray:
    """Thresholds that broadcast to rows of weights: their mean where rows are no channels."""
    each = theta if len(theta) == rows else theta.mean(keepdims=True)
    return each.reshape(-1, *(1,) * (rank - 1))


def _scale(layer: ScaleShift, unit: WeightUnit, axis: int | None) -> NDArray:
    """The factor of each channel."""
    scale = np.ones(()) if layer.scale is None else np.asarray(layer.scale, np.float64)
    return along(np.broadcast_to(scale, unit.value.shape), axis)


def plain_weights(node: GraphNode, rank: int) -> GraphNode:
    """A normalisation as the scale and shift that it is."""
    if isinstance(node.layer, BatchNormalization):
        return replace(node, layer=node.layer.as_scale_shift(rank))
    return node


def edges(roles: Roles, reader: str) -> Iterator[tuple[Edge, str | None]]:
    """The ends of a population's input, and the layer with weights there that is part of it."""
    for place, name in enumerate(roles.graph[reader].inputs):
        node = roles.graph[name]
        part = roles.absorbing(name) is not None
        if part and isinstance(node.layer, Add):
            yield from edges(roles, name)
        else:
            yield (reader, place), name if part and weighs(roles.graph, node) else None


def weighs(graph: Graph, node: GraphNode) -> bool:
    """True for a layer with a matrix, a kernel, or one weight a channel."""
    if not isinstance(node.layer, ScaleShift):
        return isinstance(node.layer, (*WEIGHTED, BatchNormalization))
    if node.layer.scale is None:
        return False
    shape = graph.shapes[node.name]
    return same_along(np.broadcast_to(node.layer.scale, shape), channel_axis(graph, node.name))
