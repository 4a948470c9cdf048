"""Convolution and pooling over windows, also of several images, and axes of another extent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Pairs, Windows
from spikewright.frontends.reading.call import Call, Unreadable, Value, finite
from spikewright.frontends.reading.selection import entry, stacked
from spikewright.graph.layers import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    ConvolutionTranspose,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Interpolate,
    Layer,
    MaxPool,
    Permute,
    Reshape,
    Take,
    UpsampleNearest,
)

Windowed = Convolution | ConvolutionTranspose | MaxPool | AveragePool


def same_padding(
    spatial: Sequence[int], reach: Sequence[int], stride: Sequence[int], lower: bool = False
) -> Pairs:
    """The padding by which there are `ceil(extent / stride)` windows along each axis.

    `reach` are the extents of a window. An odd value is at the end, or with `lower` at the start.
    """
    pairs = []
    for extent, window, step in zip(spatial, reach, stride, strict=True):
        total = max((-(-extent // step) - 1) * step + window - extent, 0)
        pairs.append(halves(total, lower))
    return tuple(pairs)


def halves(total: int, lower: bool = False) -> tuple[int, int]:
    """A number of values as those before and those after, the larger half after or `lower`."""
    small = total // 2
    return (total - small, small) if lower else (small, total - small)


def windowed(call: Call, layer: Windowed, x: Value, part: str = "") -> Value:
    """A layer over windows of `(channels, *spatial)`, or of several such images.

    Images `(images, channels, *spatial)` have one more axis, along which nothing happens.
    """
    x = finite(x)
    if isinstance(layer, MaxPool | AveragePool):
        spatial = len(layer.size)
    else:
        spatial = layer.weight.ndim - 2
    if len(x.shape) != spatial + 2:
        return call.add(layer, x, part=part)
    if isinstance(layer, Convolution) and spatial > 2:
        return _in_groups(call, x, layer, part)
    if isinstance(layer, ConvolutionTranspose) or spatial > 2:
        return _one_by_one(call, x, layer, part)
    order = (1, 0, *range(2, len(x.shape)))  # the axis of images goes behind the channels
    wider = layer.acts.widened(layer, x.shape[0])
    steps = ("order", Permute(order)), ("layer", wider), ("back", Permute(order))
    return call.chain(x, *steps, part=part)


def _one_by_one(call: Call, x: Value, layer: Layer, part: str) -> Value:
    """A layer on each of several images."""
    place = f"{part}/" if part else ""
    made = [
        call.add(layer, entry(call, x, 0, i, f"{place}image_{i}"), part=f"{place}layer_{i}")
        for i in range(x.shape[0])
    ]
    return stacked(call, made, 0, part)


def _in_groups(call: Call, x: Value, layer: Convolution, part: str) -> Value:
    """A convolution over volumes that are merged with the batch: each with kernels of its own."""
    copies, channels, *extent = x.shape
    wide = replace(
        layer,
        weight=np.concatenate([layer.weight] * copies),
        bias=None if layer.bias is None else np.concatenate([layer.bias] * copies),
        groups=layer.groups * copies,
    )
    joined = (copies * channels, *extent)
    _, *made = wide.output_shape(joined)
    return call.chain(
        x,
        ("joined", Reshape(joined)),
        ("layer", wide),
        ("apart", Reshape((copies, len(layer.weight), *made))),
        part=part,
    )


def folded(call: Call, x: Value, image: Sequence[int], windows: Windows) -> Value:
    """Blocks `(channels places, blocks)` put back in place, overlaps added up.

    This is the transposed convolution by kernels that are one at one place of a block.
    """
    steps, places = windows.output_extent(image), math.prod(windows.size)
    if len(x.shape) != 2 or x.shape[0] % places or math.prod(steps) != x.shape[1]:
        raise Unreadable(f"its input {x.shape} holds no blocks of {windows.size} at {steps} places")
    channels = x.shape[0] // places
    extra = tuple(
        (n + before + after - d * (k - 1) - 1) % s
        for n, k, s, (before, after), d in zip(
            image, windows.size, windows.stride, windows.padding, windows.dilation, strict=True
        )
    )
    kernel = np.tile(np.eye(places, dtype=np.float32), (channels, 1))
    layer = ConvolutionTranspose(
        kernel.reshape(channels * places, 1, *windows.size),
        None,
        windows.stride,
        padding=windows.padding,
        output_padding=extra,
        dilation=windows.dilation,
        groups=channels,
    )
    return call.chain(finite(x), ("blocks", Reshape((x.shape[0], *steps))), ("", layer))


def adaptive_average(call: Call, x: Value, axes: Sequence[int], output: Sequence[int]) -> Value:
    """The means of a given number of windows along each of some axes."""
    output = tuple(output)
    if math.prod(output) == 1:
        return call.add(GlobalAveragePool(tuple(axes), keepdims=True), finite(x))
    if tuple(axes) == tuple(range(1, len(x.shape))):
        return call.add(AdaptiveAveragePool(output), finite(x))
    matrices = AdaptiveAveragePool(output).matrices(tuple(x.shape[axis] for axis in axes))
    return call.add(Interpolate(tuple(matrices), tuple(axes)), finite(x))


def adaptive_maximum(call: Call, x: Value, axes: Sequence[int], output: Sequence[int]) -> Value:
    """The maxima of a given number of windows along each of some axes."""
    if math.prod(output) == 1:
        return call.add(GlobalMaxPool(tuple(axes), keepdims=True), finite(x))
    steps: list[tuple[str, Layer | None]] = []
    for axis, outputs in zip(axes, output, strict=True):
        windows = _adaptive_windows(x.shape[axis], outputs)
        steps.append((f"axis{axis}/windows", Take(windows, axis)))
        steps.append((f"axis{axis}/max", GlobalMaxPool((axis + 1,))))
    return call.chain(finite(x), *steps)


def _adaptive_windows(extent: int, outputs: int) -> NDArray:
    """Positions in every window `(outputs, longest)`; short ones repeat their last one."""
    ranges = [range(i * extent // outputs, -(-(i + 1) * extent // outputs)) for i in range(outputs)]
    longest = max(map(len, ranges))
    return np.array([[*window] + [window[-1]] * (longest - len(window)) for window in ranges])


def resampled(call: Call, x: Value, matrices: Mapping[int, NDArray], part: str = "") -> Value:
    """`matrices` `(after, before)` along axes: copies or choices of values where they are that."""
    sources = {axis: np.argmax(matrix, axis=1) for axis, matrix in matrices.items()}
    if not all(np.array_equal(np.eye(m.shape[1])[sources[a]], m) for a, m in matrices.items()):
        changed = {
            axis: matrix
            for axis, matrix in matrices.items()
            if not np.array_equal(matrix, np.eye(matrix.shape[1]))
        }
        layer = Interpolate(tuple(changed.values()), tuple(changed))
        return call.add(layer, finite(x), part=part)
    factors = [1] * len(x.shape)
    for axis, source in sources.items():
        factors[axis] = max(len(source) // x.shape[axis], 1)
    if all(_repeats(source, x.shape[axis], factors[axis]) for axis, source in sources.items()):
        grown = max(factors, default=1) > 1
        return call.add(UpsampleNearest(tuple(factors)) if grown else Identity(), x, part=part)
    steps = (
        (f"axis {axis}", Take(source, axis))
        for axis, source in sources.items()
        if not _repeats(source, x.shape[axis], 1)
    )
    return call.chain(finite(x), *steps, part=part)


def _repeats(source: NDArray, extent: int, factor: int) -> bool:
    """Whether positions are those of every value, `factor` times each."""
    return np.array_equal(source, np.repeat(np.arange(extent), factor))
