"""Parts of a region beside layers and populations: filters, sparse maps, scales and pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows, split_shape
from spikewright.engines.grid import GRIDS
from spikewright.engines.native.joint import joined, joint_buffer
from spikewright.engines.native.orders import Order, as_index, channels_last_order, plane
from spikewright.engines.program import Apply, Filter, Linear, Smooth
from spikewright.network import MaxPool
from spikewright.network.transforms import Scale, Shape, Sparse

if TYPE_CHECKING:
    from spikewright.engines.native.building import Builder


@dataclass(frozen=True, eq=False)
class Kept:
    """State of an operator: memories by the reference's names, in this order, of these shapes.

    Operators that run as one have parts of the same memories, from `offset` on.
    """

    memories: dict[str, int]
    orders: dict[str, Order]
    shapes: dict[str, Shape]
    offset: int = 0


def kept(memories: dict[str, int], order: Order, shape: Shape, offset: int = 0) -> Kept:
    """State of one order and shape."""
    return Kept(memories, dict.fromkeys(memories, order), dict.fromkeys(memories, shape), offset)


def add_filters(b: Builder, ops: Sequence[Filter | Smooth]) -> None:
    """Filters with the same coefficients: over a block, or, in a loop, their outputs now and their
    inputs at the end, unless they are without delay.
    """
    filter = ops[0].filter
    smooth = isinstance(ops[0], Smooth)
    waits = b.op.loops and not smooth
    signals, outputs = [op.inputs[0] for op in ops], [op.output for op in ops]
    order: Order = None
    source = -1
    if len(ops) == 1 and waits:
        order = b.preferred.get(outputs[0])
    elif len(ops) == 1:
        stored = b.held(signals[0])
        order, source = stored.order, stored.buffer
    elif not waits:
        source = joined(b, signals)
    target = joint_buffer(b, False, outputs, order)
    if waits:
        source = target
    size = sum(map(b.size, outputs))
    names = [f"state{i}" for i in range(filter.order)]
    states = [b.kernels.memory(np.zeros(size)) for _ in names]
    output = b.kernels.memory(np.zeros(size))
    memories = {**dict(zip(names, states, strict=True)), "output": output}
    at = 0
    for op in ops:
        b.kept[op] = kept(memories, order, b.program.shapes[op.output], at)
        at += b.size(op.output)
    direct = filter.feedthrough is not None
    numbers = (
        np.ascontiguousarray(filter.A, np.float64).reshape(filter.order, filter.order),
        [float(x) for x in filter.B],
        [float(x) for x in filter.C],
        direct,
        float(filter.feedthrough or 0.0),
        states,
        output,
    )
    when = "emit" if waits else "smooth" if smooth else "block"
    b.kernels.filter(when, source, target, *numbers)
    if waits:
        b.last.append(
            lambda: b.kernels.filter("absorb", joined(b, signals, order), target, *numbers)
        )


def add_sparse(b: Builder, op: Linear, transform: Sparse) -> None:
    """A sparse map: every row adds its entries in the order in which they are given."""
    (signal,) = op.inputs
    order = np.argsort(transform.rows, kind="stable")
    size = b.size(op.output)
    counts = np.bincount(transform.rows, minlength=size)
    starts = np.concatenate([[0], np.cumsum(counts)])
    b.kernels.sparse(
        b.held_in(signal, None),
        b.buffer(False, op.output, None),
        [int(n) for n in starts],
        as_index(transform.columns[order]),
        np.ascontiguousarray(np.asarray(transform.values, np.float64)[order]),
        op.factor,
    )


def add_scale(b: Builder, op: Linear, transform: Scale) -> None:
    """`x * factor * op.factor`, rounded twice where neither is 1."""
    (signal,) = op.inputs
    factor = np.asarray(transform.factor, np.float64)
    if factor.ndim == 0 and signal in b.op.counts:  # beside the term
        twice = factor != 1.0 and op.factor != 1.0
        single = float(factor) if twice else float(factor) * op.factor
        b.combine(op, [signal], [single], np.asarray(op.factor) if twice else None, None)
        return
    if np.all(factor == 1.0) or op.factor == 1.0:
        b.combine(op, [signal], [1.0], factor * op.factor, None)
        return
    b.combine(op, [signal], [1.0], factor, None)
    first = b.stored[op.output]
    none, empty = np.empty((0, 0)), as_index(None)
    gain = np.full((1, b.size(op.output)), op.factor)
    target = b.buffer(False, op.output, first.order)
    b.kernels.combine(False, target, [first.buffer], [False], [1.0], [empty], gain, none)


def add_analog(b: Builder, fan_in: int) -> None:
    """The layer just added reads values: limbs as `engines.grid.input_limbs` makes them."""
    b.kernels.analog(*limbs_of(fan_in))


def limbs_of(fan_in: int) -> tuple[int, int]:
    """Bits of a limb of values, and how many limbs there are at most."""
    grid = GRIDS["float32"]
    bits = 55 - grid.weight_bits - max(1, int(fan_in - 1).bit_length())
    return bits, 1 + max(0, -(-(grid.input_bits - (bits - 1)) // bits))


def geometry_of(windows: Windows, spatial: Shape, channels: int, out: Shape) -> list[int]:
    """A pool's geometry as the kernels take it."""
    return [
        *plane(spatial, 1), channels, *plane(out, 1), *plane(windows.size, 1),
        *plane(windows.stride, 1), *plane([before for before, _ in windows.padding], 0),
        *plane(windows.dilation, 1),
    ]  # fmt: skip


def add_max_pool(b: Builder, op: Apply, pool: MaxPool) -> None:
    """Maxima of counts or values, or of their running sums."""
    (signal,) = op.inputs
    shape, out_shape = b.program.shapes[signal], b.program.shapes[op.output]
    spatial, channels = split_shape(shape, pool.channels_last)
    extent, _ = split_shape(out_shape, pool.channels_last)
    order = channels_last_order(shape, pool.channels_last)
    out_order = channels_last_order(out_shape, pool.channels_last)
    source = b.held_in(signal, order)
    target = b.buffer(op.output in b.op.counts, op.output, out_order)
    b.kernels.pool(source, target, geometry_of(pool.windows, spatial, channels, extent))
    if not pool.accumulate:
        b.kernels.pool_of_values("max", [])
        return
    sums = b.kernels.memory(np.zeros(b.size(signal)))
    sent = b.kernels.memory(np.zeros(b.size(op.output)))
    b.kernels.pool_of_values("running max", [sums, sent])
    b.kept[op] = Kept(
        {"sums": sums, "sent": sent},
        {"sums": order, "sent": out_order},
        {"sums": shape, "sent": out_shape},
    )


def unpacked(values: NDArray, order: Order, shape: Shape) -> NDArray:
    """`(batch, *shape)` of `(batch, size)` in its own order."""
    flat = values
    if order is not None:
        flat = np.empty_like(values)
        flat[:, order] = values
    return flat.reshape(len(values), *shape)
