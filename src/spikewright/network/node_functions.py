"""The functions of nodes that files and engines know: those that the converter needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base import equations
from spikewright._base.arguments import EqualByValue
from spikewright._base.equations import CURVES
from spikewright._base.windows import Windows, join_shape, split_shape
from spikewright.errors import NetworkError
from spikewright.network.functions import (
    Array,
    NodeFunction,
    OfSeveral,
    broadcast_shape,
    check_axes,
    check_curve,
    negative_axes,
    register,
)
from spikewright.network.shapes import Shape, check_windows, fixed_numbers, from_zero


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


@register
@dataclass(frozen=True)
class Elementwise(NodeFunction):
    """`f(x)` for an elementwise function by name, such as `Elementwise("abs")`.

    `parameters` are its `(name, value)` pairs. Raises `NetworkError` for an unknown function or
    unknown parameters.
    """

    function: str
    parameters: tuple[tuple[str, float], ...] = ()
    accumulate: bool = False

    def __post_init__(self) -> None:
        check_curve(self.function, dict(self.parameters))
        object.__setattr__(self, "parameters", tuple(sorted(self.parameters)))

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def apply(self, xp: Any, x: Array) -> Array:
        return CURVES[self.function](xp, x, dict(self.parameters))


@register
@dataclass(frozen=True, eq=False)
class Lookup(EqualByValue, NodeFunction):
    """Rows of `table` at the row numbers in the input; a row's axes follow the input's axes.

    Numbers are rounded to the nearest row, since means are seldom whole. With `whole` a run raises
    `SimulationError` for a number without a row.
    """

    table: NDArray
    accumulate: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        table = fixed_numbers(self, "table")
        if table.ndim < 1 or not table.size:
            raise NetworkError(f"Lookup.table must have rows, got an array of shape {table.shape}")

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape, *self.table.shape[1:])

    def apply(self, xp: Any, x: Array) -> Array:
        rows = len(self.table)
        if self.whole:
            known = (xp.floor(x) == x) & (x >= 0) & (x < rows)
            if not bool(known.all()):
                wrong = float(x[~known].reshape(-1)[0])
                raise ValueError(
                    f"rows are looked up by whole numbers from 0 to {rows - 1}, got {wrong:g}"
                )
        return xp.rows(xp.constant(self.table), x)


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
        from_zero(self.epsilon, f"{kind}.epsilon")

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


@dataclass(frozen=True, eq=False)
class PythonCall(NodeFunction):
    """A Python function of arrays of `shapes`, which stand one after the other in a flat input.

    `function` takes an array `(samples, *shape)` for each and returns one `(samples, *made)`; all
    samples and steps of a block come at once, so it must treat them independently and keep no
    state. `called` describes the called code in words.
    """

    function: Callable[..., NDArray]
    shapes: tuple[Shape, ...]
    made: Shape
    called: str
    accumulate: bool = False
    stateless: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        size = sum(map(math.prod, self.shapes))
        if shape != (size,):
            raise NetworkError(f"PythonCall of {self.called} takes {size} values, got {shape}")
        return self.made

    def apply(self, xp: Any, x: Array) -> Array:
        lead = tuple(x.shape[:-1])
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = [
            x[..., end - math.prod(shape) : end].reshape(-1, *shape)
            for end, shape in zip(ends.tolist(), self.shapes, strict=True)
        ]
        return xp.called(self.function, *parts).reshape(*lead, *self.made)
