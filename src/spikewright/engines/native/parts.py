"""Parts of a region with state in memories: filters, populations of any type, pools of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikewright._windows import Windows, split_shape
from spikewright.engines.grid import GRIDS
from spikewright.engines.native.cells import BIPOLAR, Description, described
from spikewright.engines.native.orders import Order, as_index, channels_last_order, plane
from spikewright.engines.native.support import is_integrator
from spikewright.engines.program import Apply, Filter, Linear, Neurons, Sum
from spikewright.errors import BuildError
from spikewright.network import MaxPool
from spikewright.network.transforms import Dense, Scale, Shape, Sparse

if TYPE_CHECKING:
    from spikewright.engines.native.building import Builder


CHUNK = 256
"""Neurons that are advanced together; see kChunk in cpp/parts.hpp."""

MOST_COLUMNS = 32
"""Of encoders that drive neurons without a layer between; see kMostColumns in cpp/parts.hpp."""


@dataclass(frozen=True, eq=False)
class Kept:
    """State of an operator: memories by the reference's names, in this order, of these shapes."""

    memories: dict[str, int]
    orders: dict[str, Order]
    shapes: dict[str, Shape]


def add_filter(b: Builder, op: Filter) -> None:
    """A synapse: over a block, or, in a loop, its output now and its input at the end."""
    (signal,) = op.inputs
    size = b.size(op.output)
    filter = op.filter
    if b.op.loops:
        order = b.preferred.get(op.output)
        source = target = b.buffer(False, op.output, order)
    else:
        stored = b.held(signal)
        order, source = stored.order, stored.buffer
        target = b.buffer(False, op.output, order)
    names = [f"state{i}" for i in range(filter.order)]
    states = [b.kernels.memory(np.zeros(size)) for _ in names]
    kept = b.kernels.memory(np.zeros(size))
    memories = {**dict(zip(names, states, strict=True)), "output": kept}
    b.kept[op] = _kept(memories, order, b.program.shapes[op.output])
    direct = filter.feedthrough is not None
    numbers = (
        np.ascontiguousarray(filter.A, np.float64).reshape(filter.order, filter.order),
        [float(x) for x in filter.B],
        [float(x) for x in filter.C],
        direct,
        float(filter.feedthrough or 0.0),
        states,
        kept,
    )
    b.kernels.filter("emit" if b.op.loops else "block", source, target, *numbers)
    if b.op.loops:
        b.last.append(
            lambda: b.kernels.filter("absorb", b.held_in(signal, order), target, *numbers)
        )


def _kept(memories: dict[str, int], order: Order, shape: Shape) -> Kept:
    return Kept(memories, dict.fromkeys(memories, order), dict.fromkeys(memories, shape))


@dataclass(frozen=True)
class Driving:
    """What makes a population's current: encoders of a represented vector, then gain and bias."""

    signal: int
    weights: NDArray
    sum: Sum


def driving(b: Builder, op: Linear) -> tuple[Neurons, Driving] | None:
    """The population that alone reads what these encoders make, and how it is driven, if so."""
    if not isinstance(op.transform, Dense) or op.factor != 1.0 or op.inputs[0] in b.op.counts:
        return None
    if len(b.program.shapes[op.inputs[0]]) != 1 or op.transform.matrix.shape[1] > MOST_COLUMNS:
        return None
    total = b.alone(op.output, Sum)
    if total is None or len(total.inputs) != 1:
        return None
    neurons = b.alone(total.output, Neurons)
    if neurons is None or is_integrator(neurons):
        return None
    return neurons, Driving(op.inputs[0], op.transform.matrix, total)


