"""The number of paths from each value: transforms read backwards, entry by entry.

Counts are float64 arrays of whole numbers, exact below 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows, channels_last, restore_channels, split_shape
from spikewright.errors import NetworkError
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

_MOVES = (Reshape, Permute, Slice, Place, Take)


def weighs(transform: Transform) -> bool:
    """Whether a transform sums weighted inputs, so that its value has to be held.

    Matrices and convolutions do. Moves, pools, resampling and elementwise factors pass a spike on;
    their factors go into the weights that it meets next. So does a sparse map that only selects.
    """
    if isinstance(transform, Sparse):
        return len(np.unique(transform.rows)) < len(transform.rows)
    return isinstance(transform, Dense | Convolution)


def adds(chain: Iterable[Transform]) -> bool:
    """Whether a chain moves and sums values without multiplying them."""
    return all(isinstance(part, (*_MOVES, SumPool)) for part in chain)


def pull_back(transform: Transform, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    """Paths that lead on from each input of `shape`, given those from each output.

    `reached` has the output's shape. Entries that are zero lead nowhere, unless `every` entry
    counts; taps in the padding have no input. Raises `NetworkError` for an unknown transform.
    """
    rule = _RULES.get(type(transform))
    if rule is None:
        raise NetworkError(
            f"operations of a {type(transform).__name__} cannot be counted; known are "
            f"{', '.join(sorted(kind.__name__ for kind in _RULES))}"
        )
    return rule(transform, shape, reached, every)


def shapes_along(chain: Sequence[Transform], shape: Shape) -> list[Shape]:
    """Shape in front of each transform of a chain."""
    shapes = []
    for part in chain:
        shapes.append(shape)
        shape = part.output_shape(shape)
    return shapes


def pull_back_chain(
    chain: Sequence[Transform], shape: Shape, reached: NDArray, every: bool
) -> NDArray:
    """Paths through a chain from each of its inputs; raises as `pull_back` does."""
    for part, before in zip(reversed(chain), reversed(shapes_along(chain, shape)), strict=True):
        reached = pull_back(part, before, reached, every)
    return reached


def _pattern(values: NDArray, every: bool) -> NDArray:
    """One where an entry counts, zero elsewhere."""
    return np.ones(values.shape) if every else (values != 0).astype(np.float64)


def _dense(transform: Dense, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    if every:
        return np.broadcast_to(reached.sum(axis=-1, keepdims=True), shape)
    if np.all(reached == reached.flat[0]):  # no pattern as large as the matrix
        paths = reached.flat[0] * np.count_nonzero(transform.matrix, axis=0)
        return np.broadcast_to(paths, shape)
    return reached @ _pattern(transform.matrix, every)


def _axis_map(transform: AxisMap, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    last = np.moveaxis(reached, transform.axis, -1)
    return np.moveaxis(last @ _pattern(transform.matrix, every), -1, transform.axis)


def _sparse(transform: Sparse, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    places = transform.rows.astype(np.int64) * transform.size_in + transform.columns
    once, entry = np.unique(places, return_inverse=True)  # entries of one place add up
    values = np.bincount(entry, transform.values, len(once))
    rows, columns = np.divmod(once, transform.size_in)
    paths = _pattern(values, every) * reached.ravel()[rows]
    return np.bincount(columns, paths, transform.size_in).reshape(shape)


def _convolution(transform: Convolution, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    last, groups = transform.channels_last, transform.groups
    out, inner, *size = transform.kernel.shape
    pattern = _pattern(transform.kernel, every).reshape(groups, out // groups, inner, *size)
    made = channels_last(reached[None], last).reshape(-1, groups, out // groups)
    if np.all(made == made[:1]):
        made = made[:1]  # every position is alike, as it is where nothing follows
    columns = made.transpose(1, 0, 2)  # (groups, positions, out / groups)

    def of_tap(tap: tuple[int, ...]) -> NDArray:
        paths = columns @ pattern[(slice(None),) * 3 + tap]
        return paths.transpose(1, 0, 2).reshape(columns.shape[1], groups * inner)

    return _over_windows(transform.windows, shape, last, of_tap)


def _sum_pool(transform: SumPool, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    last = transform.channels_last
    factor = _pattern(transform.factor, every)[..., None]
    made = channels_last(reached[None], last) * factor
    flat = made.reshape(-1, made.shape[-1])
    return _over_windows(transform.windows, shape, last, lambda tap: flat)


def _over_windows(
    windows: Windows, shape: Shape, last: bool, of_tap: Callable[[tuple[int, ...]], NDArray]
) -> NDArray:
    """Sum over taps of the counts that each window sends back, `(windows or 1, channels)` a tap."""
    spatial, channels = split_shape(shape, last)
    numbers = np.arange(1, np.prod(spatial, dtype=int) + 1).reshape(1, *spatial, 1)
    found = np.zeros((numbers.size + 1, channels))
    for tap, seen in windows.taps(numbers):  # 0: outside the input
        found[seen.ravel()] += of_tap(tap)  # each input at most once a tap, but for the outside
    return restore_channels(found[1:].reshape(1, *spatial, channels), last)[0]


def _scale(transform: Scale, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    return reached * _pattern(transform.factor, every)


def _reshape(transform: Reshape, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    return reached.reshape(shape)


def _permute(transform: Permute, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    return reached.transpose(np.argsort(transform.axes))


def _slice(transform: Slice, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    found = np.zeros(shape)
    found[transform.index] = reached
    return found


def _place(transform: Place, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    return reached[transform.index]


def _take(transform: Take, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    found = np.zeros((shape[transform.axis], *np.delete(shape, transform.axis)))
    np.add.at(found, transform.indices, np.moveaxis(reached, transform.axis, 0))
    return np.moveaxis(found, 0, transform.axis)


_RULES: dict[type[Transform], Callable[[Any, Shape, NDArray, bool], NDArray]] = {
    AxisMap: _axis_map,
    Convolution: _convolution,
    Dense: _dense,
    Permute: _permute,
    Place: _place,
    Reshape: _reshape,
    Scale: _scale,
    Slice: _slice,
    Sparse: _sparse,
    SumPool: _sum_pool,
    Take: _take,
}
