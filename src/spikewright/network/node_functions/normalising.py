"""Functions that normalise values over axes: softmax and the normalisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikewright._base import equations
from spikewright.network.functions import (
    Array,
    NodeFunction,
    check_axes,
    check_epsilon,
    negative_axes,
    register,
)
from spikewright.network.shapes import Shape


@dataclass(frozen=True)
class _OverAxis(NodeFunction):
    """A function along one axis, counted from the end."""

    axis: int = -1
    accumulate: bool = False

    def __post_init__(self) -> None:
        (axis,) = negative_axes(type(self).__name__, (self.axis,))
        object.__setattr__(self, "axis", axis)

    def output_shape(self, shape: Shape) -> Shape:
        check_axes(type(self).__name__, (self.axis,), shape)
        return shape


@register
@dataclass(frozen=True)
class Softmax(_OverAxis):
    """`exp(x) / sum exp(x)` along an axis."""

    def apply(self, xp: Any, x: Array) -> Array:
        return equations.softmax(xp, x, self.axis)


@register
@dataclass(frozen=True)
class LogSoftmax(_OverAxis):
    """`x - ln sum exp(x)` along an axis."""

    def apply(self, xp: Any, x: Array) -> Array:
        return equations.log_softmax(xp, x, self.axis)


@dataclass(frozen=True)
class _OverAxes(NodeFunction):
    """A function over axes that are counted from the end, with a small constant."""

    axes: tuple[int, ...]
    epsilon: float
    accumulate: bool = False

    def __post_init__(self) -> None:
        kind = type(self).__name__
        object.__setattr__(self, "axes", negative_axes(kind, self.axes))
        check_epsilon(kind, self.epsilon)

    def output_shape(self, shape: Shape) -> Shape:
        check_axes(type(self).__name__, self.axes, shape)
        return shape


@register
@dataclass(frozen=True)
class LayerNormalization(_OverAxes):
    """`(x - mean) / sqrt(variance + epsilon)` over axes (Ba et al. 2016)."""

    def apply(self, xp: Any, x: Array) -> Array:
        return equations.layer_normalization(xp, x, self.axes, self.epsilon)


@register
@dataclass(frozen=True)
class RMSNormalization(_OverAxes):
    """`x / sqrt(mean x^2 + epsilon)` over axes (Zhang & Sennrich 2019)."""

    def apply(self, xp: Any, x: Array) -> Array:
        return equations.rms_normalization(xp, x, self.axes, self.epsilon)


@register
@dataclass(frozen=True)
class UnitNormalization(_OverAxes):
    """`x / max(|x|, epsilon)`, `|x|` the Euclidean norm over axes."""

    def apply(self, xp: Any, x: Array) -> Array:
        return equations.unit_normalization(xp, x, self.axes, self.epsilon)