def add_cells(b: Builder, op: Neurons, driven: Driving | None) -> None:
    """A population of any type that has a description."""
    kind = described(op.neuron_type)
    if kind is None:
        raise BuildError(f"{op.label}: {op.neuron_type!r} has no native kernel")
    order, size, shape = None, b.size(op.output), op.ensemble.shape
    if driven is not None:
        source, external = b.held_in(driven.signal, None), False
    else:
        source, external, order = _currents(b, op)
    memories: dict[str, int] = {}
    if op.neuron_type.has_voltage:
        start = np.broadcast_to(op.initial_voltage, shape).ravel().astype(np.float64)
        memories["voltage"] = b.kernels.memory(
            np.ascontiguousarray(start if order is None else start[order])
        )
    initial = op.neuron_type.initial_state()
    for name in (kind.second, kind.third):
        if name is not None:
            memories[name] = b.kernels.memory(np.full(size, float(initial[name])))
    state = dict(memories)
    totals = {"total": b.kernels.memory(np.zeros(size))}
    if kind.cell == BIPOLAR:
        totals["net"] = memories["sent"]
    elif op.neuron_type.negative:
        totals["net"] = b.kernels.memory(np.zeros(size))
    threshold = np.broadcast_to(op.threshold, shape).ravel()
    target = b.buffer(op.output in b.op.counts, op.output, order)
    voltage = -1 if op.voltage is None else b.buffer(False, op.voltage, order)
    b.kernels.cells(
        target,
        kind.cell,
        kind.rate,
        kind.negative,
        kind.truncate,
        kind.numbers(b.program.dt),
        _slopes(kind, shape, order),
        np.ascontiguousarray(threshold if order is None else threshold[order], np.float64),
        [
            memories.get("voltage", -1),
            -1 if kind.second is None else memories[kind.second],
            -1 if kind.third is None else memories[kind.third],
            totals["total"],
            -1 if kind.cell == BIPOLAR else totals.get("net", -1),
        ],
        voltage,
        as_pieces([(source, external, 0 if driven is None else None, size)]),
    )
    if driven is not None:
        _add_encoders(b, driven, size)
    b.kept[op] = _kept(state, order, shape)
    b.totals[op] = _kept(totals, order, shape)


def _currents(b: Builder, op: Neurons) -> tuple[int, bool, Order]:
    """Where a population's currents are, whether outside, and in which order they are stored."""
    (signal,) = op.inputs
    if signal in b.made or signal in b.op.counts or b.preferred.get(signal) is not None:
        stored = b.values(signal)
        return stored.buffer, False, stored.order
    return b.input(signal, False), True, None


def as_pieces(runs: list[tuple[int, bool, int | None, int]]) -> NDArray:
    """Neurons of several sources `(number, external, from, n)`, one after the other, in pieces.

    Without `from` all neurons of a source read the same vector.
    """
    pieces, first = [], 0
    for source, external, start, size in runs:
        for at in range(0, size, CHUNK):
            n = min(CHUNK, size - at)
            pieces.append((source, external, 0 if start is None else start + at, first + at, n))
        first += size
    return np.ascontiguousarray(pieces, np.int32)


def _add_encoders(b: Builder, driven: Driving, size: int) -> None:
    """What drives the population just added."""
    total, weights = driven.sum, np.asarray(driven.weights, np.float64)
    gain = np.broadcast_to(1.0 if total.gain is None else total.gain, size)
    bias = np.broadcast_to(0.0 if total.bias is None else total.bias, size)
    b.kernels.encoders(
        np.ascontiguousarray(weights.T),
        total.gain is not None,
        np.ascontiguousarray(gain, np.float64),
        np.ascontiguousarray(bias, np.float64),
        *limbs_of(weights.shape[1]),
    )


def _slopes(kind: Description, shape: Shape, order: Order) -> NDArray:
    """One slope a neuron, as stored; none where the type has none."""
    if kind.slopes is None:
        return np.empty(0)
    slopes = np.broadcast_to(kind.slopes, shape).ravel().astype(np.float64)
    return np.ascontiguousarray(slopes if order is None else slopes[order])


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
    """Maxima of values, or of their running sums."""
    (signal,) = op.inputs
    shape, out_shape = b.program.shapes[signal], b.program.shapes[op.output]
    spatial, channels = split_shape(shape, pool.channels_last)
    extent, _ = split_shape(out_shape, pool.channels_last)
    order = channels_last_order(shape, pool.channels_last)
    out_order = channels_last_order(out_shape, pool.channels_last)
    source = b.values_in(signal, order)
    target = b.buffer(False, op.output, out_order)
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
