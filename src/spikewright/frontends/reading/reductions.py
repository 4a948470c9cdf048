"""Reductions over axes and over windows: sums, norms, normalisation, pooling and convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Pairs, Windows
from spikewright.frontends.reading.arithmetic import combined, function
from spikewright.frontends.reading.call import BATCH_FIRST, Call, UnsupportedOp, Value, finite
from spikewright.frontends.reading.selection import entry, stacked
from spikewright.graph.clipping import Steps
from spikewright.graph.layers import (
    Activation,
    AdaptiveAveragePool,
    AveragePool,
    BatchNormalization,
    Concatenate,
    Convolution,
    ConvolutionTranspose,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNormalization,
    Identity,
    Interpolate,
    Layer,
    LayerNormalization,
    MaxPool,
    Multiply,
    Permute,
    Reshape,
    ScaleShift,
    Slice,
    Sum,
    Take,
    UpsampleNearest,
)

_LARGEST = 2**24  # entries of a matrix: a model file must not exhaust the memory

_REDUCTIONS: Mapping[str, tuple[str, type[Layer], str]] = {
    "sum": ("", Sum, ""),
    "mean": ("", GlobalAveragePool, ""),
    "max": ("", GlobalMaxPool, ""),
    "min": ("negative", GlobalMaxPool, "negative"),
    "norm 1": ("abs", Sum, ""),
    "norm 2": ("square", Sum, "sqrt"),
    "norm inf": ("abs", GlobalMaxPool, ""),
    "sum of squares": ("square", Sum, ""),
    "log of sum": ("", Sum, "log"),
    "log of sum of exp": ("exp", Sum, "log"),
}
"""The function before, the reduction, and the function after."""


def reduced(call: Call, x: Value, kind: str, axes: Sequence[int], keep: bool) -> Value:
    """A reduction over axes beside the batch, which vanish unless they are kept."""
    if kind == "log of sum of exp" and len(axes) == 1:
        return _log_sum_exp(call, x, axes[0], keep)
    before, layer, after = _REDUCTIONS[kind]
    over = ("reduced", layer(tuple(axes), keep))  # type: ignore[call-arg]
    return call.chain(finite(x), *_named(before), over, *_named(after))


def without_reduction(call: Call, x: Value, kind: str) -> Value:
    """The functions around a reduction over no axes at all."""
    before, _, after = _REDUCTIONS[kind]
    return call.chain(finite(x), *_named(before), *_named(after))


def _named(name: str) -> Steps:
    return tuple((name, layer) for _, layer in function(name)) if name else ()


def _log_sum_exp(call: Call, x: Value, axis: int, keep: bool) -> Value:
    """`x - log_softmax(x)`, which is the same at every place along the axis."""
    first = Slice.along(x.shape, {axis: slice(0, 1)})
    shares = call.add(Activation("log_softmax", {"axis": axis}), x, part="log_softmax")
    share = call.add(first, shares, part="first_share")
    begin = call.add(first, x, part="first")
    if keep:
        return combined(call, (1.0, begin), (-1.0, share))
    both = combined(call.inside("sum"), (1.0, begin), (-1.0, share))
    return call.add(Sum((axis,)), both)


def variance(
    call: Call,
    x: Value,
    axes: Sequence[int],
    keep: bool,
    correction: float = 0,
    root: bool = False,
) -> Value:
    """The sum of squares of the deviations from the mean over `n - correction`, or its root."""
    n = math.prod(x.shape[axis] for axis in axes)
    if n <= correction:
        raise UnsupportedOp(f"the variance of {n} values is not a number")
    over = tuple(axes)
    mean = call.add(GlobalAveragePool(over, True), finite(x), part="mean")
    centred = combined(call.inside("centred"), (1.0, x), (-1.0, mean))
    return call.chain(
        centred,
        ("square", Activation("square")),
        ("average", GlobalAveragePool(over, keep)),
        ("corrected", ScaleShift(np.array(n / (n - correction))) if correction else None),
        ("root", Activation("sqrt") if root else None),
    )


def differences(call: Call, x: Value, axis: int, times: int) -> Value:
    """Differences of neighbours along an axis, several times over."""
    matrix = np.diff(np.eye(x.shape[axis]), n=times, axis=0)
    return call.add(Interpolate((matrix,), (axis,)), finite(x))


def cumulative_sum(
    call: Call,
    x: Value,
    axis: int,
    exclusive: bool = False,
    reverse: bool = False,
) -> Value:
    """Sums of all values up to each one along an axis, or from each one on."""
    n = x.shape[axis]
    if n * n > _LARGEST:
        raise UnsupportedOp(f"it sums along {n} values, for which the matrix is too large")
    matrix = np.tri(n, k=-1 if exclusive else 0)
    if reverse:
        matrix = matrix[::-1, ::-1]
    return call.add(Interpolate((np.ascontiguousarray(matrix),), (axis,)), finite(x))


def product_over(call: Call, x: Value, axes: Sequence[int], keep: bool) -> Value:
    """The product of all values along axes beside the batch: of two halves, and so on."""
    made = finite(x)
    for axis in axes:
        while made.shape[axis] > 1:
            made = _halved(call, made, axis)
    if keep or not axes:
        return call.add(Identity(), made)
    shape = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    return call.add(Reshape(shape), made)


def _halved(call: Call, x: Value, axis: int) -> Value:
    """The first values along an axis times as many others, beside one that may be left."""
    half = x.shape[axis] // 2

    def factors(start: int, stop: int) -> Value:
        return call.add(Slice.along(x.shape, {axis: slice(start, stop)}), x, part="factors")

    made = call.add(Multiply(), factors(0, half), factors(half, 2 * half), part="product")
    if 2 * half == x.shape[axis]:
        return made
    return call.add(Concatenate(axis), made, factors(2 * half, x.shape[axis]), part="products")


def by_statistics(
    call: Call,
    x: Value,
    axis: int,
    statistics: tuple[NDArray, NDArray],
    epsilon: float,
    scale: NDArray | None = None,
    shift: NDArray | None = None,
) -> Value:
    """`scale (x - mean) / sqrt(variance + epsilon) + shift` along an axis of channels.

    `statistics` are the mean and the variance.
    """
    mean, variance = statistics
    layer = BatchNormalization(
        np.ones_like(mean) if scale is None else scale,
        np.zeros_like(mean) if shift is None else shift,
        mean,
        variance,
        float(epsilon),
        axis,
    )
    return call.add(layer, finite(x))


def by_groups(
    call: Call,
    x: Value,
    groups: int,
    axis: int,
    epsilon: float,
    scale: NDArray | None = None,
    shift: NDArray | None = None,
) -> Value:
    """Groups of channels normalised, of one image or each of several.

    As many groups as channels are instances.
    """
    if x.layout is BATCH_FIRST or axis != 1:
        return call.add(GroupNormalization(groups, axis, float(epsilon), scale, shift), finite(x))
    trailing = (1,) * (len(x.shape) - 1 - axis)
    weights = [None if p is None else p.reshape(-1, *trailing) for p in (scale, shift)]
    if groups in (1, x.shape[axis]):
        axes = tuple(range(axis if groups == 1 else axis + 1, len(x.shape)))
        return call.add(LayerNormalization(axes, float(epsilon), *weights), finite(x))
    return call.chain(
        finite(x),
        ("groups", Reshape((*x.shape[:axis], groups, math.prod(x.shape[axis:]) // groups))),
        ("normalised", LayerNormalization((axis + 1,), float(epsilon))),
        ("", Reshape(x.shape)),
        ("scaled", None if weights == [None, None] else ScaleShift(*weights)),
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


def windowed(call: Call, layer: Windowed, x: Value) -> Value:
    """A layer over windows of `(channels, *spatial)`, or of several such images.

    Images `(images, channels, *spatial)` have one more axis, along which nothing happens.
    """
    x = finite(x)
    if isinstance(layer, MaxPool | AveragePool):
        spatial = len(layer.size)
    else:
        spatial = layer.weight.ndim - 2
    if len(x.shape) != spatial + 2:
        return call.add(layer, x)
    if isinstance(layer, Convolution) and spatial > 2:
        return _in_groups(call, x, layer)
    if isinstance(layer, ConvolutionTranspose) or spatial > 2:
        return _one_by_one(call, x, layer)
    order = (1, 0, *range(2, len(x.shape)))  # the axis of images goes behind the channels
    wider = layer.acts.widened(layer, x.shape[0])
    steps = ("order", Permute(order)), ("layer", wider), ("back", Permute(order))
    return call.chain(x, *steps)


def _one_by_one(call: Call, x: Value, layer: Layer) -> Value:
    """A layer on each of several images."""
    made = [
        call.add(layer, entry(call.inside(f"image_{i}"), x, 0, i), part=f"layer_{i}")
        for i in range(x.shape[0])
    ]
    return stacked(call, made, 0)


def _in_groups(call: Call, x: Value, layer: Convolution) -> Value:
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
    )


def folded(call: Call, x: Value, image: Sequence[int], windows: Windows) -> Value:
    """Blocks `(channels places, blocks)` put back in place, overlaps added up.

    This is the transposed convolution by kernels that are one at one place of a block.
    """
    steps, places = windows.output_extent(image), math.prod(windows.size)
    if len(x.shape) != 2 or x.shape[0] % places or math.prod(steps) != x.shape[1]:
        raise UnsupportedOp(
            f"its input {x.shape} holds no blocks of {windows.size} at {steps} places"
        )
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


def resampled(call: Call, x: Value, matrices: Mapping[int, NDArray]) -> Value:
    """`matrices` `(after, before)` along axes: copies or choices of values where they are that."""
    sources = {axis: np.argmax(matrix, axis=1) for axis, matrix in matrices.items()}
    if not all(np.array_equal(np.eye(m.shape[1])[sources[a]], m) for a, m in matrices.items()):
        changed = {
            axis: matrix
            for axis, matrix in matrices.items()
            if not np.array_equal(matrix, np.eye(matrix.shape[1]))
        }
        layer = Interpolate(tuple(changed.values()), tuple(changed))
        return call.add(layer, finite(x))
    factors = [1] * len(x.shape)
    for axis, source in sources.items():
        factors[axis] = max(len(source) // x.shape[axis], 1)
    if all(_repeats(source, x.shape[axis], factors[axis]) for axis, source in sources.items()):
        grown = max(factors, default=1) > 1
        return call.add(UpsampleNearest(tuple(factors)) if grown else Identity(), x)
    steps = (
        (f"axis {axis}", Take(source, axis))
        for axis, source in sources.items()
        if not _repeats(source, x.shape[axis], 1)
    )
    return call.chain(finite(x), *steps)


def _repeats(source: NDArray, extent: int, factor: int) -> bool:
    """Whether positions are those of every value, `factor` times each."""
    return np.array_equal(source, np.repeat(np.arange(extent), factor))
