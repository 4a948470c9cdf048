"""Transforms that only change the layout: a new order without a copy, else a gather or scatter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.compensation import grid_of, residuals_of
from spikewright.engines.grid import weight_limbs
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.orders import (
    StoredSignal,
    channels_last_order,
    moved,
    normal,
    positions,
    same,
)
from spikewright.engines.native.region_operators import limbs_of
from spikewright.engines.operators import Linear, Operator, ScaledSum
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


def add_view(b: Buffers, op: Linear, transform: Reshape | Permute) -> None:
    """Store the output as the input's buffer, read in another order."""
    (signal,) = op.inputs
    stored = b.locate(signal)
    if isinstance(transform, Permute):
        places = np.empty(b.size(signal), np.int64)
        places[moved(transform, b.program.shapes[signal])] = np.arange(b.size(signal))
        order = places if stored.order is None else places[stored.order]
        stored = StoredSignal(stored.buffer, normal(order))
    b.stored[op.output] = stored


def gather_index(transform: Transform, shape: Shape) -> NDArray:
    """The index of the input's element for each element of the output."""
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    if isinstance(transform, Slice):
        return numbers[transform.index].ravel()
    if isinstance(transform, Take):
        return np.take(numbers, transform.indices, axis=transform.axis).ravel()
    raise TypeError(f"a {type(transform).__name__} is no gather")


def add_gather(b: Buffers, op: Linear, transform: Slice | Take) -> None:
    """Add a gather of some of the input's elements, in the order that readers prefer."""
    (signal,) = op.inputs
    stored = b.locate(signal)
    order = b.preferred.get(op.output)
    chosen = gather_index(transform, b.program.shapes[signal])
    where = positions(stored.order, b.size(signal))
    target = b.buffer(op.output in b.op.counts, op.output, order)
    taken = where[chosen if order is None else chosen[order]]
    b.kernels.take(input=stored.buffer, output=target, index=taken)


def add_place(b: Buffers, op: Linear, transform: Place) -> None:
    """Add a scatter of the input to its places, in the buffer of a sum of such parts if any."""
    (signal,) = op.inputs
    stored = b.locate(signal)
    total = concatenation_of(b, op)
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
    placed = positions(order, b.size(op.output))[numbers[transform.index].ravel()]
    index = placed if stored.order is None else placed[stored.order]
    plus = total is not None and not counts
    b.kernels.put(input=stored.buffer, output=target, index=index, plus=plus)


def concatenation_of(b: Buffers, op: Operator) -> ScaledSum | None:
    """The sum that reads a placed part, if it only concatenates such parts; else None."""
    total: ScaledSum | None = b.only_reader(op.output, ScaledSum)
    if total is None or total.gain is not None or total.bias is not None:
        return None
    parts = [b.producer_of.get(signal) for signal in total.inputs]
    taken = np.zeros(b.program.shapes[total.output], bool)
    kinds = {signal in b.op.counts for signal in (*total.inputs, total.output)}
    if len(parts) < 2 or len(kinds) > 1:
        return None
    for part in parts:
        if not isinstance(part, Linear) or not isinstance(part.transform, Place):
            return None
        place = part.transform.index
        if taken[place].any() or b.only_reader(part.output, ScaledSum) is not total:
            return None
        taken[place] = True
    return total


def add_axis_map(b: Buffers, op: Linear, transform: AxisMap) -> None:
    """Add a matrix along one axis, elementwise over the axes that are stored after it."""
    (signal,) = op.inputs
    shape, out_shape = b.program.shapes[signal], b.program.shapes[op.output]
    axis, rank = transform.axis, len(shape)
    last = channels_last_order(shape, False)  # the first axis behind all others
    stored = b.locate(signal)
    turned = axis > 0 and (axis == rank - 1 or same(stored.order, last))
    source = b.buffer_in(signal, last if turned else None)
    order = channels_last_order(out_shape, False) if turned else None
    inner = int(np.prod(shape[axis + 1 :])) * (shape[0] if turned else 1)
    outer = int(np.prod(shape[1 if turned else 0 : axis]))
    matrix = transform.matrix
    rows, columns = np.nonzero(matrix)
    limbs = weight_limbs(matrix, grid_of(b.program.precision, op.compensation))
    starts = np.searchsorted(rows, np.arange(len(matrix) + 1))
    values = [limb[rows, columns] for limb in limbs]
    residuals = residuals_of(op.compensation, len(matrix))
    b.kernels.axis_map(
        input=source,
        output=b.buffer(False, op.output, order),
        outer=outer,
        axis=shape[axis],
        inner=inner,
        starts=starts.tolist(),
        columns=columns,
        values=values[0],
        low=values[1] if len(values) > 1 else None,
        factor=op.factor,
        limbs=limbs_of(b, matrix.shape[1], op.compensation),
        residual_starts=residuals.starts.tolist(),
        residual_columns=residuals.places,
        residuals=residuals.values,
    )
