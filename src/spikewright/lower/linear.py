"""Linear layers as transforms, and the constants they add."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows, split_shape
from spikewright.graph.layers import (
    AdaptiveAveragePool,
    Affine,
    AveragePool,
    BatchNormalization,
    Broadcast,
    Convolution,
    ConvolutionTranspose,
    Crop,
    GlobalAveragePool,
    Identity,
    Interpolate,
    Layer,
    Pad,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Slice,
    Sum,
    Take,
    Tile,
    UpsampleNearest,
    ZeroPad,
)
from spikewright.network import transforms as t

_LARGEST = 2.0**100


def limited(values: NDArray) -> NDArray:
    """Values, with +-2^100 in place of larger ones, such as masks of -3.4e38.

    No exponential tells the two apart, and sums over 1e8 steps are numbers in single precision.
    Scales and shifts have one limit, a power of two, so that what a mask adds and takes is zero.
    """
    return np.clip(values, -_LARGEST, _LARGEST)


def _zero_pad(layer: ZeroPad, shape: Shape) -> t.Transform:
    """The input surrounded by zeros."""
    ranges = tuple(
        (before, before + n, 1) for n, (before, _) in zip(shape, layer.pads, strict=True)
    )
    return t.Place(ranges, layer.output_shape(shape))


def _crop(layer: Crop, shape: Shape) -> t.Transform:
    """A part of every axis."""
    ranges = tuple(
        (before, n - after, 1) for n, (before, after) in zip(shape, layer.crops, strict=True)
    )
    return t.Slice(ranges)


def _strided(layer: Slice, shape: Shape) -> t.Transform:
    """A slice where all steps are forward, else positions axis by axis."""
    if all(step > 0 for _, _, step in layer.ranges):
        return t.Slice(
            tuple((start, start + (n - 1) * step + 1, step) for start, n, step in layer.ranges)
        )
    return _along_axes(layer.indices(), shape)


def _take(layer: Take, shape: Shape) -> t.Transform:
    """Entries of one axis, which the axes of the indices replace."""
    axis = layer.axis % len(shape)
    chosen = np.asarray(layer.indices).reshape(-1) % shape[axis]
    entries = t.Take(chosen, axis)
    if layer.indices.ndim == 1:
        return entries
    return t.Chain((entries, t.Reshape(layer.output_shape(shape))))


def _tile(layer: Tile, shape: Shape) -> t.Transform:
    """Every axis repeated as a whole."""
    positions = (
        np.tile(np.arange(n), times) for n, times in zip(shape, layer.repeats, strict=True)
    )
    return _along_axes(positions, shape)


def _upsample(layer: UpsampleNearest, shape: Shape) -> t.Transform:
    """Every value of an axis several times."""
    positions = (
        np.repeat(np.arange(n), times) for n, times in zip(shape, layer.factors, strict=True)
    )
    return _along_axes(positions, shape)


def _pad(layer: Pad, shape: Shape) -> t.Transform:
    """The input surrounded by copies of its own values."""
    return _along_axes(layer.indices(shape), shape)


def _broadcast(layer: Broadcast, shape: Shape) -> t.Transform:
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


Map = tuple[t.Transform | None, NDArray | None]  # the transform, and the constant that is added


def has_map(layer: Layer) -> bool:
    """Whether a layer is a linear one with one input."""
    return type(layer) in _MAPS


def linear_map(layer: Layer, shape: Shape) -> Map:
    """Transform and constant of a linear layer with one input of unbatched `shape`.

    The constant broadcasts to the output. Raises `TypeError` for a layer that is not linear.
    """
    make = _MAPS.get(type(layer))
    if make is None:
        raise TypeError(f"{layer.kind} is not a linear layer with one input")
    return make(layer, shape)


def _convolution(layer: Convolution, shape: Shape) -> Map:
    transform = t.Convolution(
        layer.weight,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        layer.channels_last,
    )
    return transform, _channel_bias(layer)


def _channel_bias(layer: Convolution | ConvolutionTranspose) -> NDArray | None:
    if layer.bias is None or layer.channels_last:
        return layer.bias
    return layer.bias.reshape(-1, *(1,) * (layer.weight.ndim - 2))


def _convolution_transpose(layer: ConvolutionTranspose, shape: Shape) -> Map:
    """The input dilated by its stride, and a convolution with the flipped kernel over it."""
    inputs, outputs, *size = layer.weight.shape
    grouped = layer.weight.reshape(layer.groups, inputs // layer.groups, outputs, *size)
    kernel = np.swapaxes(grouped, 1, 2)
    kernel = kernel.reshape(layer.groups * outputs, inputs // layer.groups, *size)
    dropped = [
        (before, after - more)
        for (before, after), more in zip(layer.padding, layer.output_padding, strict=True)
    ]
    maps = t.transposed(
        kernel,
        shape,
        layer.stride,
        dropped=dropped,
        dilation=layer.dilation,
        groups=layer.groups,
        channels_last=layer.channels_last,
    )
    return t.Chain(maps), _channel_bias(layer)


def _scale_shift(layer: ScaleShift, shape: Shape) -> Map:
    return None if layer.scale is None else t.Scale(limited(layer.scale)), layer.shift


def _average_pool(layer: AveragePool, shape: Shape) -> Map:
    spatial, _ = split_shape(shape, layer.channels_last)
    factor = 1.0 / layer.divisors(spatial)
    if np.all(factor == factor.flat[0]):
        factor = np.asarray(factor.flat[0])
    return t.SumPool(layer.windows, factor, layer.channels_last), None


def _whole(extent: Shape) -> Windows:
    """One window over all spatial axes."""
    rank = len(extent)
    return Windows(extent, extent, ((0, 0),) * rank, (1,) * rank)


def spatial_layout(axes: tuple[int, ...], rank: int) -> bool | None:
    """Whether `axes` are all but the last axis (True), all but the first (False), or neither."""
    chosen = {axis % rank for axis in axes}
    if chosen == set(range(rank - 1)):
        return True
    return False if chosen == set(range(1, rank)) else None


def _global_average(layer: GlobalAveragePool, shape: Shape) -> Map:
    count = np.prod([shape[axis] for axis in layer.axes], dtype=np.float64)
    return _over_axes(layer, shape, float(1.0 / count))


def _sum(layer: Sum, shape: Shape) -> Map:
    return _over_axes(layer, shape, 1.0)


def _over_axes(layer: GlobalAveragePool | Sum, shape: Shape, factor: float) -> Map:
    """Sums over whole axes times a factor; over all spatial ones as one window."""
    last = spatial_layout(layer.axes, len(shape))
    spatial = () if last is None else split_shape(shape, last)[0]
    parts: list[t.Transform]
    if last is not None and 1 <= len(spatial) <= 3:
        parts = [t.SumPool(_whole(spatial), np.asarray(factor), last)]
    else:
        axes = sorted({axis % len(shape) for axis in layer.axes})
        parts = [t.AxisMap(np.ones((1, shape[axis])), axis) for axis in axes]
        if factor != 1.0:
            parts.append(t.Scale(np.asarray(factor)))
    if not layer.keepdims:
        parts.append(t.Reshape(layer.output_shape(shape)))
    return t.Chain(tuple(parts)), None


def _interpolate(layer: Interpolate, shape: Shape) -> Map:
    return t.Chain(
        tuple(
            t.AxisMap(matrix, axis % len(shape))
            for matrix, axis in zip(layer.matrices, layer.axes, strict=True)
        )
    ), None


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


def _moved(transform: Callable[[Any, Shape], t.Transform]) -> Callable[[Any, Shape], Map]:
    """A map without a constant."""
    return lambda layer, shape: (transform(layer, shape), None)


_MAPS: dict[type[Layer], Callable[[Any, Shape], Map]] = {
    Affine: lambda layer, shape: (t.Dense(layer.weight), layer.bias),
    AdaptiveAveragePool: _adaptive,
    AveragePool: _average_pool,
    BatchNormalization: lambda layer, shape: _scale_shift(layer.as_scale_shift(len(shape)), shape),
    Broadcast: _moved(_broadcast),
    Convolution: _convolution,
    ConvolutionTranspose: _convolution_transpose,
    Crop: _moved(_crop),
    GlobalAveragePool: _global_average,
    Identity: lambda layer, shape: (None, None),
    Interpolate: _interpolate,
    Pad: _moved(_pad),
    Permute: _moved(lambda layer, shape: t.Permute(layer.axes)),
    Reshape: _moved(lambda layer, shape: t.Reshape(layer.shape)),
    ScaleShift: _scale_shift,
    Slice: _moved(_strided),
    Sum: _sum,
    Take: _moved(_take),
    Tile: _moved(_tile),
    UpsampleNearest: _moved(_upsample),
    ZeroPad: _moved(_zero_pad),
}
