"""A region as the kernels see it: buffers, orders in which signals are stored, instructions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._windows import split_shape
from spikewright.engines.grid import integer_weights
from spikewright.engines.native import _kernels
from spikewright.engines.native.limits import least_voltage
from spikewright.engines.native.regions import Region
from spikewright.engines.program import Linear, Neurons, Operator, Program, Sum
from spikewright.network.neurons import IntegrateAndFire, SpikingRectifiedLinear
from spikewright.network.transforms import (
    Convolution,
    Dense,
    Permute,
    Reshape,
    Scale,
    Shape,
    Slice,
    SumPool,
)

Order = NDArray | None
"""Position k of a stored signal holds element `order[k]` of the flattened signal; None: k itself."""

_MOST_REPEATS = 15  # see kMostRepeats in cpp/plan.hpp
_NO_BUDGET = 2**40
_WIDE_ROWS = 2048  # rows up to which 64 lanes of weights fit half of a second-level cache


@dataclass(frozen=True, eq=False)
class Stored:
    """Where a signal of the region is, and in which order."""

    buffer: int
    order: Order


@dataclass(frozen=True, eq=False)
class Built:
    """A region's kernels. `exports` are (signal, counts or not, size); populations in order.

    `step_bytes` is what one step of one sample takes up in the buffers that are in use together.
    """

    region: Any
    inputs: tuple[tuple[int, bool], ...]
    exports: tuple[tuple[int, bool, int], ...]
    populations: tuple[tuple[Neurons, Order, int], ...]
    step_bytes: int


def channels_last_order(shape: Shape, last: bool) -> Order:
    """The order in which a signal with channels is stored."""
    if last or len(shape) < 2:
        return None
    return _normal(np.moveaxis(np.arange(int(np.prod(shape))).reshape(shape), 0, -1).ravel())


def _normal(order: NDArray) -> Order:
    return None if np.array_equal(order, np.arange(len(order))) else order


def _same(a: Order, b: Order) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))


def _positions(order: Order, size: int) -> NDArray:
    """Where each element of a signal is stored."""
    positions = np.arange(size)
    if order is not None:
        positions[order] = np.arange(size)
    return positions


def _as_index(index: Order) -> NDArray:
    return np.empty(0, np.int32) if index is None else np.ascontiguousarray(index, np.int32)


def build(region: Region, program: Program) -> Built:
    """Kernels for a region."""
    return _Builder(region, program).build()


class _Builder:
    def __init__(self, region: Region, program: Program) -> None:
        self.op, self.program = region, program
        self.kernels = _kernels.Region()
        self.made = {s for op in region.operators for s in op.outputs}
        readers = Counter(s for op in region.operators for s in op.inputs)
        readers.update(region.exported)
        self.readers = readers
        self.reader_of = {s: op for op in region.operators for s in op.inputs}
        self.stored: dict[int, Stored] = {}
        self.inputs: list[tuple[int, bool]] = []
        self.populations: dict[Neurons, tuple[Neurons, Order, int]] = {}
        self.buffer_bytes: list[int] = []
        self.widest = 0
        self.fused: set[Operator] = set()
        self.preferred = self._preferred()

    def build(self) -> Built:
        for op in self.op.operators:
            if op in self.fused:
                continue
            if isinstance(op, Linear):
                self._linear(op)
            elif isinstance(op, Sum):
                self._sum(op)
            elif isinstance(op, Neurons):
                self._neurons(op)
        exports = []
        for number, signal in enumerate(self.op.exported):
            stored = self.stored[signal]
            size = self.size(signal)
            index = None if stored.order is None else _positions(stored.order, size)
            self.kernels.store(stored.buffer, number, _as_index(index))
            exports.append((signal, signal in self.op.counts, size))
        ordered = [op for op in self.op.operators if isinstance(op, Neurons)]
        return Built(
            self.kernels,
            tuple(self.inputs),
            tuple(exports),
            tuple(self.populations[op] for op in ordered),
            self.widest,
        )

    def size(self, signal: int) -> int:
        return int(np.prod(self.program.shapes[signal]))

    def _preferred(self) -> dict[int, Order]:
        """The order in which what reads a signal would have it, from the last operator back."""
        wanted: dict[int, Order] = {}
        for op in reversed(self.op.operators):
            below = wanted.get(op.output)
            for signal in op.inputs:
                shape = self.program.shapes[signal]
                order: Order = None
                if not isinstance(op, Linear):
                    order = below
                elif isinstance(op.transform, Convolution | SumPool):
                    order = channels_last_order(shape, op.transform.channels_last)
                elif isinstance(op.transform, Reshape):
                    order = below
                elif isinstance(op.transform, Permute):
                    moved = _moved(op.transform, shape)
                    order = _normal(moved if below is None else moved[below])
                wanted[signal] = order
        return wanted

    def buffer(self, counts: bool, signal: int, order: Order) -> int:
        """A new buffer, which holds `signal` from now on."""
        number: int = self.kernels.buffer(counts, self.size(signal))
        self.stored[signal] = Stored(number, order)
        self._note(self.size(signal) * (1 if counts else 8))
        return number

    def _note(self, size: int) -> None:
        """Neighbouring buffers are in use together."""
        self.buffer_bytes.append(size)
        self.widest = max(self.widest, sum(self.buffer_bytes[-2:]))

    def input(self, signal: int, counts: bool) -> int:
        """The number of an input from outside."""
        if (signal, counts) not in self.inputs:
            self.inputs.append((signal, counts))
        return self.inputs.index((signal, counts))

    def counts(self, signal: int) -> Stored:
        """Where counts are stored; those of an earlier region are brought in."""
        if signal not in self.stored:
            order = self.preferred.get(signal)
            number = self.input(signal, True)
            self.kernels.load(number, self.buffer(True, signal, order), _as_index(order))
        return self.stored[signal]

    def counts_in(self, signal: int, order: Order) -> int:
        """A buffer that holds counts in this order."""
        stored = self.counts(signal)
        if _same(stored.order, order):
            return stored.buffer
        size = self.size(signal)
        positions = _positions(stored.order, size)
        number: int = self.kernels.buffer(True, size)
        self._note(size)
        index = positions if order is None else positions[order]
        self.kernels.take(stored.buffer, number, _as_index(index))
        return number

    def _linear(self, op: Linear) -> None:
        transform = op.transform
        (signal,) = op.inputs
        shape = self.program.shapes[signal]
        if isinstance(transform, Dense | Convolution):
            self._layer(op)
        elif isinstance(transform, SumPool):
            self._pool(op, transform)
        elif isinstance(transform, Scale):
            factor = float(transform.factor) * op.factor
            self._combine(op, [signal], [factor], None, None)
        elif isinstance(transform, Reshape):
            self.stored[op.output] = self.counts(signal)
        elif isinstance(transform, Permute):
            stored = self.counts(signal)
            places = np.empty(self.size(signal), np.int64)
            places[_moved(transform, shape)] = np.arange(self.size(signal))
            order = places if stored.order is None else places[stored.order]
            self.stored[op.output] = Stored(stored.buffer, _normal(order))
        elif isinstance(transform, Slice):
            stored = self.counts(signal)
            numbers = np.arange(self.size(signal)).reshape(shape)
            chosen = numbers[tuple(slice(*r) for r in transform.ranges)].ravel()
            order = self.preferred.get(op.output)
            taken = _positions(stored.order, self.size(signal))[
                chosen if order is None else chosen[order]
            ]
            self.kernels.take(stored.buffer, self.buffer(True, op.output, order), _as_index(taken))
        else:
            raise TypeError(f"{op.label}: a region holds no {type(transform).__name__}")

    def _pool(self, op: Linear, transform: SumPool) -> None:
        (signal,) = op.inputs
        shape = self.program.shapes[signal]
        last = transform.channels_last
        spatial, channels = split_shape(shape, last)
        out, _ = split_shape(self.program.shapes[op.output], last)
        w = transform.windows
        source = self.counts_in(signal, channels_last_order(shape, last))
        order = channels_last_order(self.program.shapes[op.output], last)
        geometry = [
            *_plane(spatial, 1), channels, *_plane(out, 1), *_plane(w.size, 1),
            *_plane(w.stride, 1), *_plane([before for before, _ in w.padding], 0),
            *_plane(w.dilation, 1),
        ]  # fmt: skip
        self.kernels.pool(source, self.buffer(True, op.output, order), geometry)

    def _layer(self, op: Linear) -> None:
        """A matrix product or convolution with the sum and the population that alone read it."""
        total = self._alone(op.output, Sum)
        if total is not None and len(total.inputs) != 1:
            total = None
        neurons = None if total is None else self._alone(total.output, Neurons)
        if total is not None and total.output in self.op.counts:
            total = neurons = None
        (signal,) = op.inputs
        output = next(o for o in (neurons, total, op) if o is not None).output
        source, geometry, weights, order, pixels = self._weights(op, signal)
        integers, steps = integer_weights(weights)
        rows = integers.reshape(len(integers), -1).T.copy()
        channels = rows.shape[1]
        gain = None if total is None else total.gain
        bias = None if total is None else total.bias
        population = -1
        if neurons is not None:
            population = self._population(neurons, order, pixels)
        self.kernels.layer(
            source,
            self.buffer(neurons is not None, output, order),
            population,
            geometry,
            rows,
            lane_widths(channels, len(rows)),
            np.ascontiguousarray(steps * op.factor),
            _budgets(rows),
            gain is not None,
            self._per_pixel(1.0 if gain is None else gain, output, order, pixels),
            self._per_pixel(0.0 if bias is None else bias, output, order, pixels),
        )
        self.fused.update(o for o in (total, neurons) if o is not None)

    def _alone(self, signal: int, kind: type) -> Any:
        """The operator of this kind that is the only reader of a signal, or None."""
        reader = self.reader_of.get(signal)
        return reader if self.readers[signal] == 1 and isinstance(reader, kind) else None

    def _weights(
        self, op: Linear, signal: int
    ) -> tuple[int, list[int], NDArray, Order, int]:
        """Source buffer, geometry, weights `(out, ...)` in its order, order and pixels of the output."""
        transform = op.transform
        shape = self.program.shapes[signal]
        out_shape = self.program.shapes[op.output]
        if isinstance(transform, Dense):
            out, inner = transform.matrix.shape
            pixels = int(np.prod(shape[:-1]))
            matrix = transform.matrix
            if len(shape) == 1:
                stored = self.counts(signal)
                source = stored.buffer
                matrix = matrix if stored.order is None else matrix[:, stored.order]
            else:
                source = self.counts_in(signal, None)
            geometry = [1, pixels, inner, 1, pixels, out, 1, 1, 1, 1, 0, 0, 1, 1]
            return source, geometry, matrix, None, pixels
        if not isinstance(transform, Convolution):
            raise TypeError(f"{op.label}: a {type(transform).__name__} has no weights")
        last = transform.channels_last
        spatial, channels = split_shape(shape, last)
        extent, out = split_shape(out_shape, last)
        w = transform.windows
        source = self.counts_in(signal, channels_last_order(shape, last))
        geometry = [
            *_plane(spatial, 1), channels, *_plane(extent, 1), out, *_plane(w.size, 1),
            *_plane(w.stride, 1), *_plane([before for before, _ in w.padding], 0),
            *_plane(w.dilation, 1),
        ]  # fmt: skip
        kernel = np.moveaxis(transform.kernel, 1, -1)
        order = channels_last_order(out_shape, last)
        return source, geometry, kernel, order, int(np.prod(extent))

    def _per_pixel(self, value: Any, signal: int, order: Order, pixels: int) -> NDArray:
        """`(pixels, channels)` of what broadcasts to a signal, or one row where all are alike."""
        flat = np.broadcast_to(np.asarray(value, np.float64), self.program.shapes[signal]).ravel()
        rows = (flat if order is None else flat[order]).reshape(pixels, -1)
        if len(rows) and np.array_equal(rows, np.broadcast_to(rows[0], rows.shape)):
            rows = rows[:1]
        return np.ascontiguousarray(rows)

    def _population(self, op: Neurons, order: Order, pixels: int) -> int:
        threshold = self._per_pixel(op.threshold, op.output, order, pixels)
        kind = op.neuron_type
        floor, cap = None, None
        if isinstance(kind, IntegrateAndFire):
            floor, cap = kind.voltage_floor, kind.max_spikes_per_step
        start = np.broadcast_to(op.initial_voltage, op.ensemble.shape).ravel()
        start = (start if order is None else start[order]).reshape(pixels, -1)
        lowest = -np.inf if floor is None else -floor * threshold
        number: int = self.kernels.population(
            pixels,
            threshold.shape[1],
            threshold,
            [least_voltage(threshold, spikes) for spikes in (1, 2, 3)],
            np.ascontiguousarray(np.broadcast_to(lowest, threshold.shape)),
            floor is not None,
            isinstance(kind, SpikingRectifiedLinear),
            float(cap or 0),
            np.ascontiguousarray(start, np.float64),
        )
        self.populations[op] = (op, order, number)
        return number

    def _sum(self, op: Sum) -> None:
        if op.output in self.op.counts and len(op.inputs) == 1:
            self.stored[op.output] = self.counts(op.inputs[0])
            return
        self._combine(op, list(op.inputs), [1.0] * len(op.inputs), op.gain, op.bias)

    def _combine(
        self,
        op: Operator,
        signals: list[int],
        factors: list[float],
        gain: NDArray | None,
        bias: NDArray | None,
    ) -> None:
        """A sum of counts and values, stored in the order of the first that has one."""
        counts = op.output in self.op.counts
        terms = []
        for signal in signals:
            inside = signal in self.made or signal in self.op.counts
            terms.append(self._term(signal) if inside else None)
        orders = [term.order for term in terms if term is not None]
        order = orders[0] if orders else None
        size = self.size(op.output)
        sources, indices = [], []
        for signal, term in zip(signals, terms, strict=True):
            if term is None:
                sources.append(self.input(signal, False))
                indices.append(_as_index(order))
                continue
            sources.append(term.buffer)
            positions = _positions(term.order, size)
            alike = _same(term.order, order)
            index = None if alike else positions if order is None else positions[order]
            indices.append(_as_index(index))
        empty = np.empty((0, 0))
        row = self._per_element
        self.kernels.combine(
            counts,
            self.buffer(counts, op.output, order),
            sources,
            [term is None for term in terms],
            factors,
            indices,
            empty if gain is None else row(gain, op.output, order),
            empty if bias is None else row(bias, op.output, order),
        )

    def _term(self, signal: int) -> Stored:
        return self.counts(signal) if signal in self.op.counts else self.stored[signal]

    def _per_element(self, value: NDArray, signal: int, order: Order) -> NDArray:
        flat = np.broadcast_to(value, self.program.shapes[signal]).ravel().astype(np.float64)
        return np.ascontiguousarray((flat if order is None else flat[order])[None])

    def _neurons(self, op: Neurons) -> None:
        """A population that is driven by currents."""
        (signal,) = op.inputs
        inside = signal in self.made or signal in self.op.counts
        if inside and signal in self.op.counts:
            raise TypeError(f"{op.label}: counts are no currents")
        order = self.stored[signal].order if inside else self.preferred.get(op.output)
        source = self.stored[signal].buffer if inside else self.input(signal, False)
        population = self._population(op, order, 1)
        target = self.buffer(True, op.output, order)
        index = None if inside else order
        self.kernels.fire(source, not inside, target, population, _as_index(index))


def _moved(transform: Permute, shape: Shape) -> NDArray:
    """Which element of the input each element of the output is."""
    return np.arange(int(np.prod(shape))).reshape(shape).transpose(transform.axes).ravel()


def _plane(numbers: Any, missing: int) -> list[int]:
    """One or two numbers as (y, x)."""
    values = [int(n) for n in numbers]
    return [missing] * (2 - len(values)) + values


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


def _budgets(rows: NDArray) -> list[int]:
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
