"""Weights and constants: dense, convolution, scale and shift, batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Pairs, Windows, channels_last, join_shape, restore_channels
from spikewright.graph.layers.base import (
    Layer,
    Shape,
    normalise_axis,
    register,
    require,
    require_broadcast,
)
from spikewright.graph.layers.pooling import require_bias, windowed_extent
from spikewright.graph.layers.time_semantics import OWN, TimeSemantics, Windowed, no_pair, one

_ROWS = 384  # a multiple of the blocks of matrix libraries: products are the same to the last bit
_AT_ONCE = 2**21  # weights that are float64 at once


@register
@dataclass(frozen=True, eq=False)
class Affine(Layer):
    """`y = x W^T + b` on the last axis of an input of any rank.

    `weight` is `(out, in)`, `bias` is `(out,)` or None.
    """

    weight: NDArray
    bias: NDArray | None = None
    linear = True
    acts = TimeSemantics(last=1, reason="its weights act along time")

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            self.weight.ndim == 2,
            f"Affine: the weights must be (out, in), got shape {self.weight.shape}",
        )
        require_bias("Affine", self.bias, self.weight.shape[0])
        require(len(shape) >= 1, "Affine: the input is a scalar, it needs at least one axis")
        require(
            shape[-1] == self.weight.shape[1],
            f"Affine: the input's last axis holds {shape[-1]} values, the weights (out, in) = "
            f"{self.weight.shape} expect {self.weight.shape[1]}",
        )
        return (*shape[:-1], self.weight.shape[0])

    def multiply_accumulates(self, *shapes: Shape) -> int:
        return math.prod(shapes[0][:-1]) * self.weight.size

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        parts = [x @ np.asarray(rows, np.float64).T for rows in self._some_rows()]
        y = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return y if self.bias is None else y + self.bias

    def _some_rows(self) -> Iterator[NDArray]:
        """Rows of the weights, some at a time: in float64 they are held twice over."""
        out, inner = self.weight.shape
        some = max(1, _AT_ONCE // max(1, _ROWS * inner)) * _ROWS
        starts = range(0, max(1, out - some + 1), some)
        yield from (self.weight[i : i + some if i != starts[-1] else out] for i in starts)


@register
@dataclass(frozen=True, eq=False)
class Convolution(Layer):
    """Cross-correlation over one to three spatial axes.

    `weight` is `(out, in / groups, *size)`, `bias` `(out,)` or None; `padding` holds a
    `(before, after)` pair per spatial axis; groups split channels as PyTorch and ONNX do, so a
    depthwise convolution has as many groups as input channels.
    """

    weight: NDArray
    bias: NDArray | None
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    groups: int = 1
    channels_last: bool = False
    linear = True
    acts = Windowed(entries={"stride": one, "padding": no_pair, "dilation": one})

    @property
    def windows(self) -> Windows:
        """The geometry of the sliding kernel."""
        return Windows(self.weight.shape[2:], self.stride, self.padding, self.dilation)

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            3 <= self.weight.ndim <= 5,
            "Convolution: the weights must be (out, in / groups, *size) with one to three sizes, "
            f"got shape {self.weight.shape}",
        )
        require_bias("Convolution", self.bias, self.weight.shape[0])
        extent, channels = windowed_extent("Convolution", self.windows, shape, self.channels_last)
        require(self.groups >= 1, f"Convolution: {self.groups} groups, at least 1 is needed")
        expected = self.weight.shape[1] * self.groups
        require(
            channels == expected,
            f"Convolution: the input has {channels} channels, the kernel expects {expected}",
        )
        require(
            self.weight.shape[0] % self.groups == 0,
            f"Convolution: {self.weight.shape[0]} filters do not divide into {self.groups} groups",
        )
        return join_shape(extent, self.weight.shape[0], self.channels_last)

    def multiply_accumulates(self, *shapes: Shape) -> int:
        return math.prod(self.output_shape(*shapes)) // self.weight.shape[0] * self.weight.size

    def evaluate(self, *values: NDArray) -> NDArray:
        x = channels_last(values[0], self.channels_last)
        weight = np.asarray(self.weight, np.float64)
        out, inner = weight.shape[:2]
        kernels = weight.reshape(self.groups, out // self.groups, inner, -1)
        y = np.empty((len(x), *self.windows.output_extent(x.shape[1:-1]), out))
        filled = 0
        for patches in self._patches(x):
            grouped = patches.reshape(*patches.shape[:-1], self.groups, inner)
            parts = [
                np.tensordot(grouped[..., g, :], kernels[g], axes=((-2, -1), (2, 1)))
                for g in range(self.groups)
            ]
            lines = slice(filled, filled + patches.shape[1])
            np.concatenate(parts, axis=-1, out=y[:, lines])
            filled = lines.stop
        if self.bias is not None:
            y += self.bias
        return restore_channels(y, self.channels_last)

    def _patches(self, x: NDArray) -> Iterator[NDArray]:
        """All windows, `(batch, *windows, taps, channels)`, some lines of them at a time.

        So many that libraries compute their products as those of all: they do small ones otherwise.
        """
        taps = [view for _, view in self.windows.taps(x)]
        batch, lines, *others, channels = taps[0].shape
        rows = batch * math.prod(others)  # of the product that a line is
        least = _ROWS // math.gcd(_ROWS, max(1, rows))
        each = max(1, least * rows * channels // max(1, self.groups) * len(taps))
        some = -(-_AT_ONCE // each) * least
        starts = range(0, max(1, lines - some + 1), some)
        for i in starts:
            until = i + some if i != starts[-1] else lines
            yield np.stack([view[:, i:until] for view in taps], axis=-2)


@register
@dataclass(frozen=True, eq=False)
class ScaleShift(Layer):
    """`y = scale * x + shift`, elementwise; both broadcast against the unbatched input shape."""

    scale: NDArray | None = None
    shift: NDArray | None = None
    linear = True
    acts = TimeSemantics(arrays=("scale", "shift"))

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        for name, value in (("scale", self.scale), ("shift", self.shift)):
            if value is not None:
                require_broadcast("ScaleShift", name, value, shape)
        return shape

    def evaluate(self, *values: NDArray) -> NDArray:
        (y,) = values
        if self.scale is not None:
            y = y * self.scale
        if self.shift is not None:
            y = y + self.shift
        return y


@register
@dataclass(frozen=True, eq=False)
class BatchNormalization(Layer):
    """`y = gamma (x - mean) / sqrt(variance + epsilon) + beta` per channel (Ioffe & Szegedy 2015).

    The four arrays are `(channels,)`; `axis` is the channel axis of the unbatched input.
    """

    gamma: NDArray
    beta: NDArray
    mean: NDArray
    variance: NDArray
    epsilon: float
    axis: int
    linear = True
    acts = TimeSemantics("axis", reason=OWN)

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        axis = normalise_axis(self.axis, len(shape), "BatchNormalization")
        require(
            all(p.shape == (shape[axis],) for p in self.arrays().values()),
            f"BatchNormalization: statistics of shape {self.gamma.shape} do not fit axis {axis} "
            f"of an input of shape {shape}",
        )
        bad = int((~(self.variance + np.float64(self.epsilon) > 0)).sum())
        require(
            bad == 0,
            f"BatchNormalization: variance + epsilon is not positive in {bad} of {shape[axis]} "
            f"channels (epsilon {self.epsilon}), so that there is nothing to divide by",
        )
        return shape

    def scale_and_shift(self) -> tuple[NDArray, NDArray]:
        """The layer as `y = scale x + shift`, float64 `(channels,)` each."""
        scale = np.asarray(self.gamma, np.float64) / np.sqrt(
            np.asarray(self.variance, np.float64) + self.epsilon
        )
        return scale, self.beta - scale * self.mean

    def as_scale_shift(self, rank: int) -> ScaleShift:
        """The same map as an elementwise layer on inputs of this (unbatched) rank."""
        trailing = (1,) * (rank - 1 - normalise_axis(self.axis, rank, "BatchNormalization"))
        scale, shift = self.scale_and_shift()
        return ScaleShift(scale.reshape(-1, *trailing), shift.reshape(-1, *trailing))

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        return self.as_scale_shift(x.ndim - 1).evaluate(x)
