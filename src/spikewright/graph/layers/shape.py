"""Layers that move, repeat or drop values without computing new ones, and inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikewright._base.codec import ADDED
from spikewright._base.samples import TreePath
from spikewright._base.windows import Pairs
from spikewright.graph.layers.base import Layer, Shape, register, require
from spikewright.graph.layers.time_semantics import (
    AlongTimeError,
    TimeSemantics,
    no_pair,
    one,
    without,
)


@register
@dataclass(frozen=True)
class Input(Layer):
    """An input of the graph, `(batch, *shape)`.

    `place` is the path to it in the arguments of the source's own call, where that is not its name.
    If it is `whole`, the source takes only whole numbers there.
    """

    shape: Shape
    place: TreePath | None = field(default=None, metadata=ADDED)
    whole: bool = field(default=False, metadata=ADDED)
    arity = 0

    def output_shape(self, *shapes: Shape) -> Shape:
        require(min(self.shape, default=1) >= 1, f"Input: extents of {self.shape} must be positive")
        return self.shape

    def evaluate(self, *values: NDArray) -> NDArray:
        raise TypeError("an Input is given its value, it computes none")


@register
@dataclass(frozen=True)
class Identity(Layer):
    """`y = x`: dropout and noise at inference, an unused branch, a renamed value."""

    linear = True
    acts = TimeSemantics()

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def evaluate(self, *values: NDArray) -> NDArray:
        return values[0]


@register
@dataclass(frozen=True)
class Reshape(Layer):
    """The same values in row-major order under another (unbatched) shape, e.g. a flat one."""

    shape: Shape
    linear = True

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            math.prod(shape) == math.prod(self.shape) and min(self.shape, default=1) >= 1,
            f"Reshape: {math.prod(shape)} values of shape {shape} do not fill {self.shape}",
        )
        return self.shape

    def over_steps(self, steps: int, *shapes: Shape) -> Reshape:
        return Reshape((steps, *self.shape))

    def at_one_step(self, time: int, *shapes: Shape) -> tuple[Reshape, int]:
        """One that leaves time an axis of its own, with as many values before it."""
        (shape,) = shapes
        before = math.prod(shape[:time])
        for axis, steps in enumerate(self.shape):
            if steps == shape[time] and math.prod(self.shape[:axis]) == before:
                return Reshape(without(self.shape, axis)), axis
        raise AlongTimeError("it mixes the axis of time with others")

    def evaluate(self, *values: NDArray) -> NDArray:
        return values[0].reshape(len(values[0]), *self.shape)


@register
@dataclass(frozen=True)
class Permute(Layer):
    """Axes of the unbatched input in another order: output axis `i` is input axis `axes[i]`."""

    axes: tuple[int, ...]
    linear = True

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            sorted(self.axes) == list(range(len(shape))),
            f"Permute: {self.axes} is no permutation of the axes of shape {shape}",
        )
        return tuple(shape[axis] for axis in self.axes)

    def over_steps(self, steps: int, *shapes: Shape) -> Permute:
        return Permute((0, *(axis + 1 for axis in self.axes)))

    def at_one_step(self, time: int, *shapes: Shape) -> tuple[Permute, int]:
        axes = tuple(axis - (axis > time) for axis in self.axes if axis != time)
        return Permute(axes), self.axes.index(time)

    def evaluate(self, *values: NDArray) -> NDArray:
        return values[0].transpose(0, *(axis + 1 for axis in self.axes))


def padded_shape(kind: str, pads: Pairs, shape: Shape) -> Shape:
    """The shape with so many values more around; raises `GraphError` for other than counts."""
    require(
        len(pads) == len(shape) and min(map(min, pads), default=0) >= 0,
        f"{kind}: {pads} is not one pair of counts per axis of shape {shape}",
    )
    return tuple(n + before + after for n, (before, after) in zip(shape, pads, strict=True))


@register
@dataclass(frozen=True)
class ZeroPad(Layer):
    """Zeros `(before, after)` every axis of the unbatched input."""

    pads: Pairs
    linear = True
    acts = TimeSemantics(entries={"pads": no_pair})

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        return padded_shape(self.kind, self.pads, shape)

    def evaluate(self, *values: NDArray) -> NDArray:
        return np.pad(values[0], ((0, 0), *self.pads))


@register
@dataclass(frozen=True)
class Crop(Layer):
    """Drops `(before, after)` values of every axis of the unbatched input."""

    crops: Pairs
    linear = True
    acts = TimeSemantics(entries={"crops": no_pair})

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        fits = len(self.crops) == len(shape) and all(
            before >= 0 and after >= 0 and before + after < n
            for n, (before, after) in zip(shape, self.crops, strict=True)
        )
        require(fits, f"Crop: {self.crops} does not leave something of every axis of {shape}")
        return tuple(
            n - before - after for n, (before, after) in zip(shape, self.crops, strict=True)
        )

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        slices = (
            slice(before, n - after)
            for n, (before, after) in zip(x.shape[1:], self.crops, strict=True)
        )
        return x[(slice(None), *slices)]


@register
@dataclass(frozen=True)
class UpsampleNearest(Layer):
    """Repeats every value `factors[i]` times along axis `i` of the unbatched input."""

    factors: tuple[int, ...]
    linear = True
    acts = TimeSemantics(entries={"factors": one})

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            len(self.factors) == len(shape) and min(self.factors, default=1) >= 1,
            f"UpsampleNearest: {self.factors} is not one factor per axis of shape {shape}",
        )
        return tuple(n * factor for n, factor in zip(shape, self.factors, strict=True))

    def evaluate(self, *values: NDArray) -> NDArray:
        (y,) = values
        for axis, factor in enumerate(self.factors, start=1):
            y = np.repeat(y, factor, axis=axis)
        return y
