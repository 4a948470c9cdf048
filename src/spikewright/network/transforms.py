"""Transforms: the linear maps that live on connections.

Shapes leave batch and time out. Arrays of weights are kept as given; an engine decides the grid
they are held on.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._windows import Pairs, Windows, join_shape, split_shape
from spikewright.errors import NetworkError

Shape = tuple[int, ...]

_registry: dict[str, type[Transform]] = {}
TRANSFORMS = MappingProxyType(_registry)
"""Every registered transform, by name (read only)."""

T = TypeVar("T", bound="type[Transform]")


def register(cls: T) -> T:
    """Class decorator: make a transform known to files, engines' tests and documentation."""
    if cls.__name__ in _registry:
        raise ValueError(f"a transform named {cls.__name__!r} is registered already")
    _registry[cls.__name__] = cls
    return cls


class Transform(ABC):
    """A linear map from one shape to another."""

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the image of an input of `shape`; raises `NetworkError` if it does not fit."""

    @property
    def weights(self) -> NDArray:
        """The map's parameters, as `sim.data[connection].weights` gives them."""
        return np.array(1.0)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise NetworkError(message)


def _finite(owner: Transform, name: str, value: NDArray) -> None:
    bad = int(value.size - np.isfinite(value).sum())
    _require(
        bad == 0, f"{type(owner).__name__}.{name}: {bad} of {value.size} values are not finite"
    )


def _freeze_array(owner: Transform, name: str, value: ArrayLike) -> NDArray:
    array = np.array(value)
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    array.setflags(write=False)
    _finite(owner, name, array)
    object.__setattr__(owner, name, array)
    return array


@register
@dataclass(frozen=True, eq=False)
class Dense(Transform):
    """`y = W x` on the last axis; `matrix` is `(out, in)`."""

    matrix: NDArray

    def __post_init__(self) -> None:
        matrix = _freeze_array(self, "matrix", self.matrix)
        _require(matrix.ndim == 2, f"Dense.matrix must be (out, in), got shape {matrix.shape}")

    def output_shape(self, shape: Shape) -> Shape:
        out, inner = self.matrix.shape
        _require(
            len(shape) >= 1 and shape[-1] == inner,
            f"Dense: a matrix of shape {(out, inner)} does not fit an input of shape {shape}",
        )
        return (*shape[:-1], out)

    @property
    def weights(self) -> NDArray:
        return self.matrix


@register
@dataclass(frozen=True, eq=False)
class Sparse(Transform):
    """`y[row] += value x[column]` on flattened arrays, one entry of `(entries,)` arrays at a time.

    `shape_out` is the shape of the image; `size_in` is the number of inputs.
    """

    rows: NDArray
    columns: NDArray
    values: NDArray
    shape_out: Shape
    size_in: int

    def __post_init__(self) -> None:
        _freeze_array(self, "values", self.values)
        for name, limit in (("rows", math.prod(self.shape_out)), ("columns", self.size_in)):
            index = np.array(getattr(self, name), dtype=np.int64)
            object.__setattr__(self, name, index)
            _require(
                index.shape == self.values.shape and index.ndim == 1,
                f"Sparse.{name} must have one index per value, got shape {index.shape}",
            )
            inside = index.size == 0 or (index.min() >= 0 and index.max() < limit)
            _require(inside, f"Sparse.{name} must lie in 0..{limit - 1}")

    def output_shape(self, shape: Shape) -> Shape:
        _require(
            math.prod(shape) == self.size_in,
            f"Sparse: a map of {self.size_in} inputs does not fit an input of shape {shape}",
        )
        return self.shape_out

    @property
    def weights(self) -> NDArray:
        """The full `(out, in)` matrix."""
        matrix = np.zeros((math.prod(self.shape_out), self.size_in), self.values.dtype)
        np.add.at(matrix, (self.rows, self.columns), self.values)
        return matrix


@register
@dataclass(frozen=True, eq=False)
class Scale(Transform):
    """`y = factor x`, elementwise; `factor` is a scalar or broadcasts to the input's shape."""

    factor: NDArray

    def __post_init__(self) -> None:
        _freeze_array(self, "factor", self.factor)

    def output_shape(self, shape: Shape) -> Shape:
        factor = self.factor
        fits = factor.ndim <= len(shape) and all(
            n in (1, m) for n, m in zip(factor.shape[::-1], shape[::-1], strict=False)
        )
        _require(fits, f"Scale: a factor of shape {factor.shape} does not broadcast to {shape}")
        return shape

    @property
    def weights(self) -> NDArray:
        return self.factor


@register
@dataclass(frozen=True, eq=False)
class Convolution(Transform):
    """Cross-correlation over one to three axes; `kernel` is `(out, in / groups, *size)`.

    `padding` holds a `(before, after)` pair of zeros per spatial axis.
    """

    kernel: NDArray
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    groups: int = 1
    channels_last: bool = False

    def __post_init__(self) -> None:
        kernel = _freeze_array(self, "kernel", self.kernel)
        _require(
            3 <= kernel.ndim <= 5,
            f"Convolution.kernel must be (out, in / groups, *size) with one to three spatial axes, "
            f"got shape {kernel.shape}",
        )

    @property
    def windows(self) -> Windows:
        """The geometry of the sliding kernel."""
        return Windows(self.kernel.shape[2:], self.stride, self.padding, self.dilation)

    def output_shape(self, shape: Shape) -> Shape:
        spatial, channels = split_shape(shape, self.channels_last)
        _require(
            len(spatial) == self.kernel.ndim - 2 and channels == self.kernel.shape[1] * self.groups,
            f"Convolution: a kernel (out, in / groups, *size) = {self.kernel.shape} in "
            f"{self.groups} groups does not fit an input of shape {shape}",
        )
        extent = self.windows.output_extent(spatial)
        _require(
            min(extent) > 0, f"Convolution: the kernel is larger than the padded input {shape}"
        )
        return join_shape(extent, self.kernel.shape[0], self.channels_last)

    @property
    def weights(self) -> NDArray:
        return self.kernel


