"""Linear maps whose sums are exact (`engines.grid`), compensated, or in a fixed order.

`matrix_of` also makes matrices of chains of transforms, for solvers and for built parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows, channels_last, restore_channels
from spikewright.engines.compensation import (
    Compensation,
    grid_of,
    ordered_sum,
    residual_sum,
    weights_of,
)
from spikewright.engines.grid import MAX_FAN_IN, Grid, Precision, split_inputs, weight_limbs
from spikewright.engines.kernel import Array, Kernel
from spikewright.engines.kernels import DelayedLinearKernel
from spikewright.engines.operators import Linear, fan_in
from spikewright.engines.program import Block
from spikewright.errors import BuildError
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Place,
    Reshape,
    Scale,
    Shape,
    Slice,
    Sparse,
    SumPool,
    Take,
    Transform,
)

PATCH_VALUES = 4_000_000  # values of a convolution's patches that are made at once
_SPARSE_TERMS = 2**16  # terms of a sparse map that are made at once

Map = Callable[[NDArray], NDArray]  # (batch, steps, *shape_in) -> (batch, steps, *shape_out)
Exact = Callable[[NDArray, NDArray], NDArray]  # a limb of inputs, a limb of weights


class LinearKernel(Kernel):
    """A linear map, `unit * transform(x)`, with sums that are exact or in a fixed order."""

    stateless = True

    def __init__(self, op: Linear, precision: Precision) -> None:
        self._unit = op.unit
        form = _MAPS.get(type(op.transform))
        if form is None:
            raise BuildError(
                f"{op.label}: the reference engine cannot apply a {type(op.transform).__name__}; "
                f"it knows {', '.join(sorted(kind.__name__ for kind in _MAPS))}"
            )
        self._map = form.make(op.scaled_transform(), ReferenceSums(precision, op.compensation))

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        y = self._map(x)
        return [y if np.ndim(self._unit) == 0 and self._unit == 1.0 else y * self._unit]


Rows = Callable[[NDArray, int], NDArray]  # (rows, n) of a group -> (rows, out of the group)
Over = Callable[[NDArray, Rows], NDArray]  # applies it to all windows of (batch, steps, ...)


@dataclass(frozen=True)
class ReferenceSums:
    """Computes sums over weights of a precision; `compensated` for sums over analog values."""

    precision: Precision
    compensated: Compensation | None = None

    @property
    def grid(self) -> Grid:
        """The grid of the weights."""
        return grid_of(self.precision, self.compensated)

    def compute(
        self, x: NDArray, weights: Sequence[NDArray], fan_in: int, apply: Exact, over: Over
    ) -> NDArray:
        """The sums of inputs times weights `(groups, n, out)`, limb by limb in a fixed order."""
        limits = None if self.compensated is None else self.compensated.limits
        limbs, rest = split_inputs(x, min(fan_in, MAX_FAN_IN), self.grid, limits)
        parts = [apply(limb, weight) for limb in limbs for weight in weights]
        total = sum(parts[1:], start=parts[0])
        if self.compensated is None:
            return total
        if rest is not None:
            held = sum(weights[1:], start=weights[0])
            total = total + over(rest, lambda rows, group: ordered_sum(rows, held[group]))
        residuals, out = self.compensated.residuals, weights[0].shape[-1]
        if len(residuals.values):
            total = total + over(
                x,
                lambda rows, group: residual_sum(
                    rows, residuals, slice(group * out, (group + 1) * out)
                ),
            )
        return total


def _dense(transform: Dense | AxisMap, sums: ReferenceSums) -> Map:
    weights = [np.ascontiguousarray(w.T)[None] for w in weight_limbs(transform.matrix, sums.grid)]
    out, fan_in = transform.matrix.shape

    def over(x: NDArray, rows: Rows) -> NDArray:
        return rows(x.reshape(-1, fan_in), 0).reshape(*x.shape[:-1], out)

    def apply(x: NDArray, weight: NDArray) -> NDArray:
        return over(x, lambda rows, group: _product(rows, weight[group]))

    return lambda x: sums.compute(x, weights, fan_in, apply, over)


def _product(rows: NDArray, matrix: NDArray) -> NDArray:
    """`rows @ matrix`, long sums in pieces that are exact each."""
    starts = range(0, max(len(matrix), 1), MAX_FAN_IN)
    parts = [rows[:, i : i + MAX_FAN_IN] @ matrix[i : i + MAX_FAN_IN] for i in starts]
    return sum(parts[1:], start=parts[0])


def _axis_map(transform: AxisMap, sums: ReferenceSums) -> Map:
    dense = _dense(transform, sums)
    axis = transform.axis + 2
    return lambda x: np.moveaxis(dense(np.moveaxis(x, axis, -1)), -1, axis)


def _convolution(transform: Convolution, sums: ReferenceSums) -> Map:
    windows, groups, last = transform.windows, transform.groups, transform.channels_last
    out, inner = transform.kernel.shape[:2]
    fan_in = int(np.prod(transform.kernel.shape[1:]))
    weights = [
        w.reshape(groups, out // groups, inner, -1)
        .transpose(0, 3, 2, 1)
        .reshape(groups, fan_in, out // groups)
        for w in weight_limbs(transform.kernel, sums.grid)
    ]
    sums = _by_taps(sums, transform.kernel)
    depthwise = inner == out // groups == 1

    def framed(x: NDArray, make: Callable[[NDArray], NDArray]) -> NDArray:
        y = restore_channels(make(channels_last(x.reshape(-1, *x.shape[2:]), last)), last)
        return y.reshape(*x.shape[:2], *y.shape[1:])

    def over(x: NDArray, rows: Rows) -> NDArray:
        return framed(x, lambda flat: _grouped(flat, windows, (groups, inner, out), rows))

    def apply(x: NDArray, weight: NDArray) -> NDArray:
        if depthwise:
            return framed(x, lambda flat: _depthwise(flat, weight[:, :, 0], windows))
        return over(x, lambda rows, group: _product(rows, weight[group]))

    return lambda x: sums.compute(x, weights, fan_in, apply, over)


def _by_taps(sums: ReferenceSums, kernel: NDArray) -> ReferenceSums:
    """The sums, with residuals of weights in the order of windows: taps, then channels."""
    if sums.compensated is None:
        return sums
    places = np.arange(kernel[0].size).reshape(kernel.shape[1], -1).T.ravel()
    return replace(sums, compensated=replace(sums.compensated, order=places))


def _patches(x: NDArray, windows: Windows) -> Iterator[tuple[slice, NDArray]]:
    """The windows of frames `(n, *spatial, channels)`, for some frames at a time."""
    extent = windows.output_extent(x.shape[1:-1])
    size = int(np.prod(extent)) * int(np.prod(windows.size)) * x.shape[-1]
    rows = max(1, PATCH_VALUES // max(1, size))
    for start in range(0, len(x), rows):
        some = slice(start, start + rows)
        yield some, windows.patches(x[some])


def _grouped(x: NDArray, windows: Windows, shape: tuple[int, int, int], rows: Rows) -> NDArray:
    """Windows of `(n, *spatial, channels)`, group by group; `shape` is groups, inner and out."""
    groups, inner, out = shape
    y = np.empty((len(x), *windows.output_extent(x.shape[1:-1]), out))
    outer = out // groups
    for some, patches in _patches(x, windows):
        columns = patches.reshape(-1, patches.shape[-2], groups, inner)
        for g in range(groups):
            part = rows(columns[:, :, g].reshape(len(columns), -1), g)
            y[some, ..., g * outer : (g + 1) * outer] = part.reshape(*patches.shape[:-2], outer)
    return y


def _depthwise(x: NDArray, weight: NDArray, windows: Windows) -> NDArray:
    """Each channel with its weights `(channels, taps)`: elementwise sums over taps, in order."""
    y = np.empty((len(x), *windows.output_extent(x.shape[1:-1]), len(weight)))
    for some, patches in _patches(x, windows):
        y[some] = sum(patches[..., k, :] * weight[:, k] for k in range(weight.shape[1]))
    return y


def _sparse(transform: Sparse, sums: ReferenceSums) -> Map:
    """A sparse map in which every row adds its entries in the order of their columns."""
    order = np.argsort(transform.columns, kind="stable")
    rows, columns = transform.rows[order], transform.columns[order]
    values = np.asarray(transform.values, np.float64)[order]
    size = int(np.prod(transform.shape_out))
    some = max(1, _SPARSE_TERMS // max(1, len(rows)))
    places = (size * np.arange(some)[:, None] + rows).ravel()

    def apply(x: NDArray) -> NDArray:
        flat = x.reshape(-1, transform.size_in)
        y = np.empty((len(flat), size))
        for i in range(0, len(flat), some):
            terms = (values * flat[i : i + some, columns]).ravel()
            sums = np.bincount(places[: terms.size], terms, size * len(flat[i : i + some]))
            y[i : i + some] = sums.reshape(-1, size)
        return y.reshape(*x.shape[:2], *transform.shape_out)

    return apply


class DelayedSparseKernel(DelayedLinearKernel):
    """A sparse map with delays that adds the entries of nonzero inputs, one after the other."""

    def add(self, to: NDArray, x: NDArray, places: NDArray) -> None:
        for waiting, sent in zip(to, np.broadcast_to(x, (len(to), x.shape[1])), strict=True):
            met = np.flatnonzero(sent[self.senders])
            np.add.at(waiting, places[met], self.values[met] * sent[self.senders[met]])


def _sum_pool(transform: SumPool, sums: ReferenceSums) -> Map:
    factor = np.asarray(transform.factor, np.float64)[..., None]

    def apply(x: NDArray) -> NDArray:
        flat = channels_last(x.reshape(-1, *x.shape[2:]), transform.channels_last)
        views = [view for _, view in transform.windows.taps(flat)]
        total = sum(views[1:], start=views[0]) * factor
        y = restore_channels(total, transform.channels_last)
        return y.reshape(*x.shape[:2], *y.shape[1:])

    return apply


def _scale(transform: Scale, sums: ReferenceSums) -> Map:
    factor = np.asarray(transform.factor, np.float64)
    return (lambda x: x) if np.all(factor == 1.0) and factor.ndim == 0 else (lambda x: x * factor)


def _reshape(transform: Reshape, sums: ReferenceSums) -> Map:
    return lambda x: x.reshape(*x.shape[:2], *transform.shape)


def _permute(transform: Permute, sums: ReferenceSums) -> Map:
    axes = (0, 1, *(axis + 2 for axis in transform.axes))
    return lambda x: x.transpose(axes)


def _slice(transform: Slice, sums: ReferenceSums) -> Map:
    index: Any = (..., *transform.index)
    return lambda x: x[index]


def _take(transform: Take, sums: ReferenceSums) -> Map:
    return lambda x: np.take(x, transform.indices, axis=transform.axis + 2)


def _place(transform: Place, sums: ReferenceSums) -> Map:

    index: Any = (..., *transform.index)

    def apply(x: NDArray) -> NDArray:
        y = np.zeros((*x.shape[:2], *transform.shape))
        y[index] = x
        return y

    return apply


class _MapKind(NamedTuple):
    """A kind of map: the function that makes it, and the number of values of its workspace."""

    make: Callable[[Any, ReferenceSums], Map]
    workspace: Callable[[Any, Linear, Block], int] = lambda *_: 0


def _of_product(transform: Transform, op: Linear, block: Block, inside: int = 0) -> int:
    """The workspace of a product: inputs are checked, and split into limbs if they are no counts.

    With several limbs there are a sum, a part and their sum; `inside` is the workspace of a part.
    """
    read, made = block.values(op.inputs), block.values(op.outputs)
    grid, counts = grid_of(block.program.precision, op.compensation), block.program.counts
    if op.inputs[0] in counts:
        split, looked, several = 0, read + read // 8, made * (grid.weight_limbs > 1)
    else:
        split = read * grid.input_limbs(min(fan_in(transform), MAX_FAN_IN))[1]
        looked, several = split + 3 * read, made
    return max(looked, split + 2 * several, split + several + inside)


def _of_convolution(transform: Convolution, op: Linear, block: Block) -> int:
    """The workspace of a convolution: inputs with channels last, and patches of some frames."""
    frames = max(1, block.samples * block.steps)
    read, made = (block.values(signals) // frames for signals in (op.inputs, op.outputs))
    groups, kernel = transform.groups, transform.kernel
    patches = made * kernel[0].size * groups // len(kernel)
    of_group = patches // groups if groups > 1 else 0
    some = min(frames, max(1, PATCH_VALUES // max(1, patches)))
    inside = frames * read + some * (patches + of_group + 2 * (read + made))
    return _of_product(transform, op, block, inside)


def _of_sparse(transform: Sparse, op: Linear, block: Block) -> int:
    """The workspace of a sparse map: indices, inputs and products of some frames' entries."""
    entries = max(1, len(transform.values))
    some = max(1, _SPARSE_TERMS // entries)
    return some * (4 * entries + math.prod(transform.shape_out))


def _of_sum_pool(transform: SumPool, op: Linear, block: Block) -> int:
    """The workspace of pooling: a sum beside the output, and padded frames."""
    padded = any(map(any, transform.windows.padding))
    return block.values((*op.outputs, *(op.inputs if padded else ())))


_MAPS: dict[type[Transform], _MapKind] = {
    Dense: _MapKind(_dense, _of_product),
    AxisMap: _MapKind(_axis_map, _of_product),
    Convolution: _MapKind(_convolution, _of_convolution),
    Sparse: _MapKind(_sparse, _of_sparse),
    SumPool: _MapKind(_sum_pool, _of_sum_pool),
    Scale: _MapKind(_scale),
    Reshape: _MapKind(_reshape),
    Permute: _MapKind(_permute),
    Slice: _MapKind(_slice),
    Take: _MapKind(_take),
    Place: _MapKind(_place),
}


def workspace_values(op: Linear, block: Block) -> int:
    """The most values that a map's kernel holds beside its inputs and outputs."""
    form = _MAPS.get(type(op.transform))
    inside = 0 if form is None else form.workspace(op.transform, op, block)
    return (
        inside if op.steps is None and op.factor == 1.0 else max(inside, block.values(op.outputs))
    )


def matrix_of(chain: tuple[Transform, ...], shape: Shape) -> NDArray:
    """The `(out, in)` matrix of a chain of transforms on an array of `shape`, flattened."""
    matrix = np.eye(math.prod(shape))
    for transform in chain:
        shape_out = transform.output_shape(shape)
        if isinstance(transform, Dense) and len(shape) == 1:
            matrix = np.asarray(transform.matrix, np.float64) @ matrix
        elif isinstance(transform, Scale):
            matrix = np.broadcast_to(transform.factor, shape).reshape(-1, 1) * matrix
        elif not isinstance(transform, Reshape):
            weights = weights_of(transform)
            whole = None if weights is None else Compensation.of(weights, "float64")
            kernel = LinearKernel(Linear("a matrix", (), 0, transform, 1.0, whole), "float64")
            (columns,) = kernel.run([matrix.T.reshape(-1, 1, *shape)], 0, 1)
            matrix = columns.reshape(len(columns), -1).T
        shape = shape_out
    return matrix
