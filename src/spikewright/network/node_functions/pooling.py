"""Maxima: over sliding windows, over whole axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikewright._base.windows import Windows, join_shape, split_shape
from spikewright.errors import NetworkError
from spikewright.network.functions import (
    Array,
    NodeFunction,
    check_axes,
    negative_axes,
    register,
)
from spikewright.network.geometry import check_windows
from spikewright.network.shapes import Shape


@register
@dataclass(frozen=True)
class MaxPool(NodeFunction):
    """Maximum over sliding windows.

    With `accumulate` it passes on `max_i X_i(t) - max_i X_i(t-1)`, `X` the running sums of its
    inputs: its outputs until `t` sum to the maximum of the sums, so its time mean is exactly the
    maximum of its inputs' time means.
    """

    windows: Windows
    channels_last: bool = False
    accumulate: bool = False
    homogeneous = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "windows", check_windows("MaxPool", self.windows))

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != len(self.windows.size) + 1:
            raise NetworkError(
                f"MaxPool: {len(self.windows.size)}-D windows do not fit an input of shape {shape}"
            )
        spatial, channels = split_shape(shape, self.channels_last)
        extent = self.windows.output_extent(spatial)
        if min(extent) <= 0:
            raise NetworkError(f"MaxPool: the window is larger than its padded input {shape}")
        if not self.windows.all_see_input(spatial):
            raise NetworkError(f"MaxPool: some windows over {shape} see padding alone")
        return join_shape(extent, channels, self.channels_last)

    def apply(self, xp: Any, x: Array) -> Array:
        return xp.max_pool(x, self.windows, self.channels_last)


@register
@dataclass(frozen=True)
class ReduceMax(NodeFunction):
    """Maximum over whole axes, which are counted from the end and vanish unless kept."""

    axes: tuple[int, ...]
    keepdims: bool = False
    accumulate: bool = False
    homogeneous = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", negative_axes("ReduceMax", self.axes))

    def output_shape(self, shape: Shape) -> Shape:
        check_axes("ReduceMax", self.axes, shape)
        gone = {len(shape) + axis for axis in self.axes}
        if self.keepdims:
            return tuple(1 if i in gone else n for i, n in enumerate(shape))
        return tuple(n for i, n in enumerate(shape) if i not in gone)

    def apply(self, xp: Any, x: Array) -> Array:
        return xp.amax(x, axis=self.axes, keepdims=self.keepdims)
