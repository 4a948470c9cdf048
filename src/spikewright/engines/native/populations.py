"""Populations of any type: their inputs, and decoders of their spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import integer_weights
from spikewright.engines.native.cells import BIPOLAR, Description, described
from spikewright.engines.native.joint import joint_buffer, placed
from spikewright.engines.native.orders import Order
from spikewright.engines.native.parts import kept, limbs_of
from spikewright.engines.native.support import is_integrator
from spikewright.engines.program import Linear, Neurons, Sum
from spikewright.errors import BuildError
from spikewright.network.transforms import Dense, Shape

if TYPE_CHECKING:
    from spikewright.engines.native.building import Builder

CHUNK = 256
"""Neurons that are advanced together; see kChunk in cpp/parts.hpp."""

MOST_COLUMNS, MOST_OUTPUTS = 32, 16
"""Of encoders and decoders that are no layers; see kMostColumns, kMostOutputs in cpp/parts.hpp."""


@dataclass(frozen=True, eq=False)
class Driving:
    """The operators of a population's current: encoders, then gain and bias."""

    encoders: Linear
    sum: Sum

    @property
    def weights(self) -> NDArray:
        """`(neurons, columns)`."""
        transform = self.encoders.transform
        if not isinstance(transform, Dense):
            raise BuildError(f"{self.encoders.label}: encoders are a matrix")
        return np.asarray(transform.matrix, np.float64)


def driving(b: Builder, op: Linear) -> tuple[Neurons, Driving] | None:
    """The only reader of these encoders, a population, and its driving operators, or None."""
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
    return neurons, Driving(op, total)


def add_cells(b: Builder, ops: Sequence[Neurons], driven: Sequence[Driving | None]) -> None:
    """Populations of one type that has a description, all driven in the same way."""
    kind = described(ops[0].neuron_type)
    if kind is None:
        raise BuildError(f"{ops[0].label}: {ops[0].neuron_type!r} has no native kernel")
    order, runs = _drives(b, ops, driven)
    memories = _memories(b, ops, kind, order)
    totals = {"total": b.kernels.memory(np.zeros(sum(b.size(op.output) for op in ops)))}
    if kind.cell == BIPOLAR:
        totals["net"] = memories["sent"]
    elif ops[0].neuron_type.negative:
        totals["net"] = b.kernels.memory(np.zeros(sum(b.size(op.output) for op in ops)))
    target = joint_buffer(b, ops[0].output in b.op.counts, [op.output for op in ops], order)
    recorded = {n: b.buffer(False, signal, order) for n, signal in ops[0].states.items()}
    b.kernels.cells(
        target,
        kind.cell,
        kind.rate,
        kind.negative,
        kind.truncate,
        kind.numbers(b.program.dt),
        _slopes(kind, ops[0].ensemble.shape, order),
        _stored([op.threshold for op in ops], ops, order),
        [
            memories.get("voltage", -1),
            -1 if kind.second is None else memories[kind.second],
            -1 if kind.third is None else memories[kind.third],
            totals["total"],
            -1 if kind.cell == BIPOLAR else totals.get("net", -1),
        ],
        [recorded.get(name, -1) for name in ("voltage", kind.second or "", kind.third or "")],
        _pieces(runs),
    )
    found = [one for one in driven if one is not None]
    if found:
        _add_encoders(b, found, [b.size(op.output) for op in ops])
    at = 0
    for op in ops:
        b.kept[op] = kept(memories, order, op.ensemble.shape, at)
        b.totals[op] = kept(totals, order, op.ensemble.shape, at)
        at += b.size(op.output)


class Run(NamedTuple):
    """The input of `size` neurons from `start` on: a buffer or, if `outside`, an input.

    With `same` all of them read the vector that begins there.
    """

    source: int
    outside: bool
    start: int
    size: int
    same: bool


def _drives(
    b: Builder, ops: Sequence[Neurons], driven: Sequence[Driving | None]
) -> tuple[Order, list[Run]]:
    """The order in which neurons are stored, and the places of their inputs."""
    runs = []
    order: Order = None
    for op, how in zip(ops, driven, strict=True):
        size = b.size(op.output)
        (signal,) = op.inputs if how is None else how.encoders.inputs
        outside = signal not in b.made and signal not in b.op.counts
        if outside and how is None and b.preferred.get(signal) is None:
            runs.append(Run(b.input(signal, False), True, 0, size, False))
            continue
        if how is None and len(ops) == 1:
            stored = b.values(signal)
            order, buffer = stored.order, stored.buffer
        else:
            buffer = b.values_in(signal, None)
        root, at = b.roots.get(buffer, (buffer, 0))
        runs.append(Run(root, False, at, size, how is not None))
    return order, runs


