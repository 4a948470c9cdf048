"""Rows of a table by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import as_numbers
from spikewright._base.arrays import EqualByValue
from spikewright.errors import NetworkError
from spikewright.network.functions import Array, NodeFunction, register
from spikewright.network.shapes import Shape


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
        try:
            table = as_numbers(self.table)
        except (TypeError, ValueError):
            raise NetworkError(f"Lookup.table must be numbers, got {self.table!r}") from None
        if table.ndim < 1 or not table.size or not np.all(np.isfinite(table)):
            raise NetworkError(
                f"Lookup.table must have rows of finite numbers, got one of shape {table.shape}"
            )
        table.setflags(write=False)
        object.__setattr__(self, "table", table)

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
