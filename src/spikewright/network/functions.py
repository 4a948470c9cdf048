"""Functions of nodes: of the input at every step, or of its running means.

A node may also hold any Python callable; node functions are data, known to files and engines.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spikewright._base.equations import CURVES
from spikewright.errors import NetworkError
from spikewright.network.attributes import ClassRegistry
from spikewright.network.shapes import Shape, as_shape, whole_numbers

Array = Any  # an array of whatever library the engine computes with

FUNCTIONS = ClassRegistry("node function")
"""Every node function by name (read only)."""


class NodeFunction(ABC):
    """A function `f` of a node's input, vectorised over samples and steps.

    Without `accumulate` it is applied to the present values. With it the node passes on
    `t f(m_t) - (t-1) f(m_(t-1))`, `m_t` the running mean of its input until step `t`. Its outputs
    sum to `t f(m_t)`, so that its time mean is exactly `f` of the means of its inputs (expectation
    compensation, Huang et al. 2024, arXiv:2406.03470). For a `homogeneous` function,
    `f(c x) = c f(x)` for `c > 0`, that is the increase of `f` of the running sums. While `f` is not
    finite (nothing has arrived yet at a divisor), nothing is sent.
    """

    homogeneous: ClassVar[bool] = False
    accumulate: bool

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the value for an input of `shape`; raises `NetworkError` if it does not fit."""

    @abstractmethod
    def apply(self, xp: Any, x: Array) -> Array:
        """The value for inputs `(..., *shape)`, with the array functions of `xp`."""

    def reached(self, xp: Any, sums: Array, t: Any, before: Array) -> Array:
        """The sum of all outputs until step `t`, of running sums of the input.

        Where it is not finite it stays what it was `before`.
        """
        if self.homogeneous:
            return self.apply(xp, sums)
        value = t * self.apply(xp, sums / t)
        return xp.where(xp.isfinite(value), value, before)


register = FUNCTIONS.register


def check_curve(function: str, parameters: Mapping[str, float]) -> None:
    """Raise `NetworkError` for an unknown elementwise function, or for its parameters."""
    if function not in CURVES:
        known = ", ".join(sorted(CURVES))
        raise NetworkError(f"Elementwise: {function!r} is unknown; known are {known}")
    problem = CURVES[function].problem(parameters)
    if problem is not None:
        raise NetworkError(f"Elementwise: {function!r} {problem}")


def negative_axes(kind: str, axes: Any) -> tuple[int, ...]:
    """Axes counted from the end, one or more, each once; raises `NetworkError` naming `kind`."""
    counted = whole_numbers(f"{kind}.axes, counted from the end,", (-a for a in axes), 1)
    if not counted or len(set(counted)) < len(counted):
        raise NetworkError(f"{kind}.axes must be different axes, one or more, got {axes!r}")
    return tuple(sorted(-a for a in counted))


def check_axes(kind: str, axes: tuple[int, ...], shape: Shape) -> None:
    """Raise `NetworkError` unless an input of `shape` has these (negative) axes."""
    if min(axes) < -len(shape):
        raise NetworkError(f"{kind}: axes {axes} do not exist in an input of shape {shape}")


@dataclass(frozen=True)
class OfSeveral(NodeFunction):
    """A function of several arrays of `shapes`, which lie one after the other in a flat input."""

    shapes: tuple[Shape, ...]
    accumulate: bool = False

    def __post_init__(self) -> None:
        kind = type(self).__name__
        shapes = tuple(as_shape(shape, f"{kind}.shapes", empty=False) for shape in self.shapes)
        object.__setattr__(self, "shapes", shapes)
        if not shapes:
            raise NetworkError(f"{kind}.shapes must name one input or more")
        self.value_shape()

    @abstractmethod
    def value_shape(self) -> Shape:
        """Shape of the value; raises `NetworkError` where the inputs' shapes do not fit."""

    @property
    def size_in(self) -> int:
        """Number of values of all inputs."""
        return sum(map(math.prod, self.shapes))

    def output_shape(self, shape: Shape) -> Shape:
        if shape != (self.size_in,):
            raise NetworkError(
                f"{type(self).__name__}: inputs of shapes {self.shapes} are {self.size_in} values "
                f"one after the other, got an input of shape {shape}"
            )
        return self.value_shape()

    def parts(self, x: Array) -> list[Array]:
        """The arrays in `(..., size_in)`, their ranks made equal by axes of one in front."""
        rank = max(map(len, self.shapes))
        lead = tuple(x.shape[:-1])
        found, start = [], 0
        for shape in self.shapes:
            stop = start + math.prod(shape)
            wide = (1,) * (rank - len(shape)) + shape
            found.append(x[..., start:stop].reshape(*lead, *wide))
            start = stop
        return found


def broadcast_shape(kind: str, shapes: tuple[Shape, ...]) -> Shape:
    """The shape that all broadcast to; raises `NetworkError` where there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise NetworkError(
            f"{kind}: inputs of shapes {shapes} do not broadcast to one shape"
        ) from None
