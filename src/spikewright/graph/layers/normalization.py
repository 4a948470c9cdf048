"""Normalisations that depend on the sample: layer, group, root mean square, unit length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from spikewright._base import equations
from spikewright._base.equations import NUMPY
from spikewright.graph.layers.base import (
    Layer,
    Shape,
    normalise_axes,
    normalise_axis,
    register,
    require,
    require_broadcast,
)
from spikewright.graph.layers.time_semantics import TimeSemantics


def from_the_end(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Axes of an unbatched shape as negative numbers, in order."""
    return tuple(sorted(axis % rank - rank for axis in axes))


def _check(
    layer: Layer, axes: tuple[int, ...], shape: Shape, epsilon: float, **affine: NDArray | None
) -> None:
    require(len(axes) > 0, f"{layer.kind}: no axes are given, at least one is needed")
    normalise_axes(axes, shape, layer.kind)
    require(epsilon >= 0, f"{layer.kind}: epsilon must be 0 or more, got {epsilon}")
    for name, value in affine.items():
        if value is not None:
            require_broadcast(layer.kind, name, value, shape)


def scaled(y: Any, scale: Any, shift: Any) -> Any:
    """`scale y + shift`, for arrays of any library; each of the two may be None."""
    y = y if scale is None else y * scale
    return y if shift is None else y + shift


@register
@dataclass(frozen=True, eq=False)
class LayerNormalization(Layer):
    """`scale (x - mean) / sqrt(variance + epsilon) + shift` over unbatched `axes` (Ba et al. 2016).

    The variance is the biased one. `scale` and `shift` broadcast against the unbatched input.
    """

    axes: tuple[int, ...]
    epsilon: float
    scale: NDArray | None = None
    shift: NDArray | None = None
    acts = TimeSemantics("axes", arrays=("scale", "shift"))

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        _check(self, self.axes, shape, self.epsilon, scale=self.scale, shift=self.shift)
        return shape

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        axes = from_the_end(self.axes, x.ndim - 1)
        y = equations.layer_normalization(NUMPY, x, axes, self.epsilon)
        return scaled(y, self.scale, self.shift)


@register
@dataclass(frozen=True, eq=False)
class GroupNormalization(Layer):
    """Each of `groups` equal runs of channels normalised over itself and all axes (Wu & He 2018).

    `axis` is the channels' in the unbatched input; `scale` and `shift` are `(channels,)`. As many
    groups as channels: instance normalisation.
    """

    groups: int
    axis: int
    epsilon: float
    scale: NDArray | None = None
    shift: NDArray | None = None

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        axis = normalise_axis(self.axis, len(shape), self.kind)
        require(self.epsilon >= 0, f"{self.kind}: epsilon must be 0 or more, got {self.epsilon}")
        require(
            self.groups >= 1 and shape[axis] % self.groups == 0,
            f"{self.kind}: {shape[axis]} channels do not divide into {self.groups} groups",
        )
        for name, value in self.arrays().items():
            require(
                value.shape == (shape[axis],),
                f"{self.kind}: the {name} must have shape ({shape[axis]},), got {value.shape}",
            )
        return shape

    def affine(self, rank: int) -> tuple[NDArray | None, NDArray | None]:
        """Scale and shift laid out to broadcast against an unbatched input of this rank."""
        trailing = (1,) * (rank - 1 - normalise_axis(self.axis, rank, self.kind))
        scale, shift = (
            None if value is None else value.reshape(-1, *trailing)
            for value in (self.scale, self.shift)
        )
        return scale, shift

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        rank = x.ndim - 1
        axis = normalise_axis(self.axis, rank, self.kind) - rank
        y = equations.group_normalization(NUMPY, x, self.groups, axis, rank, self.epsilon)
        return scaled(y, *self.affine(rank))


@register
@dataclass(frozen=True, eq=False)
class RMSNormalization(Layer):
    """`scale x / sqrt(mean x^2 + epsilon)` over unbatched `axes` (Zhang & Sennrich 2019)."""

    axes: tuple[int, ...]
    epsilon: float
    scale: NDArray | None = None
    acts = TimeSemantics("axes", arrays=("scale",))

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        _check(self, self.axes, shape, self.epsilon, scale=self.scale)
        return shape

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        axes = from_the_end(self.axes, x.ndim - 1)
        return scaled(equations.rms_normalization(NUMPY, x, axes, self.epsilon), self.scale, None)


@register
@dataclass(frozen=True)
class UnitNormalization(Layer):
    """`x / max(|x|, epsilon)`, `|x|` the Euclidean norm over unbatched `axes`."""

    axes: tuple[int, ...]
    epsilon: float = 1e-12
    acts = TimeSemantics("axes")

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        _check(self, self.axes, shape, self.epsilon)
        return shape

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        axes = from_the_end(self.axes, x.ndim - 1)
        return equations.unit_normalization(NUMPY, x, axes, self.epsilon)
