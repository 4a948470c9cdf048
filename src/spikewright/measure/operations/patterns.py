"""The number of paths from each value: transforms read backwards, entry by entry.

Counts are float64 arrays of whole numbers, exact below 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows, channels_last, restore_channels, split_shape
from spikewright.engines.operators import Linear
from spikewright.engines.reference.linear import LinearKernel
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
    return not isinstance(transform, (*_MOVES, SumPool, Scale, AxisMap))


def adds(chain: Iterable[Transform]) -> bool:
    """Whether a chain moves and sums values without multiplying them."""
    return all(isinstance(part, (*_MOVES, SumPool)) for part in chain)


def pull_back(transform: Transform, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    """Paths that lead on from each input of `shape`, given those from each output.

    `reached` has the output's shape. Entries that are zero lead nowhere, unless `every` entry
    counts; taps in the padding have no input. Raises `BuildError` for a transform that the
    reference engine does not know.
    """
    return _RULES.get(type(transform), _by_units)(transform, shape, reached, every)


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


def _matrix(transform: Dense | AxisMap, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    axis = transform.axis if isinstance(transform, AxisMap) else -1
    last = np.moveaxis(reached, axis, -1)
    if every:
        paths = last.sum(axis=-1, keepdims=True)
    elif np.all(last == last.flat[0]):  # no pattern as large as the matrix
        paths = last.flat[0] * np.count_nonzero(transform.matrix, axis=0)
    else:
        paths = last @ _pattern(transform.matrix, every)
    whole = np.broadcast_to(paths, (*last.shape[:-1], transform.matrix.shape[1]))
    return np.moveaxis(whole, -1, axis)


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


def _move(transform: Transform, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    """Each output is an input, or zero: which one, the transform of their numbers says."""
    size = prod(shape)
    numbers = applied(transform, np.arange(1.0, size + 1).reshape(1, *shape)).astype(np.int64)
    return np.bincount(numbers.ravel(), reached.ravel(), size + 1)[1:].reshape(shape)


def _by_units(transform: Transform, shape: Shape, reached: NDArray, every: bool) -> NDArray:
    """The rule of transforms without one: the outputs that each input reaches, one by one."""
    size = prod(shape)
    met = applied(transform, np.eye(size).reshape(-1, *shape)).reshape(size, -1) != 0
    return (met @ reached.ravel()).reshape(shape)


def applied(transform: Transform, x: NDArray) -> NDArray:
    """A transform of `(batch, *shape)`."""
    operator = Linear("operations", (0,), 0, transform)
    (found,) = LinearKernel(operator, "float64").run([x[:, None]], 0, 1)
    return np.asarray(found)[:, 0]


_RULES: dict[type[Transform], Callable[[Any, Shape, NDArray, bool], NDArray]] = {
    AxisMap: _matrix,
    Convolution: _convolution,
    Dense: _matrix,
    Scale: _scale,
    Sparse: _sparse,
    SumPool: _sum_pool,
    **dict.fromkeys(_MOVES, _move),
}
