"""Linear layers that mix values along axes: sums, interpolation, transposed convolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import (
    Pairs,
    channels_last,
    join_shape,
    restore_channels,
    split_shape,
)
from spikewright.graph.layers.base import Layer, Shape, normalise_axes, register, require
from spikewright.graph.layers.pooling import OverAxes, require_bias, require_numbers
from spikewright.graph.layers.time_semantics import TimeSemantics, Windowed, no_pair, one


@register
@dataclass(frozen=True)
class Sum(OverAxes):
    """Sum over whole axes of the unbatched input; the mean is `GlobalAveragePool`."""

    linear = True
    reduction = np.sum


@register
@dataclass(frozen=True, eq=False)
class Interpolate(Layer):
    """One matrix `(out, in)` applied along each of some unbatched `axes`.

    Resizing of any convention (nearest, linear, cubic, aligned corners or not) is separable: a
    small matrix an axis.
    """

    matrices: tuple[NDArray, ...]
    axes: tuple[int, ...]
    linear = True
    acts = TimeSemantics("axes")

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        normalise_axes(self.axes, shape, self.kind)
        require(
            len(self.matrices) == len(self.axes),
            f"Interpolate: {len(self.matrices)} matrices for {len(self.axes)} axes {self.axes}",
        )
        extents = list(shape)
        for matrix, axis in zip(self.matrices, self.axes, strict=True):
            require(
                matrix.ndim == 2 and matrix.shape[1] == shape[axis] and matrix.shape[0] >= 1,
                f"Interpolate: a matrix (out, in) = {matrix.shape} does not fit axis {axis} of an "
                f"input of shape {shape}",
            )
            extents[axis] = matrix.shape[0]
        return tuple(extents)

    def multiply_accumulates(self, *shapes: Shape) -> int:
        """Along each axis in turn: lines x entries of its matrix that are not zero."""
        extents, total = list(shapes[0]), 0
        for matrix, axis in zip(self.matrices, self.axes, strict=True):
            total += math.prod(extents) // extents[axis] * int(np.count_nonzero(matrix))
            extents[axis] = len(matrix)
        return total

    def arrays(self) -> dict[str, NDArray]:
        """The matrices, by name and number."""
        return {f"matrices[{i}]": matrix for i, matrix in enumerate(self.matrices)}

    def evaluate(self, *values: NDArray) -> NDArray:
        (y,) = values
        rank = y.ndim - 1
        for matrix, axis in zip(self.matrices, self.axes, strict=True):
            where = axis % rank + 1
            y = np.moveaxis(np.tensordot(y, matrix, axes=(where, 1)), -1, where)
        return np.ascontiguousarray(y, np.float64)


@register
@dataclass(frozen=True, eq=False)
class ConvolutionTranspose(Layer):
    """The transposed (fractionally strided) convolution over one to three spatial axes.

    `weight` is `(in, out / groups, *size)`, `bias` `(out,)` or None. Every input value adds
    `x weight` to the outputs from `i stride` on, taps `dilation` apart; `padding` values
    `(before, after)` are then dropped, and `output_padding` more are kept after. An extent is
    `(n - 1) stride + dilation (size - 1) + 1 - before - after + output_padding`.
    """

    weight: NDArray
    bias: NDArray | None
    stride: tuple[int, ...]
    padding: Pairs
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    channels_last: bool = False
    linear = True
    acts = Windowed(
        entries={
            "stride": one, "padding": no_pair, "output_padding": lambda extent: 0, "dilation": one,
        }
    )  # fmt: skip

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        self._check_options()
        inputs, per_group = self.weight.shape[:2]
        outputs = per_group * self.groups
        rank = self.weight.ndim - 2
        require(
            len(shape) == rank + 1,
            f"{self.kind}: {rank}-D kernels need an input of rank {rank + 1}, got shape {shape}",
        )
        spatial, channels = split_shape(shape, self.channels_last)
        require(
            channels == inputs,
            f"{self.kind}: the input has {channels} channels, the kernel expects {inputs}",
        )
        require(
            self.groups >= 1 and inputs % self.groups == 0,
            f"{self.kind}: {inputs} channels do not divide into {self.groups} groups",
        )
        require_bias(self.kind, self.bias, outputs)
        extent = self.output_extent(spatial)
        require(min(extent) > 0, f"{self.kind}: padding leaves nothing of an input {shape}")
        return join_shape(extent, outputs, self.channels_last)

    def multiply_accumulates(self, *shapes: Shape) -> int:
        return math.prod(shapes[0]) // self.weight.shape[0] * self.weight.size

    def _check_options(self) -> None:
        require(
            3 <= self.weight.ndim <= 5,
            f"{self.kind}: the weights must be (in, out / groups, *size) with one to three sizes, "
            f"got shape {self.weight.shape}",
        )
        rank, more = self.weight.ndim - 2, self.output_padding
        require_numbers(self.kind, rank, self.padding, stride=self.stride, dilation=self.dilation)
        require(
            len(more) == rank and min(more) >= 0,
            f"{self.kind}: output_padding {more} must be {rank} numbers of at least 0",
        )

    def output_extent(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Extent of the output for an input of extent `spatial`."""
        reach = self._reach(spatial)
        return tuple(
            n - before - after + more
            for n, (before, after), more in zip(
                reach, self.padding, self.output_padding, strict=True
            )
        )

    def _reach(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """Extent that the taps of all inputs cover."""
        return tuple(
            (n - 1) * stride + dilation * (size - 1) + 1
            for n, stride, dilation, size in zip(
                spatial, self.stride, self.dilation, self.weight.shape[2:], strict=True
            )
        )

    def evaluate(self, *values: NDArray) -> NDArray:
        x = channels_last(values[0], self.channels_last)
        spatial = x.shape[1:-1]
        weight = np.asarray(self.weight, np.float64)
        inputs, per_group, *size = weight.shape
        kernels = weight.reshape(self.groups, inputs // self.groups, per_group, *size)
        grouped = x.reshape(*x.shape[:-1], self.groups, inputs // self.groups)
        full = np.zeros((len(x), *self._full_extent(spatial), self.groups * per_group))
        for tap in np.ndindex(*size):
            made = np.einsum("...gi,gio->...go", grouped, kernels[(..., *tap)])
            where = tuple(
                slice(t * d, t * d + (n - 1) * s + 1, s)
                for t, d, n, s in zip(tap, self.dilation, spatial, self.stride, strict=True)
            )
            full[(slice(None), *where)] += made.reshape(*x.shape[:-1], -1)
        kept = tuple(
            slice(before, before + n)
            for (before, _), n in zip(self.padding, self.output_extent(spatial), strict=True)
        )
        y = full[(slice(None), *kept)]
        return restore_channels(y if self.bias is None else y + self.bias, self.channels_last)

    def _full_extent(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """The extents that the taps cover, enlarged where the padded output reaches beyond."""
        return tuple(
            max(reach, before + extent)
            for reach, (before, _), extent in zip(
                self._reach(spatial), self.padding, self.output_extent(spatial), strict=True
            )
        )
