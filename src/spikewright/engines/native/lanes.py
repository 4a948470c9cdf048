"""Integer weights in blocks of lanes, and the numbers of events whose sums fit 32 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.native._kernels import MOST_REPEATS, NO_BUDGET

_MOST_SUM = 2**31 - 1
_COLUMNS = 64  # that are looked at together: what is sorted of them stays small
_WIDE_ROWS = 3072  # rows up to which 64 lanes of weights fit three quarters of a second-level cache


def lane_widths(channels: int, rows: int) -> list[int]:
    """Blocks of output channels that are computed together."""
    widths: list[int] = []
    widest = 64 if rows <= _WIDE_ROWS else 32
    left = channels
    while left > 0:
        width = next((w for w in (widest, 32, 16) if w <= left and w <= widest), 16)
        widths.append(width)
        left -= width
    return widths


def budgets(rows: NDArray, both: bool = False) -> list[int]:
    """Numbers of events whose sums fit 32 bits: for counts of any size, then for 1, 2, ...

    Sums wrap and are right at the end. So the bound is the largest sum of that many entries of a
    column, each taken as often as an input may be listed. With `both`, events add or subtract
    entries.
    """
    largest = max(int(rows.max(initial=0)), -int(rows.min(initial=0)))
    limited = _MOST_SUM // largest if largest else NO_BUDGET
    pieces = (rows[:, i : i + _COLUMNS] for i in range(0, rows.shape[1], _COLUMNS))
    parts = [_of_columns(np.abs(piece) if both else piece) for piece in pieces]
    return [limited, *map(min, zip(*parts, strict=True))]


def budget_bytes(rows: int, columns: int) -> int:
    """Temporary memory for finding the budgets of such weights, in bytes."""
    return 40 * rows * min(columns, _COLUMNS)


def _of_columns(rows: NDArray) -> list[int]:
    """The numbers of events whose sums over some columns fit, for counts of 1, 2, ..."""
    signed = np.concatenate([np.maximum(rows, 0), np.maximum(-rows, 0)], axis=1)
    if int(signed.sum(axis=0, dtype=np.int64).max(initial=0)) * MOST_REPEATS <= _MOST_SUM:
        return [NO_BUDGET] * MOST_REPEATS
    columns = np.sort(signed.T, axis=1)[:, ::-1]
    sums = np.cumsum(columns, axis=1, dtype=np.int64)
    longest = int((sums <= _MOST_SUM).sum(axis=1).max(initial=0)) + 1
    columns, sums = columns[:, :longest], sums[:, :longest]
    return [_budget(columns, sums, n) for n in range(1, MOST_REPEATS + 1)]


def _budget(columns: NDArray, sums: NDArray, repeats: int) -> int:
    """The most events for which each column's largest entries, `repeats` times each, fit.

    Columns are stored as rows, largest entries first, up to the last `sums` that may fit.
    """
    whole = (sums <= _MOST_SUM // repeats).sum(axis=1)  # entries that fit all their times
    over = np.flatnonzero(whole < sums.shape[1])
    if not len(over):
        return NO_BUDGET
    first = whole[over]
    before = np.where(first > 0, sums[over, first - 1], 0) * repeats
    rest = (_MOST_SUM - before) // columns[over, first]
    return int((first * repeats + rest).min())


def depthwise_budgets(rows: NDArray) -> list[int]:
    """The largest count for which sums over a column fit 32 bits, in the shape of `budgets`."""
    sums = np.abs(rows.astype(np.int64)).sum(axis=0)
    largest = int(sums.max(initial=0))
    return [_MOST_SUM // largest if largest else NO_BUDGET] * (1 + MOST_REPEATS)
