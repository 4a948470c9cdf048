"""A region as the kernels see it: buffers, orders in which signals are stored, instructions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import split_shape
from spikewright.engines.native import _kernels
from spikewright.engines.native.built import Built
from spikewright.engines.native.filling import Filling
from spikewright.engines.native.foreign import add_foreign
from spikewright.engines.native.groups import Unit, add_together, groups
from spikewright.engines.native.integrators import integrators
from spikewright.engines.native.layers import add_layer
from spikewright.engines.native.learning import add_learned
from spikewright.engines.native.moves import MOVES, add_axis_map, add_move
from spikewright.engines.native.orders import (
    Order,
    Stored,
    as_index,
    channels_last_order,
    moved,
    normal,
    positions,
    same,
)
from spikewright.engines.native.parts import (
    Kept,
    add_max_pool,
    add_scale,
    add_sparse,
    geometry_of,
)
from spikewright.engines.native.regions import Region
from spikewright.engines.native.shortcuts import shortcuts
from spikewright.engines.program import Apply, Learned, Linear, Neurons, Operator, Program, Sum
from spikewright.network import MaxPool
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Place,
    Reshape,
    Scale,
    Slice,
    Sparse,
    SumPool,
    Take,
)

_EVENT_BYTES = 16  # of a list of events, an input and step


def _kept_bytes(kept: Kept) -> int:
    return sum(8 * int(np.prod(kept.shapes[name])) for name in kept.memories)


def build(region: Region, program: Program) -> Built:
    """Kernels for a region."""
    return Builder(region, program).build()


class Builder:
    """Builds a region's kernels, operator by operator; `held` and `buffer` store signals."""

    def __init__(self, region: Region, program: Program) -> None:
        self.op, self.program = region, program
        self.kernels = _kernels.Region()
        self.made = {s for op in region.operators for s in op.outputs}
        readers = Counter(s for op in region.operators for s in op.inputs)
        readers.update(region.exported)
        self.readers = readers
        native = [op for op in region.operators if op not in region.foreign]
        self.reader_of = {s: op for op in native for s in op.inputs}
        self.maker_of = {op.output: op for op in native}
        self.stored: dict[int, Stored] = {}
        self.inputs: list[tuple[int, bool]] = []
        self.kept: dict[Operator, Kept] = {}
        self.totals: dict[Neurons, Kept] = {}
        self.last: list[Callable[[], None]] = []  # what a step of a loop ends with
        self.calls: list[tuple[Operator, bool]] = []
        self.fillings: list[Filling] = []
        self.populations: dict[Neurons, tuple[Neurons, Order, tuple[int, ...]]] = {}
        self.buffer_bytes: list[int] = []
        self.state_bytes: Counter[str] = Counter()
        self.widest = 0
        self.fused: set[Operator] = set()
        self.roots: dict[int, tuple[int, int]] = {}  # of parts: the whole buffer, and where
        self.preferred = self._preferred()
        self.shortcuts = shortcuts(self)
        self.fused.update(op for one in self.shortcuts.values() for op in one.vanishing)

    def build(self) -> Built:
        for group in groups(self):
            # A layer takes the sum behind it with it, but not those that the sum is grouped with.
            left = [unit for unit in group if unit.operator not in self.fused]
            if left:
                self._add(left)
        for finish in self.last:
            finish()
        exports = []
        for number, signal in enumerate(self.op.exported):
            stored = self.stored[signal]
            size = self.size(signal)
            index = None if stored.order is None else positions(stored.order, size)
            self.kernels.store(stored.buffer, number, as_index(index))
            exports.append((signal, signal in self.op.counts, self.program.shapes[signal]))
        ordered = [op for op in self.op.operators if op in self.populations]
        for owner, kept in (*self.kept.items(), *self.totals.items()):
            self.state_bytes[owner.label] += _kept_bytes(kept)
        return Built(
            self.op.label,
            self.kernels,
            tuple(self.inputs),
            tuple(exports),
            tuple(self.populations[op] for op in ordered),
            self.kept,
            self.totals,
            self.widest,
            self.kernels.arrange(not self.op.loops)
            + _EVENT_BYTES * max(self.buffer_bytes, default=0),
            dict(self.state_bytes),
            tuple(self.calls),
            tuple(self.fillings),
        )

    def _add(self, group: Sequence[Unit]) -> None:
        """Kernels for operators that run as one."""
        op = group[0].operator
        if op in self.op.foreign:
            add_foreign(self, op)
        elif add_together(self, group):
            return
        elif isinstance(op, Linear):
            self._linear(op)
        elif isinstance(op, Sum):
            self._sum(op)
        elif isinstance(op, Neurons):
            self._neurons(op)
        elif isinstance(op, Apply) and isinstance(op.node.output, MaxPool):
            add_max_pool(self, op, op.node.output)
        elif isinstance(op, Learned):
            add_learned(self, op)
        else:
            raise TypeError(f"{op.label}: a region holds no {type(op).__name__}")

    def size(self, signal: int) -> int:
        return int(np.prod(self.program.shapes[signal]))

    def _preferred(self) -> dict[int, Order]:
        """The order of a signal that its readers prefer, from the last operator back."""
        wanted: dict[int, Order] = {}
        for op in reversed(self.op.operators):
            below = wanted.get(op.output)
            for signal in op.inputs:
                shape = self.program.shapes[signal]
                order: Order = None
                if isinstance(op, Apply) and isinstance(op.node.output, MaxPool):
                    order = channels_last_order(shape, op.node.output.channels_last)
                elif not isinstance(op, Linear):
                    order = below
                elif isinstance(op.transform, Convolution | SumPool):
                    order = channels_last_order(shape, op.transform.channels_last)
                elif isinstance(op.transform, Reshape):
                    order = below
                elif isinstance(op.transform, Permute):
                    source = moved(op.transform, shape)
                    order = normal(source if below is None else source[below])
                elif isinstance(op.transform, AxisMap) and op.transform.axis > 0:
                    behind = op.transform.axis == len(shape) - 1 or below is not None
                    order = channels_last_order(shape, False) if behind else None
                elif isinstance(op.transform, Slice | Take | Place) and below is not None:
                    order = channels_last_order(shape, False)
                wanted[signal] = order
        return wanted

    def buffer(self, counts: bool, signal: int, order: Order) -> int:
        """A new buffer, in which `signal` is stored from now on."""
        number: int = self.kernels.buffer(counts, self.size(signal))
        self.stored[signal] = Stored(number, order)
        self._note(self.size(signal) * (1 if counts else 8))
        return number

    def scratch(self, counts: bool, size: int) -> int:
        """A new buffer for temporary values."""
        number: int = self.kernels.buffer(counts, size)
        self._note(size * (1 if counts else 8))
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

    def held(self, signal: int) -> Stored:
        """The place of a signal; one from outside the region is loaded into a buffer."""
        if signal not in self.stored:
            order = self.preferred.get(signal)
            counts = signal in self.op.counts
            number = self.input(signal, counts)
            self.kernels.load(number, self.buffer(counts, signal, order), as_index(order))
        return self.stored[signal]

    def held_in(self, signal: int, order: Order) -> int:
        """A buffer that holds a signal in this order."""
        stored = self.held(signal)
        if same(stored.order, order):
            return stored.buffer
        size, counts = self.size(signal), signal in self.op.counts
        where = positions(stored.order, size)
        number = self.scratch(counts, size)
        index = where if order is None else where[order]
        self.kernels.take(stored.buffer, number, as_index(index))
        return number

    def whole(self, buffer: int, signal: int) -> int:
        """The buffer, or a copy where it is a part of another: a part has no parts itself."""
        if buffer not in self.roots:
            return buffer
        number = self.scratch(signal in self.op.counts, self.size(signal))
        self.kernels.take(buffer, number, as_index(np.arange(self.size(signal))))
        return number

    def values(self, signal: int) -> Stored:
        """The place of a signal as values."""
        stored = self.held(signal)
        if signal not in self.op.counts:
            return stored
        size = self.size(signal)
        number = self.scratch(False, size)
        none, empty = np.empty((0, 0)), as_index(None)
        self.kernels.combine(False, number, [stored.buffer], [False], [1.0], [empty], none, none)
        return Stored(number, stored.order)

    def values_in(self, signal: int, order: Order) -> int:
        """A buffer that holds a signal as values in this order."""
        if signal not in self.op.counts:
            return self.held_in(signal, order)
        size = self.size(signal)
        source = self.held_in(signal, order)
        number = self.scratch(False, size)
        none, empty = np.empty((0, 0)), as_index(None)
        self.kernels.combine(False, number, [source], [False], [1.0], [empty], none, none)
        return number

    def _linear(self, op: Linear) -> None:
        transform = op.transform
        if isinstance(transform, Dense | Convolution):
            add_layer(self, op)
        elif isinstance(transform, SumPool):
            self._pool(op, transform)
        elif isinstance(transform, Scale):
            add_scale(self, op, transform)
        elif isinstance(transform, Sparse):
            add_sparse(self, op, transform)
        elif isinstance(transform, AxisMap):
            add_axis_map(self, op, transform)
        elif isinstance(transform, MOVES):
            add_move(self, op)
        else:
            raise TypeError(f"{op.label}: a region holds no {type(transform).__name__}")

    def _pool(self, op: Linear, transform: SumPool) -> None:
        (signal,) = op.inputs
        shape = self.program.shapes[signal]
        last = transform.channels_last
        spatial, channels = split_shape(shape, last)
        out, _ = split_shape(self.program.shapes[op.output], last)
        source = self.held_in(signal, channels_last_order(shape, last))
        order = channels_last_order(self.program.shapes[op.output], last)
        counts = op.output in self.op.counts
        geometry = geometry_of(transform.windows, spatial, channels, out)
        self.kernels.pool(source, self.buffer(counts, op.output, order), geometry)
        if not counts:
            self.kernels.pool_of_values("sum", [])

    def alone(self, signal: int, kind: type) -> Any:
        """The operator of this kind that is the only reader of a signal, or None."""
        reader = self.reader_of.get(signal)
        return reader if self.readers[signal] == 1 and isinstance(reader, kind) else None

    def per_pixel(
        self, value: Any, signal: int, order: Order, pixels: int, pieces: int = 1
    ) -> list[NDArray]:
        """`(pixels, channels)` for each piece of a broadcast array; one row if all are alike."""
        flat = np.broadcast_to(np.asarray(value, np.float64), self.program.shapes[signal]).ravel()
        parts = (flat if order is None else flat[order]).reshape(pieces, pixels, -1)
        return [np.ascontiguousarray(_one_row(rows)) for rows in parts]

    def _sum(self, op: Sum) -> None:
        if op in self.shortcuts:
            return add_layer(self, self.shortcuts[op].layer)
        if len(op.inputs) == 1 and op.gain is None and op.bias is None:
            self.stored[op.output] = self.held(op.inputs[0])
            return
        self.combine(op, list(op.inputs), [1.0] * len(op.inputs), op.gain, op.bias)

    def combine(
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
                indices.append(as_index(order))
                continue
            sources.append(term.buffer)
            where = positions(term.order, size)
            alike = same(term.order, order)
            index = None if alike else where if order is None else where[order]
            indices.append(as_index(index))
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
        return self.held(signal) if signal in self.op.counts else self.stored[signal]

    def _per_element(self, value: NDArray, signal: int, order: Order) -> NDArray:
        flat = np.broadcast_to(value, self.program.shapes[signal]).ravel().astype(np.float64)
        return np.ascontiguousarray((flat if order is None else flat[order])[None])

    def _neurons(self, op: Neurons) -> None:
        """A population whose input is currents."""
        (signal,) = op.inputs
        inside = signal in self.made or signal in self.op.counts
        order = self.preferred.get(op.output)
        if inside:
            stored = self.values(signal)
            order, source = stored.order, stored.buffer
        else:
            source = self.input(signal, False)
        (population,) = integrators(self, op, order, 1)
        target = self.buffer(True, op.output, order)
        index = None if inside else order
        self.kernels.fire(source, not inside, target, population, as_index(index))


def _one_row(rows: NDArray) -> NDArray:
    """The first row, where all are like it."""
    alike = len(rows) > 0 and np.array_equal(rows, np.broadcast_to(rows[0], rows.shape))
    return rows[:1] if alike else rows
