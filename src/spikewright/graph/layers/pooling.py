"""Pooling over windows or whole axes, and requirements on the geometry of windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import (
    Pairs,
    Windows,
    channels_last,
    join_shape,
    restore_channels,
    split_shape,
)
from spikewright.graph.layers.base import (
    Layer,
    Shape,
    normalise_axes,
    normalise_axis,
    register,
    require,
)
from spikewright.graph.layers.time_semantics import TimeSemantics, Windowed, no_pair, one


def require_numbers(kind: str, rank: int, padding: Pairs, **sizes: tuple[int, ...]) -> None:
    """Raise `GraphError` unless there are a pair and positive sizes for each spatial axis."""
    for name, values in sizes.items():
        require(
            len(values) == rank and min(values, default=0) >= 1,
            f"{kind}: {name} {values} must be {rank} numbers of at least 1",
        )
    require(
        len(padding) == rank and min(map(min, padding)) >= 0,
        f"{kind}: padding {padding} must be {rank} pairs of at least 0",
    )


def require_bias(kind: str, bias: NDArray | None, outputs: int) -> None:
    """Raise `GraphError` for a bias that has not one number for each output."""
    if bias is not None:
        problem = f"{kind}: the bias must have shape ({outputs},), got {bias.shape}"
        require(bias.shape == (outputs,), problem)


def windowed_extent(
    kind: str, windows: Windows, shape: Shape, last: bool
) -> tuple[tuple[int, ...], int]:
    """Extent `(*windows,)` of the output and number of channels of the input.

    Raises `GraphError` where the geometry is impossible or does not fit the (unbatched) shape.
    """
    rank = len(windows.size)
    sizes = {"size": windows.size, "stride": windows.stride, "dilation": windows.dilation}
    require_numbers(kind, max(rank, 1), windows.padding, **sizes)
    require(
        len(shape) == rank + 1,
        f"{kind}: {rank}-D windows need an input of rank {rank + 1}, got shape {shape}",
    )
    spatial, channels = split_shape(shape, last)
    extent = windows.output_extent(spatial)
    require(min(extent) > 0, f"{kind}: the window is larger than its padded input {shape}")
    return extent, channels


def _pooled_shape(kind: str, windows: Windows, shape: Shape, last: bool) -> Shape:
    extent, channels = windowed_extent(kind, windows, shape, last)
    require(
        windows.all_see_input(split_shape(shape, last)[0]),
        f"{kind}: with padding {windows.padding} a window of {windows.size} lies beside its input "
        f"{shape}, so that there is nothing to pool. Pad less",
    )
    return join_shape(extent, channels, last)


@register
@dataclass(frozen=True)
class AveragePool(Layer):
    """Mean over sliding windows.

    With `count_include_pad` padding counts as zeros (but nothing beyond it, which `ceil_mode` may
    reach); without it a window's mean is over the input that it covers.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    ceil_mode: bool = False
    count_include_pad: bool = False
    channels_last: bool = False
    linear = True
    acts = Windowed(entries={"size": one, "stride": one, "padding": no_pair})

    @property
    def windows(self) -> Windows:
        """The geometry of the sliding window."""
        ones = (1,) * len(self.size)
        return Windows(self.size, self.stride, self.padding, ones, self.ceil_mode)

    def output_shape(self, *shapes: Shape) -> Shape:
        return _pooled_shape("AveragePool", self.windows, shapes[0], self.channels_last)

    def divisors(self, spatial: tuple[int, ...]) -> NDArray:
        """The number of values by which each window's sum is divided, `(*windows,)`."""
        windows = self.windows
        ones = np.ones((1, *spatial, 1))
        if self.count_include_pad:
            ones = np.pad(ones, ((0, 0), *self.padding, (0, 0)), constant_values=1.0)
            none = ((0, 0),) * len(self.size)
            windows = Windows(self.size, self.stride, none, windows.dilation, self.ceil_mode)
        extent = self.windows.output_extent(spatial)
        counts = np.add.reduce([view for _, view in windows.taps(ones)])[0, ..., 0]
        return counts[tuple(slice(n) for n in extent)]

    def evaluate(self, *values: NDArray) -> NDArray:
        x = channels_last(values[0], self.channels_last)
        total = sum(view for _, view in self.windows.taps(x))
        mean = total / self.divisors(x.shape[1:-1])[..., None]
        return restore_channels(mean, self.channels_last)


