"""Rows of a table by number: embeddings of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright.graph.layers.base import Layer, Shape, register, require
from spikewright.graph.layers.steps import Acts


@register
@dataclass(frozen=True, eq=False)
class Lookup(Layer):
    """`y[..., :] = table[x[...]]`, the rows of `table` whose numbers the input holds.

    A number outside the table means the nearest row. Rows may have any rank; their axes come
    behind the input's.
    """

    table: NDArray
    acts = Acts()

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            self.table.ndim >= 1 and self.table.size > 0,
            f"Lookup: a table of shape {self.table.shape} has no rows",
        )
        return (*shape, *self.table.shape[1:])

    def evaluate(self, *values: NDArray) -> NDArray:
        found: NDArray = NUMPY.rows(np.asarray(self.table, np.float64), values[0])
        return found