@register
@dataclass(frozen=True, eq=False)
class SumPool(Transform):
    """Sum over sliding windows times `factor` per window, `(*windows,)` or scalar.

    An average pool has the reciprocal of each window's count as its factor.
    """

    windows: Windows
    factor: NDArray
    channels_last: bool = False

    def __post_init__(self) -> None:
        _freeze_array(self, "factor", self.factor)

    def output_shape(self, shape: Shape) -> Shape:
        _require(
            len(shape) == len(self.windows.size) + 1,
            f"SumPool: {len(self.windows.size)}-D windows do not fit an input of shape {shape}",
        )
        spatial, channels = split_shape(shape, self.channels_last)
        extent = self.windows.output_extent(spatial)
        _require(
            min(extent) > 0 and self.factor.shape in ((), extent),
            f"SumPool: {extent} windows over an input of shape {shape}, factors of shape "
            f"{self.factor.shape}",
        )
        return join_shape(extent, channels, self.channels_last)

    @property
    def weights(self) -> NDArray:
        return self.factor


@register
@dataclass(frozen=True, eq=False)
class AxisMap(Transform):
    """`y = M x` along one axis, for resampling and adaptive averages; `matrix` is `(out, in)`."""

    matrix: NDArray
    axis: int

    def __post_init__(self) -> None:
        _freeze_array(self, "matrix", self.matrix)

    def output_shape(self, shape: Shape) -> Shape:
        _require(
            0 <= self.axis < len(shape) and shape[self.axis] == self.matrix.shape[1],
            f"AxisMap: a matrix of shape {self.matrix.shape} does not fit axis {self.axis} of an "
            f"input of shape {shape}",
        )
        return (*shape[: self.axis], self.matrix.shape[0], *shape[self.axis + 1 :])

    @property
    def weights(self) -> NDArray:
        return self.matrix


@register
@dataclass(frozen=True)
class Reshape(Transform):
    """The same values in row-major order under another shape."""

    shape: Shape

    def output_shape(self, shape: Shape) -> Shape:
        _require(
            math.prod(shape) == math.prod(self.shape),
            f"Reshape: {math.prod(shape)} values of shape {shape} do not fill {self.shape}",
        )
        return self.shape


@register
@dataclass(frozen=True)
class Permute(Transform):
    """Output axis `i` is input axis `axes[i]`."""

    axes: tuple[int, ...]

    def output_shape(self, shape: Shape) -> Shape:
        _require(
            sorted(self.axes) == list(range(len(shape))),
            f"Permute: {self.axes} is no permutation of the axes of shape {shape}",
        )
        return tuple(shape[axis] for axis in self.axes)


@register
@dataclass(frozen=True)
class Slice(Transform):
    """A part of the input: `(start, stop, step)` per axis, steps above 0."""

    ranges: tuple[tuple[int, int, int], ...]

    def output_shape(self, shape: Shape) -> Shape:
        _check_ranges("Slice", self.ranges, shape)
        return tuple(len(range(*r)) for r in self.ranges)


@register
@dataclass(frozen=True)
class Place(Transform):
    """The input put at `(start, stop, step)` per axis of zeros of shape `shape`."""

    ranges: tuple[tuple[int, int, int], ...]
    shape: Shape

    def output_shape(self, shape: Shape) -> Shape:
        _check_ranges("Place", self.ranges, self.shape)
        target = tuple(len(range(*r)) for r in self.ranges)
        _require(shape == target, f"Place: an input of shape {shape} does not fill {target}")
        return self.shape


@register
@dataclass(frozen=True, eq=False)
class Chain(Transform):
    """Several transforms one after the other, the first of `parts` first."""

    parts: tuple[Transform, ...]

    def output_shape(self, shape: Shape) -> Shape:
        for part in self.parts:
            shape = part.output_shape(shape)
        return shape


def flatten(transform: Transform | None) -> tuple[Transform, ...]:
    """A transform as the sequence of transforms that it is made of."""
    if transform is None:
        return ()
    if isinstance(transform, Chain):
        return tuple(inner for part in transform.parts for inner in flatten(part))
    return (transform,)


def _check_ranges(what: str, ranges: tuple[tuple[int, int, int], ...], shape: Shape) -> None:
    fits = len(ranges) == len(shape) and all(
        0 <= start <= stop <= n and step >= 1
        for (start, stop, step), n in zip(ranges, shape, strict=True)
    )
    _require(fits, f"{what}: ranges {ranges} do not lie in shape {shape}")


def as_transform(value: Any, where: str) -> Transform | None:
    """A transform from what a user gave: a number or vector scales, a matrix is dense.

    Raises `NetworkError` naming `where` for anything else.
    """
    if value is None or isinstance(value, Transform):
        return value
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise NetworkError(
            f"{where}: a transform is None, a number, a vector, a matrix or a Transform, "
            f"got {value!r}"
        ) from None
    if array.ndim == 2:
        return Dense(array)
    if array.ndim < 2:
        return Scale(array)
    raise NetworkError(
        f"{where}: an array of {array.ndim} axes is no transform; use Convolution or Scale"
    )
