"""Operators that read analog values: their sums are compensated, and sparse entries are kept.

Counts of spikes are whole numbers, whose sums over weights on the grid are exact. All other values
may have any size, and so may the weights that they meet (`engines/compensation.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import prod

from numpy.typing import NDArray

from spikewright.engines.compensation import Compensation
from spikewright.engines.grid import Precision, entries_on_grid
from spikewright.engines.operators import Linear, Mapped, Operator
from spikewright.network.transforms import AxisMap, Convolution, Dense, Sparse, Transform


def with_weights_held(
    operators: Sequence[Operator], precision: Precision, encoders: Collection[int]
) -> list[Operator]:
    """The operators with their weights as engines are to hold them.

    Sums over analog values are compensated; those of `encoders`, which are signals, are not, since
    a represented vector is only as exact as its radius. Sparse entries that meet counts are on the
    precision's grid, others as they are given.
    """
    counts = counted(operators)
    return [
        op if op.output in encoders else _held(op, counts.issuperset(op.inputs[:1]), precision)
        for op in operators
    ]


def _held(op: Operator, counts: bool, precision: Precision) -> Operator:
    if not isinstance(op, Mapped):
        return op
    if isinstance(op.transform, Sparse):
        return replace(op, transform=_on_grid(op.transform, precision)) if counts else op
    weights = None if counts else weights_of(op.transform)
    if weights is None or not isinstance(op, Linear):
        return op
    return replace(op, compensation=Compensation.of(weights, precision))


def _on_grid(transform: Sparse, precision: Precision) -> Sparse:
    held = entries_on_grid(transform.values, transform.rows, prod(transform.shape_out), precision)
    return replace(transform, values=held)


def weights_of(transform: Transform) -> NDArray | None:
    """The weights `(out, ...)` of a transform whose sums limbs make; None for others."""
    if isinstance(transform, Dense | AxisMap):
        return transform.matrix
    return transform.kernel if isinstance(transform, Convolution) else None


def counted(operators: Sequence[Operator]) -> frozenset[int]:
    """Signals that are counts of spikes, or whole numbers made of them."""
    found: set[int] = set()
    while True:
        before = len(found)
        for op in operators:
            if op.gives_counts(found):
                found.add(op.output)
        if len(found) == before:
            return frozenset(found)
