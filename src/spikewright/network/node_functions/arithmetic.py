"""Functions of several inputs: products, quotients, extrema."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

from spikewright.errors import NetworkError
from spikewright.network.functions import Array, OfSeveral, broadcast_shape, register
from spikewright.network.shapes import Shape


@dataclass(frozen=True)
class _Broadcasting(OfSeveral):
    """An elementwise function of inputs whose shapes broadcast."""

    def value_shape(self) -> Shape:
        return broadcast_shape(type(self).__name__, self.shapes)


@register
@dataclass(frozen=True)
class Multiply(_Broadcasting):
    """Product of all inputs."""

    def apply(self, xp: Any, x: Array) -> Array:
        return reduce(lambda a, b: a * b, self.parts(x))


@register
@dataclass(frozen=True)
class Maximum(_Broadcasting):
    """The largest of all inputs."""

    homogeneous = True

    def apply(self, xp: Any, x: Array) -> Array:
        return reduce(xp.maximum, self.parts(x))


@register
@dataclass(frozen=True)
class Minimum(_Broadcasting):
    """The smallest of all inputs."""

    homogeneous = True

    def apply(self, xp: Any, x: Array) -> Array:
        return reduce(xp.minimum, self.parts(x))


class _OfTwo(OfSeveral):
    """A function of two inputs."""

    def __post_init__(self) -> None:
        if len(self.shapes) != 2:
            raise NetworkError(f"{type(self).__name__} takes two inputs, got {self.shapes!r}")
        super().__post_init__()


@register
@dataclass(frozen=True)
class Divide(_OfTwo):
    """The first input divided by the second."""

    def value_shape(self) -> Shape:
        return broadcast_shape("Divide", self.shapes)

    def apply(self, xp: Any, x: Array) -> Array:
        a, b = self.parts(x)
        return a / b


@register
@dataclass(frozen=True)
class MatMul(_OfTwo):
    """Matrix product of two inputs over their last two axes; the others broadcast.

    With `transpose_a` or `transpose_b` the last two axes of that input change places first.
    """

    transpose_a: bool = False
    transpose_b: bool = False

    def value_shape(self) -> Shape:
        a, b = self.shapes
        if min(len(a), len(b)) < 2:
            raise NetworkError(f"MatMul: inputs of shapes {a} and {b} must have two axes or more")
        rows, inner = a[:-3:-1] if self.transpose_a else a[-2:]
        other, columns = b[:-3:-1] if self.transpose_b else b[-2:]
        if inner != other:
            raise NetworkError(
                f"MatMul: {inner} values along the inner axis of {a} do not fit {other} of {b} "
                f"(transpose_a={self.transpose_a}, transpose_b={self.transpose_b})"
            )
        return (*broadcast_shape("MatMul", (a[:-2], b[:-2])), rows, columns)

    def apply(self, xp: Any, x: Array) -> Array:
        a, b = self.parts(x)
        a = xp.swapaxes(a, -1, -2) if self.transpose_a else a
        b = xp.swapaxes(b, -1, -2) if self.transpose_b else b
        return xp.matmul(a, b)
