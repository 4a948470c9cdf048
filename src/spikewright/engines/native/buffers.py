"""Buffers of a region: where each signal is stored, and in which order.

Functions that add kernels to a region take its `Buffers`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import repeated
from spikewright.engines.memory_estimate import sampled
from spikewright.engines.native import _kernels
from spikewright.engines.native._kernels import Term
from spikewright.engines.native.csc import CscPacking, DelayedCscPacking
from spikewright.engines.native.orders import (
    Order,
    StoredSignal,
    positions,
    preferred_orders,
    same,
)
from spikewright.engines.native.regions import Region
from spikewright.engines.native.weight_packing import EventListBytes, LayerPacking
from spikewright.engines.operators import Operator
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.program import Program
from spikewright.engines.spike_scaling import shared_row


@dataclass(frozen=True, eq=False)
class SummedOutputs:
    """The memories in which a population's outputs are summed, from `offset` on, in an order.

    `total` sums magnitudes, `net` values; where none is negative they are the same memory.
    """

    total: int
    net: int
    order: Order
    offset: int


class Lookahead(NamedTuple):
    """A signal of digits that is read `steps` steps ahead; `heights` are those of its spikes, by
    step.
    """

    signal: int
    steps: int
    heights: tuple[int, ...]


class Buffers:
    """Assigns buffers to a region's signals while its `kernels` are added one by one."""

    def __init__(self, region: Region, program: Program) -> None:
        self.op, self.program = region, program
        self.kernels = _kernels.Region()
        self.made = {s for op in region.operators for s in op.outputs}
        readers = Counter(s for op in region.operators for s in op.inputs)
        readers.update(region.exported)
        self.readers = readers
        native = [op for op in region.operators if op not in region.host_operators]
        self.reader_of = {s: op for op in native for s in op.inputs}
        self.producer_of = {op.output: op for op in native}
        self.stored: dict[int, StoredSignal] = {}
        self.inputs: list[tuple[int, bool]] = []
        self.learned: dict[Learned, int] = {}  # memories of weights
        self.totals: dict[Neurons, SummedOutputs] = {}
        self.step_end: list[Callable[[], None]] = []  # calls that add the end of a loop's step
        self.calls: list[tuple[Operator, bool]] = []
        self.packings: list[LayerPacking | CscPacking | DelayedCscPacking] = []
        self.populations: dict[Neurons, tuple[Neurons, Order, tuple[int, ...]]] = {}
        self.buffer_bytes: list[int] = []
        self.state_bytes: Counter[str] = Counter()  # beside populations
        self.population_bytes: Counter[str] = Counter()
        self.voltage_bytes: Counter[str] = Counter()
        self.widest = 0
        self.event_list_bytes = EventListBytes()
        self.fused: set[Operator] = set()
        self.ahead: dict[int, Lookahead] = {}  # signals that readers make themselves, of others
        self.roots: dict[int, tuple[int, int]] = {}  # of parts: the whole buffer, and the start
        self.preferred = preferred_orders(region.operators, program.shapes)
        # Of signals that only probes read: the period of the steps that these keep.
        self.every = {} if region.restart else sampled(program, region.operators)

    def size(self, signal: int) -> int:
        return int(np.prod(self.program.shapes[signal]))

    def inside(self, signal: int) -> bool:
        """True for a signal in a buffer; False for an input of values from outside."""
        return signal in self.made or signal in self.op.counts

    def buffer(self, counts: bool, signal: int, order: Order = None) -> int:
        """A new buffer, in which `signal` is stored from now on."""
        number = self.scratch(counts, self.size(signal))
        self.stored[signal] = StoredSignal(number, order)
        return number

    def scratch(self, counts: bool, size: int) -> int:
        """A new buffer for temporary values."""
        number = self.kernels.buffer(counts, size)
        self.buffer_bytes.append(size * (1 if counts else 8))
        self.widest = max(self.widest, sum(self.buffer_bytes[-2:]))  # neighbours are used together
        return number

    def part(self, buffer: int, at: int, size: int) -> int:
        """A part of a whole buffer, as a buffer."""
        number = self.kernels.view(buffer, offset=at, size=size, own=True)
        self.roots[number] = (buffer, at)
        return number

    def batched(self, counts: bool, signals: Sequence[int], order: Order = None) -> int:
        """A new buffer for signals one after the other; a single signal is stored in `order`."""
        if len(signals) == 1:
            return self.buffer(counts, signals[0], order)
        number = self.scratch(counts, sum(map(self.size, signals)))
        at = 0
        for signal in signals:
            self.stored[signal] = StoredSignal(self.part(number, at, self.size(signal)), None)
            at += self.size(signal)
        return number

    def input(self, signal: int, counts: bool) -> int:
        """The number of an input from outside."""
        if (signal, counts) not in self.inputs:
            self.inputs.append((signal, counts))
        return self.inputs.index((signal, counts))

    def locate(self, signal: int) -> StoredSignal:
        """The buffer and order of a signal; one from outside is first loaded into a buffer."""
        if signal in self.ahead and signal not in self.stored:
            return self.locate(self.ahead[signal].signal)
        if signal not in self.stored:
            order = self.preferred.get(signal)
            counts = signal in self.op.counts
            number = self.input(signal, counts)
            target = self.buffer(counts, signal, order)
            self.kernels.load(input=number, output=target, index=order)
        return self.stored[signal]

    def buffer_in(self, signal: int, order: Order = None) -> int:
        """A buffer that holds a signal in this order."""
        stored = self.locate(signal)
        if same(stored.order, order):
            return stored.buffer
        where = positions(stored.order, self.size(signal))
        return self.gathered(signal, stored.buffer, where if order is None else where[order])

    def gathered(self, signal: int, buffer: int, index: NDArray) -> int:
        """A new buffer with the elements of a signal's buffer at these indices."""
        number = self.scratch(signal in self.op.counts, len(index))
        self.kernels.take(input=buffer, output=number, index=index)
        return number

    def root_of(self, signal: int) -> tuple[int, int]:
        """The whole buffer that holds a signal in its own order, and the signal's offset in it."""
        number = self.buffer_in(signal)
        return self.roots.get(number, (number, 0))

    def values(self, signal: int) -> StoredSignal:
        """The buffer and order of a signal as values, to which counts are converted."""
        stored = self.locate(signal)
        return StoredSignal(self._as_values(signal, stored.buffer), stored.order)

    def values_in(self, signal: int, order: Order = None) -> int:
        """A buffer that holds a signal as values in this order."""
        return self._as_values(signal, self.buffer_in(signal, order))

    def _as_values(self, signal: int, buffer: int) -> int:
        if signal not in self.op.counts:
            return buffer
        number = self.scratch(False, self.size(signal))
        self.kernels.combine(output=number, terms=[Term(source=buffer)])
        return number

    def only_reader(self, signal: int, kind: type) -> Any:
        """The operator of this kind that is the only reader of a signal, or None."""
        reader = self.reader_of.get(signal)
        return reader if self.readers[signal] == 1 and isinstance(reader, kind) else None

    def per_pixel(
        self, value: Any, signal: int, order: Order, pixels: int, pieces: int = 1
    ) -> list[NDArray]:
        """A broadcast array as `(pixels, channels)` for each piece.

        It has one row if all rows are equal, and is `(1, 1)` if all values are.
        """
        given = np.asarray(value, np.float64)
        one = repeated(given)
        if one is not None:
            return [np.full((1, 1), one)] * pieces
        parts = self.per_element(given, signal, order).reshape(pieces, pixels, -1)
        return [_repeated(rows) for rows in parts]

    def per_element(self, value: Any, signal: int, order: Order) -> NDArray:
        """One number for each element of a signal, in the stored order."""
        flat = np.broadcast_to(np.asarray(value, np.float64), self.program.shapes[signal]).ravel()
        return flat if order is None else flat[order]

    def combine(
        self,
        op: Operator,
        factors: Mapping[int, float],
        gain: NDArray | None = None,
        bias: NDArray | None = None,
    ) -> None:
        """Add a sum of counts (times `factors`) and values, in the order of its first term."""
        places = {
            s: self.locate(s) if s in self.op.counts else self.stored[s]
            for s in op.inputs
            if self.inside(s)
        }
        order = next((place.order for place in places.values()), None)
        terms = []
        for signal in op.inputs:
            if signal not in places:
                outside = self.input(signal, False)
                terms.append(Term(source=outside, external=True, index=order))
                continue
            place = places[signal]
            where = positions(place.order, self.size(signal))
            alike = same(place.order, order)
            index = None if alike else where if order is None else where[order]
            factor = factors.get(signal, 1.0)
            terms.append(Term(source=place.buffer, factor=factor, index=index))
        output = self.buffer(op.output in self.op.counts, op.output, order)
        row = self.per_element
        self.kernels.combine(
            output=output,
            terms=terms,
            gain=None if gain is None else row(gain, op.output, order),
            bias=None if bias is None else row(bias, op.output, order),
        )

    def memory(self, ops: Sequence[Operator], start: NDArray) -> int:
        """A new memory for the state of operators side by side, with these initial values."""
        for op in ops:
            share = start.size if len(ops) == 1 else self.size(op.output)
            self.state_bytes[op.label] += 8 * share
        return self.kernels.memory(np.ravel(start))


def _repeated(rows: NDArray) -> NDArray:
    """The rows without repetition: one value, one row, or all of them."""
    if rows.size and np.all(rows == rows[0, 0]):
        return rows[:1, :1]
    return rows if shared_row(rows) is None else rows[:1]
