"""Transforms that move values: as another order without a copy, else as index moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.native.orders import (
    Stored,
    as_index,
    channels_last_order,
    moved,
    normal,
    positions,
    same,
)
from spikewright.engines.native.parts import limbs_of
from spikewright.engines.program import Linear, Operator, Sum
from spikewright.network.transforms import (
    AxisMap,
    Permute,
    Place,
    Reshape,
    Shape,
    Slice,
    Take,
    Transform,
)

if TYPE_CHECKING:
    from spikewright.engines.native.building import Builder

MOVES = (Reshape, Permute, Slice, Take, Place)


def add_move(b: Builder, op: Linear) -> None:
    """A transform of `MOVES`."""
    transform = op.transform
    (signal,) = op.inputs
    if isinstance(transform, Reshape):
        b.stored[op.output] = b.held(signal)
    elif isinstance(transform, Permute):
        stored = b.held(signal)
        places = np.empty(b.size(signal), np.int64)
        places[moved(transform, b.program.shapes[signal])] = np.arange(b.size(signal))
        order = places if stored.order is None else places[stored.order]
        b.stored[op.output] = Stored(stored.buffer, normal(order))
    elif isinstance(transform, Place):
        _add_place(b, op, transform)
    else:
        _add_choice(b, op, chosen_by(transform, b.program.shapes[signal]))


def chosen_by(transform: Transform, shape: Shape) -> NDArray:
    """The index of the input's element for each element of the output."""
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    if isinstance(transform, Slice):
        return numbers[_index(transform.ranges)].ravel()
    if isinstance(transform, Take):
        return np.take(numbers, transform.indices, axis=transform.axis).ravel()
    raise TypeError(f"a {type(transform).__name__} chooses nothing")


def _index(ranges: tuple[tuple[int, int, int], ...]) -> tuple[slice, ...]:
    return tuple(slice(*r) for r in ranges)


def _add_choice(b: Builder, op: Linear, chosen: NDArray) -> None:
    (signal,) = op.inputs
    stored = b.held(signal)
    order = b.preferred.get(op.output)
    where = positions(stored.order, b.size(signal))
    taken = where[chosen if order is None else chosen[order]]
    target = b.buffer(op.output in b.op.counts, op.output, order)
    b.kernels.take(stored.buffer, target, as_index(taken))


def _add_place(b: Builder, op: Linear, transform: Place) -> None:
    """The input at its places, in the buffer of the sum of such inputs if there is one."""
    (signal,) = op.inputs
    stored = b.held(signal)
    total = joined_by(b, op)
    counts = op.output in b.op.counts
    if total is None:
        order = b.preferred.get(op.output)
        target = b.buffer(counts, op.output, order)
    else:
        if total.output not in b.stored:
            b.buffer(counts, total.output, b.preferred.get(total.output))
        target, order = b.stored[total.output].buffer, b.stored[total.output].order
        b.fused.add(total)
    numbers = np.arange(b.size(op.output)).reshape(transform.shape)
    placed = positions(order, b.size(op.output))[numbers[_index(transform.ranges)].ravel()]
    index = placed if stored.order is None else placed[stored.order]
    b.kernels.put(stored.buffer, target, as_index(index), total is not None and not counts)


def joined_by(b: Builder, op: Operator) -> Sum | None:
    """The only reader of a placed input, if it is a sum that only joins such parts."""
    total: Sum | None = b.alone(op.output, Sum)
    if total is None or total.gain is not None or total.bias is not None:
        return None
    parts = [b.maker_of.get(signal) for signal in total.inputs]
    taken = np.zeros(b.program.shapes[total.output], bool)
    kinds = {signal in b.op.counts for signal in (*total.inputs, total.output)}
    if len(parts) < 2 or len(kinds) > 1:
        return None
    for part in parts:
        if not isinstance(part, Linear) or not isinstance(part.transform, Place):
            return None
        place = _index(part.transform.ranges)
        if taken[place].any() or b.alone(part.output, Sum) is not total:
            return None
        taken[place] = True
    return total


def add_axis_map(b: Builder, op: Linear, transform: AxisMap) -> None:
    """A matrix along one axis, elementwise over the axes that are stored behind it."""
    (signal,) = op.inputs
    shape, out_shape = b.program.shapes[signal], b.program.shapes[op.output]
    axis, rank = transform.axis, len(shape)
    last = channels_last_order(shape, False)  # the first axis behind all others
    stored = b.held(signal)
    turned = axis > 0 and (axis == rank - 1 or same(stored.order, last))
    source = b.held_in(signal, last if turned else None)
    order = channels_last_order(out_shape, False) if turned else None
    inner = int(np.prod(shape[axis + 1 :])) * (shape[0] if turned else 1)
    outer = int(np.prod(shape[1 if turned else 0 : axis]))
    rows, columns = np.nonzero(transform.matrix)
    starts = np.searchsorted(rows, np.arange(len(transform.matrix) + 1))
    b.kernels.axis_map(
        source,
        b.buffer(False, op.output, order),
        [outer, shape[axis], inner],
        [int(n) for n in starts],
        as_index(columns),
        np.ascontiguousarray(transform.matrix[rows, columns], np.float64),
        op.factor,
        *limbs_of(transform.matrix.shape[1]),
    )
