"""The channel axis of a layer's value."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import Graph
from spikewright.graph import layers as g
from spikewright.graph.layers import Layer, Shape

_BY_FLAG = (g.Convolution, g.ConvolutionTranspose, g.AveragePool, g.MaxPool)
_BY_AXIS = (g.BatchNormalization, g.GroupNormalization)
_MOVES = (g.Reshape, g.Permute, g.Slice, g.Take, g.Tile, g.MatMul)  # axes may mean something else


def channel_axis(graph: Graph, name: str) -> int | None:
    """The axis of the unbatched value of a layer that its channels lie on; None for a number.

    The nearest layer before it that knows (a convolution, a pooling, a dense layer, a
    normalisation) says so, else the nearest one after it, else it is the last.
    """
    rank = len(graph.shapes[name])
    if rank == 0:
        return None
    found = _before(graph, name)
    if found is None:
        found = _after(graph, name)
    return rank - 1 if found is None else found % rank


def _before(graph: Graph, name: str) -> int | None:
    """The channel axis by the nearest layer that leads here, itself included."""
    rank = len(graph.shapes[name])
    waiting, seen = [name], {name}
    while waiting:
        node = graph[waiting.pop(0)]
        axis = _of_output(node.layer)
        if axis is not None:
            return axis
        for source in node.inputs:
            same = len(graph.shapes[source]) == rank and not isinstance(node.layer, _MOVES)
            if same and source not in seen:
                seen.add(source)
                waiting.append(source)
    return None


def _after(graph: Graph, name: str) -> int | None:
    """The channel axis by the nearest layer that reads this value."""
    rank = len(graph.shapes[name])
    waiting, seen = [name], {name}
    while waiting:
        for reader in graph.consumers[waiting.pop(0)]:
            layer = graph[reader].layer
            if isinstance(layer, _BY_FLAG + _BY_AXIS + (g.Affine,)):
                return _of_output(layer)
            same = len(graph.shapes[reader]) == rank and not isinstance(layer, _MOVES)
            if same and reader not in seen:
                seen.add(reader)
                waiting.append(reader)
    return None


def _of_output(layer: Layer) -> int | None:
    """The channel axis of a layer's output, where the layer itself determines it."""
    if isinstance(layer, _BY_FLAG):
        return -1 if layer.channels_last else 0
    if isinstance(layer, _BY_AXIS):
        return layer.axis
    return -1 if isinstance(layer, g.Affine) else None


def by_channel(value: NDArray, axis: int | None) -> NDArray:
    """A batched value `(batch, *shape)` as `(channels, values)`."""
    if axis is None:
        return value.reshape(1, -1)
    moved = np.moveaxis(value, axis + 1, 0)
    return moved.reshape(len(moved), -1)


def channels_of(shape: Shape, axis: int | None) -> int:
    """The number of channels of a value of this unbatched shape."""
    return 1 if axis is None else shape[axis]


def spread(values: NDArray, shape: Shape, axis: int | None) -> NDArray:
    """One number a channel, shaped to broadcast against the layer; a single one as a scalar."""
    if len(values) == 1 or axis is None:
        return np.asarray(values.reshape(-1)[0])
    return values.reshape(tuple(n if i == axis else 1 for i, n in enumerate(shape)))


def channel_size(shape: Shape, axis: int | None) -> int:
    """The number of neurons of a channel."""
    return math.prod(shape) // max(1, channels_of(shape, axis))
