"""Transforms that are matrices, or parts of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arrays import frozen, immutable
from spikewright.network.shapes import Shape, as_shape, whole_numbers
from spikewright.network.transforms.base import (
    Transform,
    freeze_array,
    register,
    require,
)
from spikewright.network.transforms.described import Init, entries_of, is_matrix_shape, matrix_of


@register
@dataclass(frozen=True, eq=False)
class Dense(Transform):
    """`y = W x` on the last axis; `matrix` is `(out, in)`.

    `Dense((out, in), init)` is a map of which a connection makes the matrix: `init` is a number or
    vector on its diagonal, the matrix, or a distribution to draw it from.
    """

    matrix: NDArray

    def __new__(cls, *given: Any, **named: Any) -> Any:
        if "shape" in named or (given and is_matrix_shape(given[0])):
            return matrix_of(cls, *given, **named)
        return super().__new__(cls)

    if TYPE_CHECKING:

        @overload
        def __init__(self, matrix: ArrayLike) -> None: ...
        @overload
        def __init__(self, shape: tuple[int, int], init: Init = 1.0) -> None: ...
        def __init__(self, *given: Any, **named: Any) -> None: ...

    def __post_init__(self) -> None:
        matrix = freeze_array(self, "matrix", self.matrix)
        require(matrix.ndim == 2, f"Dense.matrix must be (out, in), got shape {matrix.shape}")

    def output_shape(self, shape: Shape) -> Shape:
        out, inner = self.matrix.shape
        require(
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
    `Sparse((out, in), indices, init)` is a map that a connection makes: `indices` are `(n, 2)` rows
    and columns, `init` one value, one an entry, or a distribution to draw them from; or `init`
    alone is a sparse matrix of SciPy's.
    """

    rows: NDArray
    columns: NDArray
    values: NDArray
    shape_out: Shape
    size_in: int

    def __new__(cls, *given: Any, **named: Any) -> Any:
        by_shape = "shape" in named or (given and is_matrix_shape(given[0]))
        if by_shape and len(given) + len(named) < len(fields(cls)):
            return entries_of(cls, *given, **named)
        return super().__new__(cls)

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            rows: ArrayLike,
            columns: ArrayLike,
            values: ArrayLike,
            shape_out: Shape,
            size_in: int,
        ) -> None: ...
        @overload
        def __init__(
            self, shape: tuple[int, int], indices: ArrayLike | None = None, init: Any = 1.0
        ) -> None: ...
        def __init__(self, *given: Any, **named: Any) -> None: ...

    def __post_init__(self) -> None:
        freeze_array(self, "values", self.values)
        object.__setattr__(self, "shape_out", as_shape(self.shape_out, "Sparse.shape_out"))
        (size,) = whole_numbers("Sparse.size_in", (self.size_in,), 0)
        object.__setattr__(self, "size_in", size)
        for name, limit in (("rows", math.prod(self.shape_out)), ("columns", size)):
            given = np.asarray(getattr(self, name))
            require(
                given.dtype.kind in "iu" or given.size == 0,
                f"Sparse.{name} must be whole numbers, got {given.dtype}",
            )
            require(
                given.shape == self.values.shape and given.ndim == 1,
                f"Sparse.{name} must have one index per value, got shape {given.shape}",
            )
            inside = given.size == 0 or (given.min() >= 0 and given.max() < limit)
            require(inside, f"Sparse.{name} must lie in 0..{limit - 1}")
            kind = np.int32 if limit <= 2**31 else np.int64
            if not (immutable(given) and given.dtype == kind):
                given = frozen(np.array(given, kind))
            object.__setattr__(self, name, given)

    def output_shape(self, shape: Shape) -> Shape:
        require(
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
        freeze_array(self, "factor", self.factor)

    def output_shape(self, shape: Shape) -> Shape:
        factor = self.factor
        fits = factor.ndim <= len(shape) and all(
            n in (1, m) for n, m in zip(factor.shape[::-1], shape[::-1], strict=False)
        )
        require(fits, f"Scale: a factor of shape {factor.shape} does not broadcast to {shape}")
        return shape

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
        matrix = freeze_array(self, "matrix", self.matrix)
        require(matrix.ndim == 2, f"AxisMap.matrix must be (out, in), got shape {matrix.shape}")
        (axis,) = whole_numbers("AxisMap.axis", (self.axis,), 0)
        object.__setattr__(self, "axis", axis)

    def output_shape(self, shape: Shape) -> Shape:
        require(
            0 <= self.axis < len(shape) and shape[self.axis] == self.matrix.shape[1],
            f"AxisMap: a matrix of shape {self.matrix.shape} does not fit axis {self.axis} of an "
            f"input of shape {shape}",
        )
        return (*shape[: self.axis], self.matrix.shape[0], *shape[self.axis + 1 :])

    @property
    def weights(self) -> NDArray:
        return self.matrix