def _pieces(runs: Sequence[Run]) -> NDArray:
    """Neurons of several sources, one after the other, in pieces that fit a chunk."""
    pieces, first = [], 0
    for run in runs:
        for at in range(0, run.size, CHUNK):
            n = min(CHUNK, run.size - at)
            start = run.start if run.same else run.start + at
            pieces.append((run.source, run.outside, start, first + at, n))
        first += run.size
    return np.ascontiguousarray(pieces, np.int32)


def _memories(
    b: Builder, ops: Sequence[Neurons], kind: Description, order: Order
) -> dict[str, int]:
    memories: dict[str, int] = {}
    if ops[0].neuron_type.has_voltage:
        start = _stored([op.initial_voltage for op in ops], ops, order)
        memories["voltage"] = b.kernels.memory(start)
    for name in (kind.second, kind.third):
        if name is not None:
            begins = _stored([op.initial_state[name] for op in ops], ops, order)
            memories[name] = b.kernels.memory(begins)
    return memories


def _stored(values: Sequence[Any], ops: Sequence[Neurons], order: Order) -> NDArray:
    """Values that broadcast to populations, side by side, in the stored order."""
    flat = np.concatenate(
        [
            np.broadcast_to(value, op.ensemble.shape).ravel().astype(np.float64)
            for value, op in zip(values, ops, strict=True)
        ]
    )
    return np.ascontiguousarray(flat if order is None else flat[order])


def _slopes(kind: Description, shape: Shape, order: Order) -> NDArray:
    """One slope a neuron, as stored; none where the type has none."""
    if kind.slopes is None:
        return np.empty(0)
    slopes = np.broadcast_to(kind.slopes, shape).ravel().astype(np.float64)
    return np.ascontiguousarray(slopes if order is None else slopes[order])


def _add_encoders(b: Builder, driven: Sequence[Driving], sizes: Sequence[int]) -> None:
    """Encoders, gain and bias of the populations that were just added."""
    weights = np.concatenate([one.weights for one in driven])

    def row(values: Sequence[NDArray | None], missing: float) -> NDArray:
        rows = [
            np.broadcast_to(missing if value is None else value, size)
            for value, size in zip(values, sizes, strict=True)
        ]
        return np.ascontiguousarray(np.concatenate(rows), np.float64)

    b.kernels.encoders(
        np.ascontiguousarray(weights.T),
        driven[0].sum.gain is not None,
        row([one.sum.gain for one in driven], 1.0),
        row([one.sum.bias for one in driven], 0.0),
        *limbs_of(weights.shape[1]),
    )


def reads_out(b: Builder, op: Linear) -> bool:
    """Whether an operator decodes few values from counts, and feeds no neurons directly."""
    (signal,) = op.inputs
    if not isinstance(op.transform, Dense) or signal not in b.op.counts or signal in b.op.whole:
        return False
    if len(b.program.shapes[signal]) != 1 or len(op.transform.matrix) > MOST_OUTPUTS:
        return False
    total = b.alone(op.output, Sum)
    return total is None or b.alone(total.output, Neurons) is None


def add_readouts(b: Builder, ops: Sequence[Linear]) -> None:
    """Decoders, of several populations at once."""
    members, weights, scales = [], [], []
    for op in ops:
        if not isinstance(op.transform, Dense):
            raise BuildError(f"{op.label}: decoders are a matrix")
        integers, steps = integer_weights(op.transform.matrix)
        members.append((*placed(b, op.inputs[0]), integers.shape[1]))
        weights.append(np.ascontiguousarray(integers.T, np.int32))
        scales.append(steps * op.factor)
    target = joint_buffer(b, False, [op.output for op in ops])
    b.kernels.readout(
        target,
        np.ascontiguousarray(members, np.int32),
        weights,
        np.ascontiguousarray(np.concatenate(scales), np.float64),
    )
