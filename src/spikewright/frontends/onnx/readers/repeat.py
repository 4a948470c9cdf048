"""Signals side by side, repeated, and padded: Concat, Expand, Tile, Pad."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Unreadable
from spikewright.frontends.reading.layout import layout_of, sample_shape
from spikewright.frontends.reading.selection import Mode, padded, tiled
from spikewright.frontends.reading.spending import afford
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import (
    Broadcast,
    Concatenate,
    Identity,
    Shape,
)


@reads("Concat")
def concat(node: OnnxNode) -> Value:
    """Signals and constants side by side along an axis beside the batch."""
    indices = range(len(node.inputs))
    if len(indices) == 1:
        return node.add(Identity(), node.view(0))
    signals = [index for index in indices if not node.is_constant(index)]
    full = int(node.attributes["axis"])
    views = dict(zip(signals, node.alike(signals, full), strict=True))
    like = views[signals[0]]
    if like.is_batch(full) and len(indices) > 1:
        views = {index: node.whole_sample(index) for index in signals}
        like = views[signals[0]]
    axis, shape = like.axis(full), like.shape
    values: list[Value] = []
    for index in indices:
        if index in views:
            values.append(views[index])
            continue
        array = np.asarray(node.per_sample(index, like), np.float64)
        if array.size == 0:
            continue
        if array.ndim != len(shape):
            raise Unreadable(f"a constant of shape {array.shape} does not fit beside {shape}")
        wanted = (*shape[:axis], array.shape[axis], *shape[axis + 1 :])
        values.append(node.constant_like(_spread(array, wanted), like, f"constant {index}"))
    return node.add(Concatenate(axis), *values)


def _spread(value: NDArray, shape: Shape) -> NDArray:
    """A constant at full size, where the batch axis of ones stood for all samples."""
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        raise Unreadable(f"a constant of shape {value.shape} does not fit {shape}") from None


@reads("Expand")
def expand(node: OnnxNode) -> Value:
    """Repeat along axes where the signal holds one value."""
    target = node.whole_numbers(1)
    if target is None:
        raise Unreadable("its target shape is missing")
    view = node.view(0)
    try:
        full = np.broadcast_shapes(view.full, target)
    except ValueError:
        shapes = [view.full, target]
        raise Unreadable(f"its inputs of shapes {shapes} do not broadcast") from None
    afford(math.prod(full))
    shape = sample_shape(full)
    if len(shape) < len(view.shape):
        view = node.signal(0)
    return replace(node.add(Broadcast(shape), view), layout=layout_of(full))


@reads("Tile")
def tile(node: OnnxNode) -> Value:
    """The whole signal several times along some axes."""
    repeats = node.integers("repeats", 1)
    view = node.view(0)
    if repeats is None or len(repeats) != view.rank or min(repeats, default=1) < 1:
        raise Unreadable(f"its repeats {repeats} are not one positive number per axis")
    axes = tuple(axis for axis, times in enumerate(repeats) if times > 1)
    view = node.view(0, *axes)
    times = {view.axis(axis): repeats[axis] for axis in axes}
    afford(math.prod((*view.shape, *times.values())))
    return tiled(node, view, times)


_MODES: tuple[Mode, ...] = ("constant", "reflect", "edge", "wrap")


@reads("Pad")
def pad(node: OnnxNode) -> Value:
    """A constant, or copies of the signal's own values, around it; negative counts remove."""
    mode = node.attributes.get("mode", "constant")
    if mode not in _MODES:
        raise Unreadable(f"its mode is {mode!r}, which the standard does not know")
    value = _pad_value(node) if mode == "constant" else 0.0
    counts = _pad_counts(node)
    view = node.view(0, *(axis for axis, pair in enumerate(counts) if any(pair)))
    pairs = [(0, 0)] * len(view.shape)
    for axis, pair in enumerate(counts):
        if any(pair):
            pairs[view.axis(axis)] = pair
    return padded(node, view, pairs, mode, value)


def _pad_value(node: OnnxNode) -> float:
    value = node.setting("value", 2)
    return 0.0 if value is None or np.size(value) == 0 else float(np.ravel(value)[0])


def _pad_counts(node: OnnxNode) -> list[tuple[int, int]]:
    """Counts before and after every axis, the batch included."""
    counts = node.integers("pads", 1)
    view = node.view(0)
    axes = node.integers("axes", 3)
    if axes is None:
        axes = view.every_axis()
    axes = tuple(view.full_axis(axis) for axis in axes)
    if counts is None or len(counts) != 2 * len(axes):
        raise Unreadable(f"its pads {counts} are not one pair for each of the axes {axes}")
    pairs = [(0, 0)] * view.rank
    for position, axis in enumerate(axes):
        pairs[axis] = counts[position], counts[position + len(axes)]
    return pairs
