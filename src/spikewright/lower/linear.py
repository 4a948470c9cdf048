"""Linear layers as transforms, and the constants they add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._windows import Windows, split_shape
from spikewright.graph.layers import (
    AdaptiveAveragePool,
    Affine,
    AveragePool,
    BatchNormalization,
    Convolution,
    Crop,
    GlobalAveragePool,
    Identity,
    Layer,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    UpsampleNearest,
    ZeroPad,
)
from spikewright.network import transforms as t

Map = tuple[t.Transform | None, NDArray | None]  # the transform, and the constant that is added


def linear_map(layer: Layer, shape: Shape) -> Map:
    """Transform and constant of a linear layer with one input of unbatched `shape`.

    The constant broadcasts to the output. Raises `TypeError` for a layer that is not linear.
    """
    make = _MAPS.get(type(layer))
    if make is None:
        raise TypeError(f"{layer.kind} is not a linear layer with one input")
    return make(layer, shape)


def _affine(layer: Affine, shape: Shape) -> Map:
    return t.Dense(layer.weight), layer.bias


def _convolution(layer: Convolution, shape: Shape) -> Map:
    transform = t.Convolution(
        layer.weight,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        layer.channels_last,
    )
    if layer.bias is None or layer.channels_last:
        return transform, layer.bias
    return transform, layer.bias.reshape(-1, *(1,) * (layer.weight.ndim - 2))


def _scale_shift(layer: ScaleShift, shape: Shape) -> Map:
    return None if layer.scale is None else t.Scale(layer.scale), layer.shift


def _average_pool(layer: AveragePool, shape: Shape) -> Map:
    spatial, _ = split_shape(shape, layer.channels_last)
    factor = 1.0 / layer.divisors(spatial)
    if np.all(factor == factor.flat[0]):
        factor = np.asarray(factor.flat[0])
    return t.SumPool(layer.windows, factor, layer.channels_last), None


def _whole(extent: Shape) -> Windows:
    """One window over everything."""
    rank = len(extent)
    return Windows(extent, extent, ((0, 0),) * rank, (1,) * rank)


def spatial_layout(axes: tuple[int, ...], rank: int) -> bool | None:
    """Whether `axes` are all but the last axis (True), all but the first (False), or neither."""
    chosen = {axis % rank for axis in axes}
    if chosen == set(range(rank - 1)):
        return True
    return False if chosen == set(range(1, rank)) else None


def _global_average(layer: GlobalAveragePool, shape: Shape) -> Map:
    last = spatial_layout(layer.axes, len(shape))
    parts: list[t.Transform]
    if last is not None:
        spatial, _ = split_shape(shape, last)
        parts = [t.SumPool(_whole(spatial), np.asarray(1.0 / np.prod(spatial)), last)]
    else:
        axes = sorted({axis % len(shape) for axis in layer.axes})
        parts = [t.AxisMap(np.full((1, shape[axis]), 1.0 / shape[axis]), axis) for axis in axes]
    if not layer.keepdims:
        parts.append(t.Reshape(layer.output_shape(shape)))
    return t.Chain(tuple(parts)), None


def _adaptive(layer: AdaptiveAveragePool, shape: Shape) -> Map:
    spatial, _ = split_shape(shape, layer.channels_last)
    if spatial == layer.output:
        return None, None
    if all(n % m == 0 for n, m in zip(spatial, layer.output, strict=True)):
        size = tuple(n // m for n, m in zip(spatial, layer.output, strict=True))
        rank = len(size)
        windows = Windows(size, size, ((0, 0),) * rank, (1,) * rank)
        return t.SumPool(windows, np.asarray(1.0 / np.prod(size)), layer.channels_last), None
    first = 0 if layer.channels_last else 1
    return t.Chain(
        tuple(t.AxisMap(m, first + i) for i, m in enumerate(layer.matrices(spatial)))
    ), None


def _reshape(layer: Reshape, shape: Shape) -> Map:
    return t.Reshape(layer.shape), None


def _permute(layer: Permute, shape: Shape) -> Map:
    return t.Permute(layer.axes), None


def _zero_pad(layer: ZeroPad, shape: Shape) -> Map:
    ranges = tuple(
        (before, before + n, 1) for n, (before, _) in zip(shape, layer.pads, strict=True)
    )
    return t.Place(ranges, layer.output_shape(shape)), None


def _crop(layer: Crop, shape: Shape) -> Map:
    ranges = tuple(
        (before, n - after, 1) for n, (before, after) in zip(shape, layer.crops, strict=True)
    )
    return t.Slice(ranges), None


def _upsample(layer: UpsampleNearest, shape: Shape) -> Map:
    parts = [
        t.AxisMap(np.repeat(np.eye(n), factor, axis=0), axis)
        for axis, (n, factor) in enumerate(zip(shape, layer.factors, strict=True))
        if factor > 1
    ]
    return t.Chain(tuple(parts)), None


def _identity(layer: Identity, shape: Shape) -> Map:
    return None, None


def _batch_norm(layer: BatchNormalization, shape: Shape) -> Map:
    return _scale_shift(layer.as_scale_shift(len(shape)), shape)


_MAPS: dict[type[Layer], Callable[[Any, Shape], Map]] = {
    Affine: _affine,
    AdaptiveAveragePool: _adaptive,
    AveragePool: _average_pool,
    BatchNormalization: _batch_norm,
    Convolution: _convolution,
    Crop: _crop,
    GlobalAveragePool: _global_average,
    Identity: _identity,
    Permute: _permute,
    Reshape: _reshape,
    ScaleShift: _scale_shift,
    UpsampleNearest: _upsample,
    ZeroPad: _zero_pad,
}


def place_ranges(shape: Shape, axis: int, start: int) -> tuple[tuple[int, int, int], ...]:
    """Where an input of `shape` lies in a concatenation along `axis`."""
    return tuple((start, start + n, 1) if i == axis else (0, n, 1) for i, n in enumerate(shape))
