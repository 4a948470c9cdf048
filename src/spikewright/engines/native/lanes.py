"""Integer weights in blocks of lanes, and how long their sums fit 32 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST_REPEATS = 15  # see kMostRepeats in cpp/plan.hpp
_NO_BUDGET = 2**40
_WIDE_ROWS = 2048  # rows up to which 64 lanes of weights fit half of a second-level cache


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


def budgets(rows: NDArray) -> list[int]:
    """How many events have sums within 32 bits: for counts of any size, then for 1, 2, ...

    Sums wrap and are right at the end, so what counts is the largest sum of a subset of a column.
    """
    largest = int(np.abs(rows).max(initial=0))
    limited = (2**31 - 1) // largest if largest else _NO_BUDGET
    above = np.maximum(rows, 0).sum(axis=0, dtype=np.int64)
    below = np.maximum(-rows, 0).sum(axis=0, dtype=np.int64)
    subset = int(np.maximum(above, below).max(initial=0))
    return [
        limited,
        *(_NO_BUDGET if n * subset < 2**31 else limited for n in range(1, _MOST_REPEATS + 1)),
    ]
