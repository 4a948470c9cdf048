"""Transforms that are matrices or parts of them, and those that a shape describes, as in Nengo."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import frozen, immutable, is_whole
from spikewright.network.distributions import Distribution, Uniform
from spikewright.network.shapes import Shape, as_shape, finite, require, whole_numbers
from spikewright.network.transforms.layout import Transform, freeze_array, register

Init = ArrayLike | Distribution
_USUAL = Uniform(-1.0, 1.0)
_INIT = "finite numbers or a distribution"


@dataclass(frozen=True, eq=False)
class Described(Transform):
    """A map between flat vectors whose weights are not drawn yet.

    `words` name it in messages. `init` are the weights, or their distribution, of which `(n, d)`
    values are drawn: `drawn`. `make` makes the map of them.
    """

    words: str
    size_in: int
    size_out: int
    init: NDArray | Distribution
    drawn: tuple[int, int]
    make: Callable[[NDArray], Transform]

    def output_shape(self, shape: Shape) -> Shape:
        require(
            math.prod(shape) == self.size_in,
            f"{self.words}: a map of {self.size_in} values does not fit an input of shape {shape}",
        )
        return (self.size_out,)

    def made(self, rng: np.random.Generator) -> Transform:
        given = self.init
        return self.make(given.draw(*self.drawn, rng) if isinstance(given, Distribution) else given)

    def __repr__(self) -> str:
        return f"<{self.words}>"


def matrix_of(make: Callable[[NDArray], Transform], shape: Any, init: Init = 1.0) -> Described:
    """`Dense((out, in), init)`: `init` is a number, the diagonal, the matrix or a distribution."""
    out, inner = _matrix_shape("Dense", shape)
    words = f"Dense(({out}, {inner}), ...)"
    if isinstance(init, Distribution):
        return Described(words, inner, out, init, (out, inner), make)
    values = finite(init, "Dense: init", _INIT)
    diagonal = out == inner and values.shape in ((), (out,))
    require(
        diagonal or values.shape == (out, inner),
        f"Dense: init is a matrix {(out, inner)}, where that is square also a number or its "
        f"diagonal, or a distribution; got shape {values.shape}",
    )
    matrix = np.eye(out) * values if diagonal else values
    return Described(words, inner, out, matrix, (out, inner), make)


def entries_of(
    make: Callable[..., Transform], shape: Any, indices: Any = None, init: Any = 1.0
) -> Described:
    """`Sparse((out, in), indices, init)`: entries at `(n, 2)` rows and columns.

    `init` is a number, one value an entry, or a distribution; without `indices` a matrix of
    SciPy's.
    """
    out, inner = _matrix_shape("Sparse", shape)
    if hasattr(init, "tocoo"):
        found = init.tocoo()
        require(
            indices is None and found.shape == (out, inner),
            f"Sparse: init is a sparse matrix of shape {found.shape}, which says where its entries "
            f"are; give it the shape {(out, inner)}, and no indices",
        )
        at, init = np.stack([found.row, found.col], axis=1), found.data
    else:
        require(indices is not None, "Sparse: give indices (n, 2), or a sparse matrix of SciPy's")
        at = np.asarray(indices)
    require(
        at.ndim == 2 and at.shape[1] == 2,
        f"Sparse: indices are a row and a column for each entry, (n, 2), got shape {at.shape}",
    )
    drawn = isinstance(init, Distribution)
    values: Any = init if drawn else finite(init, "Sparse: init", _INIT)
    require(
        drawn or values.shape in ((), (len(at),)),
        f"Sparse: init is one value, or one for each of {len(at)} entries; got {np.shape(values)}",
    )

    def made(weights: NDArray) -> Transform:
        one_or_all = weights.ravel() if weights.ndim else weights
        entries = frozen(np.array(np.broadcast_to(one_or_all, (len(at),))))
        return make(at[:, 0], at[:, 1], entries, (out,), inner)

    words = f"Sparse(({out}, {inner}), ...)"
    return Described(words, inner, out, values, (len(at), 1), made)


@dataclass(frozen=True)
class Filters:
    """The arguments of `Convolution(n_filters, input_shape, ...)`, or its transpose, as Nengo's.

    `input_shape` is `(*size, channels)`, or `(channels, *size)` without `channels_last`; `init` is
    a kernel `(*kernel_size, channels / groups, n_filters)` or a distribution.
    """

    n_filters: int
    input_shape: tuple[int, ...]
    kernel_size: Sequence[int] = (3, 3)
    strides: Sequence[int] = (1, 1)
    padding: Literal["valid", "same"] = "valid"
    channels_last: bool = True
    init: Any = _USUAL
    groups: int = 1
    what: str = field(default="Convolution", kw_only=True)

    def __post_init__(self) -> None:
        what = self.what
        for name in ("input_shape", "kernel_size", "strides"):
            numbers = whole_numbers(f"{what}: {name}", getattr(self, name), 1)
            object.__setattr__(self, name, numbers)
        for name in ("n_filters", "groups"):
            (number,) = whole_numbers(f"{what}: {name}", (getattr(self, name),), 1)
            object.__setattr__(self, name, number)
        axes = len(self.input_shape) - 1
        require(
            axes == len(self.kernel_size) == len(self.strides),
            f"{what}: input_shape {self.input_shape} has {axes} axes beside its channels; "
            f"kernel_size {self.kernel_size} and strides {self.strides} have one number for each",
        )
        require(
            self.padding in ("valid", "same"),
            f"{what}: padding is 'valid' or 'same', got {self.padding!r}",
        )
        require(
            self.channels % self.groups == 0 == self.n_filters % self.groups,
            f"{what}: {self.channels} channels and {self.n_filters} filters do not divide into "
            f"{self.groups} groups",
        )

    @property
    def channels(self) -> int:
        """Number of the input's channels."""
        return self.input_shape[-1 if self.channels_last else 0]

    @property
    def size(self) -> tuple[int, ...]:
        """Size of the input, without its channels."""
        return self.input_shape[:-1] if self.channels_last else self.input_shape[1:]

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Shape of the kernel as users give it."""
        return (*self.kernel_size, self.channels // self.groups, self.n_filters)

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        """Zeros before and after each axis; "same" gives an axis `ceil(size / stride)` outputs."""
        if self.padding == "valid":
            return ((0, 0),) * len(self.size)
        totals = (
            max((-(-n // stride) - 1) * stride + k - n, 0)
            for n, stride, k in zip(self.size, self.strides, self.kernel_size, strict=True)
        )
        return tuple((total // 2, total - total // 2) for total in totals)

    def kernel(self, weights: NDArray) -> NDArray:
        """Weights as a `Convolution` has them, `(n_filters, channels / groups, *kernel_size)`."""
        return np.moveaxis(weights.reshape(self.kernel_shape), (-1, -2), (0, 1))

    def described(self, make: Callable[[NDArray], Transform], size_out: int) -> Described:
        """The map that is to be made."""
        drawn = isinstance(self.init, Distribution)
        init: Any = self.init if drawn else finite(self.init, f"{self.what}: init", _INIT)
        require(
            drawn or init.shape == self.kernel_shape,
            f"{self.what}: init is a kernel (*kernel_size, channels / groups, n_filters) = "
            f"{self.kernel_shape}, or a distribution; got shape {np.shape(init)}",
        )
        words = f"{self.what}({self.n_filters}, {self.input_shape}, ...)"
        count = (math.prod(self.kernel_shape[:-1]), self.n_filters)
        return Described(words, math.prod(self.input_shape), size_out, init, count, make)


def _matrix_shape(what: str, shape: Any) -> tuple[int, int]:
    found = whole_numbers(f"{what}: shape (out, in)", shape, 1)
    require(len(found) == 2, f"{what}: a shape is (out, in), got {shape!r}")
    return found[0], found[1]


def is_matrix_shape(value: Any) -> bool:
    """Whether something is the shape of a matrix, not a matrix."""
    return isinstance(value, tuple | list) and len(value) == 2 and all(map(is_whole, value))


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
