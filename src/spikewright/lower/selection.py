"""Layers that choose, repeat and move values, as transforms without weights."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers import (
    Broadcast,
    Crop,
    Pad,
    Shape,
    Slice,
    Take,
    Tile,
    UpsampleNearest,
    ZeroPad,
)
from spikewright.network import transforms as t


def zero_pad(layer: ZeroPad, shape: Shape) -> t.Transform:
    """The input surrounded by zeros."""
    ranges = tuple(
        (before, before + n, 1) for n, (before, _) in zip(shape, layer.pads, strict=True)
    )
    return t.Place(ranges, layer.output_shape(shape))


def crop(layer: Crop, shape: Shape) -> t.Transform:
    """A part of every axis."""
    ranges = tuple(
        (before, n - after, 1) for n, (before, after) in zip(shape, layer.crops, strict=True)
    )
    return t.Slice(ranges)


def strided(layer: Slice, shape: Shape) -> t.Transform:
    """A slice where all steps are forward, else positions axis by axis."""
    if all(step > 0 for _, _, step in layer.ranges):
        return t.Slice(
            tuple((start, start + (n - 1) * step + 1, step) for start, n, step in layer.ranges)
        )
    return _along_axes(layer.indices(), shape)


def take(layer: Take, shape: Shape) -> t.Transform:
    """Entries of one axis, which the axes of the indices replace."""
    axis = layer.axis % len(shape)
    chosen = np.asarray(layer.indices).reshape(-1) % shape[axis]
    entries = t.Take(chosen, axis)
    if layer.indices.ndim == 1:
        return entries
    return t.Chain((entries, t.Reshape(layer.output_shape(shape))))


def tile(layer: Tile, shape: Shape) -> t.Transform:
    """Every axis repeated as a whole."""
    positions = (
        np.tile(np.arange(n), times) for n, times in zip(shape, layer.repeats, strict=True)
    )
    return _along_axes(positions, shape)


def upsample(layer: UpsampleNearest, shape: Shape) -> t.Transform:
    """Every value of an axis several times."""
    positions = (
        np.repeat(np.arange(n), times) for n, times in zip(shape, layer.factors, strict=True)
    )
    return _along_axes(positions, shape)


def pad(layer: Pad, shape: Shape) -> t.Transform:
    """The input surrounded by copies of its own values."""
    return _along_axes(layer.indices(shape), shape)


def broadcast(layer: Broadcast, shape: Shape) -> t.Transform:
    """New axes in front, and axes of one repeated."""
    wide = (1,) * (len(layer.shape) - len(shape)) + shape
    positions = (np.arange(m) if n == m else np.zeros(m, int) for n, m in zip(
        wide, layer.shape, strict=True
    ))  # fmt: skip
    repeated = _along_axes(positions, wide)
    return repeated if wide == shape else t.Chain((t.Reshape(wide), repeated))


def _along_axes(positions: Iterable[NDArray], shape: Shape) -> t.Transform:
    """Positions along every axis in turn; unchanged axes are skipped."""
    parts = [
        t.Take(chosen, axis)
        for axis, (chosen, n) in enumerate(zip(positions, shape, strict=True))
        if not np.array_equal(chosen, np.arange(n))
    ]
    return parts[0] if len(parts) == 1 else t.Chain(tuple(parts))