@register
@dataclass(frozen=True)
class MaxPool(Layer):
    """Maximum over sliding windows; padding never wins."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    ceil_mode: bool = False
    channels_last: bool = False
    acts = Windowed(entries={"size": one, "stride": one, "padding": no_pair, "dilation": one})

    @property
    def windows(self) -> Windows:
        """The geometry of the sliding window."""
        return Windows(self.size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def output_shape(self, *shapes: Shape) -> Shape:
        return _pooled_shape("MaxPool", self.windows, shapes[0], self.channels_last)

    def evaluate(self, *values: NDArray) -> NDArray:
        x = channels_last(values[0], self.channels_last)
        views = [view for _, view in self.windows.taps(x, value=-np.inf)]
        return restore_channels(np.maximum.reduce(views), self.channels_last)


@dataclass(frozen=True)
class OverAxes(Layer):
    """A reduction over whole axes of the unbatched input."""

    axes: tuple[int, ...]
    keepdims: bool = False
    acts = TimeSemantics("axes", becomes=lambda layer: int(layer.keepdims))
    reduction: ClassVar[Any]

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        axes = normalise_axes(self.axes, shape, self.kind)
        if self.keepdims:
            return tuple(1 if i in axes else n for i, n in enumerate(shape))
        return tuple(n for i, n in enumerate(shape) if i not in axes)

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        axes = tuple(normalise_axis(axis, x.ndim - 1, self.kind) + 1 for axis in self.axes)
        return type(self).reduction(x, axis=axes, keepdims=self.keepdims)


@register
@dataclass(frozen=True)
class GlobalAveragePool(OverAxes):
    """Mean over whole axes of the unbatched input."""

    linear = True
    reduction = np.mean


@register
@dataclass(frozen=True)
class GlobalMaxPool(OverAxes):
    """Maximum over whole axes of the unbatched input."""

    reduction = np.max


@register
@dataclass(frozen=True)
class AdaptiveAveragePool(Layer):
    """Mean over a given number of windows per axis, of sizes that fit the input.

    Window `i` of `n` over an extent `m` covers `floor(i m / n)` up to `ceil((i + 1) m / n)`;
    windows overlap, or repeat values, where `n` does not divide `m`. `output` is the extent per
    spatial axis.
    """

    output: tuple[int, ...]
    channels_last: bool = False
    linear = True
    acts = Windowed(entries={"output": lambda extent: extent})

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        rank = len(self.output)
        require(
            min(self.output, default=0) >= 1,
            f"AdaptiveAveragePool: output {self.output} must be numbers of at least 1",
        )
        require(
            len(shape) == rank + 1,
            f"AdaptiveAveragePool: {rank} output extents need an input of rank {rank + 1}, "
            f"got shape {shape}",
        )
        _, channels = split_shape(shape, self.channels_last)
        return join_shape(self.output, channels, self.channels_last)

    def matrices(self, spatial: Shape) -> list[NDArray]:
        """One averaging matrix `(output, input)` per spatial axis."""
        result = []
        for outputs, extent in zip(self.output, spatial, strict=True):
            matrix = np.zeros((outputs, extent))
            for i in range(outputs):
                start, stop = i * extent // outputs, -(-(i + 1) * extent // outputs)
                matrix[i, start:stop] = 1.0 / (stop - start)
            result.append(matrix)
        return result

    def evaluate(self, *values: NDArray) -> NDArray:
        y = channels_last(values[0], self.channels_last)
        for axis, matrix in enumerate(self.matrices(y.shape[1:-1]), start=1):
            y = np.moveaxis(np.tensordot(y, matrix, axes=(axis, 1)), -1, axis)
        return restore_channels(y, self.channels_last)
