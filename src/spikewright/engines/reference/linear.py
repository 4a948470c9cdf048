"""Linear maps: sums exact (`engines.grid`) or elementwise in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows, channels_last, restore_channels
from spikewright.engines.base import Array, Kernel
from spikewright.engines.grid import GRIDS, MAX_FAN_IN, Grid, Precision, input_limbs, weight_limbs
from spikewright.engines.kernels import DelayedLinearKernel
from spikewright.engines.program import Linear
from spikewright.engines.working import PATCH_VALUES, SPARSE_TERMS
from spikewright.errors import BuildError
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Place,
    Reshape,
    Scale,
    Slice,
    Sparse,
    SumPool,
    Take,
    Transform,
)

Map = Callable[[NDArray], NDArray]  # (batch, steps, *shape_in) -> (batch, steps, *shape_out)


class LinearKernel(Kernel):
    """`factor * transform(x)`, sums exact or in a fixed order."""

    stateless = True

    def __init__(self, op: Linear, precision: Precision) -> None:
        self._factor = op.factor
        make = _MAPS.get(type(op.transform))
        if make is None:
            raise BuildError(
                f"{op.label}: the reference engine cannot apply a {type(op.transform).__name__}; "
                f"it knows {', '.join(sorted(kind.__name__ for kind in _MAPS))}"
            )
        self._map = make(op.transform, GRIDS[precision])

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        y = self._map(x)
        return [y if self._factor == 1.0 else y * self._factor]


def _exact(
    x: NDArray, weights: list[NDArray], fan_in: int, grid: Grid, apply: Callable[..., NDArray]
) -> NDArray:
    """Sum of `apply(limb, weight)` over limbs of inputs and weights, in a fixed order."""
    total: NDArray | None = None
    for limb in input_limbs(x, min(fan_in, MAX_FAN_IN), grid):
        for weight in weights:
            part = apply(limb, weight)
            total = part if total is None else total + part
    if total is None:
        raise ValueError("an input has at least one limb")
    return total


def _dense(transform: Dense, grid: Grid) -> Map:
    weights = [w.T.copy() for w in weight_limbs(transform.matrix, grid)]
    fan_in = transform.matrix.shape[1]
    return lambda x: _exact(x, weights, fan_in, grid, _product)


def _product(x: NDArray, matrix: NDArray) -> NDArray:
    """`x @ matrix` on the last axis, long sums in pieces that are exact each."""
    rows = x.reshape(-1, x.shape[-1])
    starts = range(0, max(len(matrix), 1), MAX_FAN_IN)
    parts = [rows[:, i : i + MAX_FAN_IN] @ matrix[i : i + MAX_FAN_IN] for i in starts]
    y: NDArray = sum(parts[1:], start=parts[0])
    return y.reshape(*x.shape[:-1], matrix.shape[1])


def _axis_map(transform: AxisMap, grid: Grid) -> Map:
    dense = _dense(Dense(transform.matrix), grid)
    axis = transform.axis + 2
    return lambda x: np.moveaxis(dense(np.moveaxis(x, axis, -1)), -1, axis)


def _convolution(transform: Convolution, grid: Grid) -> Map:
    windows, groups = transform.windows, transform.groups
    out, inner = transform.kernel.shape[:2]
    taps = int(np.prod(transform.kernel.shape[2:]))
    weights = [
        w.reshape(groups, out // groups, inner, taps).transpose(0, 3, 2, 1).copy()
        for w in weight_limbs(transform.kernel, grid)
    ]  # (groups, taps, inner, out / groups)

    def product(x: NDArray, weight: NDArray) -> NDArray:
        flat = channels_last(x.reshape(-1, *x.shape[2:]), transform.channels_last)
        y = restore_channels(_grouped(flat, weight, windows), transform.channels_last)
        return y.reshape(*x.shape[:2], *y.shape[1:])

    return lambda x: _exact(x, weights, taps * inner, grid, product)


def _grouped(x: NDArray, weight: NDArray, windows: Windows) -> NDArray:
    """Cross-correlation of `(n, *spatial, channels)` with `(groups, taps, inner, outer)`."""
    groups, taps, inner, outer = weight.shape
    extent = windows.output_extent(x.shape[1:-1])
    y = np.empty((len(x), *extent, groups * outer))
    rows = max(1, PATCH_VALUES // max(1, int(np.prod(extent)) * taps * x.shape[-1]))
    for start in range(0, len(x), rows):
        patches = windows.patches(x[start : start + rows])
        shape = patches.shape[:-2]
        patches = patches.reshape(-1, taps, groups, inner)
        if inner == outer == 1:  # depthwise: elementwise sums over the taps, in order
            part = sum(patches[:, k, :, 0] * weight[:, k, 0, 0] for k in range(taps))
            y[start : start + rows] = part.reshape(*shape, groups)
            continue
        for g in range(groups):
            matrix = weight[g].reshape(taps * inner, outer)
            columns = patches[:, :, g].reshape(-1, taps * inner)
            part = _product(columns, matrix).reshape(*shape, outer)
            y[start : start + rows, ..., g * outer : (g + 1) * outer] = part
    return y


def _sparse(transform: Sparse, grid: Grid) -> Map:
    """Every row adds its entries in the order of their columns, as a walk along the input does."""
    order = np.argsort(transform.columns, kind="stable")
    rows, columns = transform.rows[order], transform.columns[order]
    values = np.asarray(transform.values, np.float64)[order]
    size = int(np.prod(transform.shape_out))
    some = max(1, SPARSE_TERMS // max(1, len(rows)))
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


class SparseArrivals(DelayedLinearKernel):
    """Entries of spikes alone, or of other values that are not zero, one after the other."""

    def add(self, to: NDArray, x: NDArray, places: NDArray) -> None:
        for waiting, sent in zip(to, np.broadcast_to(x, (len(to), x.shape[1])), strict=True):
            met = np.flatnonzero(sent[self.senders])
            np.add.at(waiting, places[met], self.values[met] * sent[self.senders[met]])


def _sum_pool(transform: SumPool, grid: Grid) -> Map:
    factor = np.asarray(transform.factor, np.float64)[..., None]

    def apply(x: NDArray) -> NDArray:
        flat = channels_last(x.reshape(-1, *x.shape[2:]), transform.channels_last)
        views = [view for _, view in transform.windows.taps(flat)]
        total = sum(views[1:], start=views[0]) * factor
        y = restore_channels(total, transform.channels_last)
        return y.reshape(*x.shape[:2], *y.shape[1:])

    return apply


def _scale(transform: Scale, grid: Grid) -> Map:
    factor = np.asarray(transform.factor, np.float64)
    return (lambda x: x) if np.all(factor == 1.0) and factor.ndim == 0 else (lambda x: x * factor)


def _reshape(transform: Reshape, grid: Grid) -> Map:
    return lambda x: x.reshape(*x.shape[:2], *transform.shape)


def _permute(transform: Permute, grid: Grid) -> Map:
    axes = (0, 1, *(axis + 2 for axis in transform.axes))
    return lambda x: x.transpose(axes)


def _slice(transform: Slice, grid: Grid) -> Map:
    index: Any = (..., *transform.index)
    return lambda x: x[index]


def _take(transform: Take, grid: Grid) -> Map:
    return lambda x: np.take(x, transform.indices, axis=transform.axis + 2)


def _place(transform: Place, grid: Grid) -> Map:

    index: Any = (..., *transform.index)

    def apply(x: NDArray) -> NDArray:
        y = np.zeros((*x.shape[:2], *transform.shape))
        y[index] = x
        return y

    return apply


_MAPS: dict[type[Transform], Callable[[Any, Grid], Map]] = {
    Dense: _dense,
    AxisMap: _axis_map,
    Convolution: _convolution,
    Sparse: _sparse,
    SumPool: _sum_pool,
    Scale: _scale,
    Reshape: _reshape,
    Permute: _permute,
    Slice: _slice,
    Take: _take,
    Place: _place,
}
