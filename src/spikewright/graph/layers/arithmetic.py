"""Sums, products, quotients and extrema of several inputs, and layers that join them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul, truediv
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import GraphError
from spikewright.graph.layers.base import Layer, Shape, normalise_axis, register, require
from spikewright.graph.layers.time_semantics import TimeSemantics


@register
@dataclass(frozen=True)
class Add(Layer):
    """Sum of one or more inputs of one shape."""

    arity = None
    linear = True
    acts = TimeSemantics()

    def output_shape(self, *shapes: Shape) -> Shape:
        require(len(set(shapes)) == 1, f"Add: inputs of shapes {list(shapes)} do not match")
        return shapes[0]

    def evaluate(self, *values: NDArray) -> NDArray:
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


@register
@dataclass(frozen=True)
class Concatenate(Layer):
    """Inputs side by side along an axis of the unbatched shape."""

    axis: int
    arity = None
    linear = True
    acts = TimeSemantics("axis", reason="it joins sequences one behind the other")

    def output_shape(self, *shapes: Shape) -> Shape:
        axis = normalise_axis(self.axis, len(shapes[0]), "Concatenate")
        rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        same_rank = len({len(shape) for shape in shapes}) == 1
        require(
            len(rest) == 1 and same_rank,
            f"Concatenate: inputs of shapes {list(shapes)} differ beside axis {axis}",
        )
        total = sum(shape[axis] for shape in shapes)
        return (*shapes[0][:axis], total, *shapes[0][axis + 1 :])

    def evaluate(self, *values: NDArray) -> NDArray:
        axis = normalise_axis(self.axis, values[0].ndim - 1, "Concatenate")
        return np.concatenate(values, axis=axis + 1)


def broadcast_shapes(kind: str, shapes: Sequence[Shape]) -> Shape:
    """The (unbatched) shape that all broadcast to; raises `GraphError` where there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise GraphError(
            f"{kind}: inputs of shapes {list(shapes)} do not broadcast to one shape"
        ) from None


def aligned(values: Sequence[NDArray]) -> list[NDArray]:
    """Values `(batch, *shape)` with unbatched ranks made equal by axes of one in front."""
    rank = max(value.ndim for value in values)
    return [v.reshape(len(v), *(1,) * (rank - v.ndim), *v.shape[1:]) for v in values]


class _Elementwise(Layer):
    """A function of two numbers over inputs that broadcast against each other, the batch left out.

    Of several inputs it is applied to the first two, then to its result and the next.
    """

    arity: ClassVar[int | None] = None
    acts = TimeSemantics()
    combine: ClassVar[Any]

    def output_shape(self, *shapes: Shape) -> Shape:
        return broadcast_shapes(self.kind, shapes)

    def evaluate(self, *values: NDArray) -> NDArray:
        return reduce(type(self).combine, aligned(values))


@register
@dataclass(frozen=True)
class Multiply(_Elementwise):
    """Product of one or more inputs, whose unbatched shapes broadcast."""

    combine = mul  # of tensors too


@register
@dataclass(frozen=True)
class Divide(_Elementwise):
    """`a / b`, whose unbatched shapes broadcast; infinite or NaN where `b` is zero."""

    arity = 2
    partial = True
    combine = truediv


@register
@dataclass(frozen=True)
class Maximum(_Elementwise):
    """The largest of one or more inputs, whose unbatched shapes broadcast."""

    combine = np.maximum


@register
@dataclass(frozen=True)
class Minimum(_Elementwise):
    """The smallest of one or more inputs, whose unbatched shapes broadcast."""

    combine = np.minimum


@register
@dataclass(frozen=True)
class MatMul(Layer):
    """`a b` over the last two axes of two inputs, whose other (unbatched) axes broadcast.

    With `transpose_a` or `transpose_b` the last two axes of that input change places first.
    """

    transpose_a: bool = False
    transpose_b: bool = False
    arity = 2
    acts = TimeSemantics(last=2)

    def output_shape(self, *shapes: Shape) -> Shape:
        a, b = shapes
        require(
            min(len(a), len(b)) >= 2,
            f"MatMul: inputs of shapes {a} and {b} must have two axes or more, without the batch",
        )
        leading = broadcast_shapes(self.kind, (a[:-2], b[:-2]))
        rows, inner = a[:-3:-1] if self.transpose_a else a[-2:]
        other, columns = b[:-3:-1] if self.transpose_b else b[-2:]
        require(
            inner == other,
            f"MatMul: {inner} values along the inner axis of {a} do not fit {other} of {b} "
            f"(transpose_a={self.transpose_a}, transpose_b={self.transpose_b})",
        )
        return (*leading, rows, columns)

    def multiply_accumulates(self, *shapes: Shape) -> int:
        inner = shapes[0][-2 if self.transpose_a else -1]
        return math.prod(self.output_shape(*shapes)) * inner

    def evaluate(self, *values: NDArray) -> NDArray:
        a, b = aligned(values)
        a = np.swapaxes(a, -1, -2) if self.transpose_a else a
        b = np.swapaxes(b, -1, -2) if self.transpose_b else b
        return a @ b
