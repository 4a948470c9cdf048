"""Populations of any type: their inputs, and decoders of their spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import GRIDS, integer_weights, weight_limbs
from spikewright.engines.native._kernels import CHUNK, MOST_COLUMNS, MOST_OUTPUTS, Cell, Cells, Rate
from spikewright.engines.native.buffers import Buffers, SummedOutputs
from spikewright.engines.native.cells import OWN_ROOM, described, own_rows, states
from spikewright.engines.native.orders import Order
from spikewright.engines.native.parts import limbs_of
from spikewright.engines.native.support import is_integrator
from spikewright.engines.operators import Linear, ScaledSum
from spikewright.engines.populations import Neurons
from spikewright.errors import BuildError
from spikewright.network.transforms import Dense


@dataclass(frozen=True, eq=False)
class Driving:
    """The operators of a population's current: encoders, then gain and bias."""

    encoders: Linear
    sum: ScaledSum

    @property
    def weights(self) -> NDArray:
        """`(neurons, columns)`."""
        transform = self.encoders.transform
        if not isinstance(transform, Dense):
            raise BuildError(f"{self.encoders.label}: encoders are a matrix")
        return np.asarray(transform.matrix, np.float64)


def driving(b: Buffers, op: Linear) -> tuple[Neurons, Driving] | None:
    """The only reader of these encoders, a population, and its driving operators, or None."""
    if not isinstance(op.transform, Dense) or op.factor != 1.0 or op.inputs[0] in b.op.counts:
        return None
    if op.compensation is not None:  # not of encoders
        return None
    if len(b.program.shapes[op.inputs[0]]) != 1 or op.transform.matrix.shape[1] > MOST_COLUMNS:
        return None
    total = b.alone(op.output, ScaledSum)
    if total is None or len(total.inputs) != 1:
        return None
    neurons = b.alone(total.output, Neurons)
    if neurons is None or is_integrator(neurons):
        return None
    return neurons, Driving(op, total)


def add_cells(b: Buffers, ops: Sequence[Neurons], driven: Sequence[Driving | None]) -> None:
    """Populations of one type that has a description, all driven in the same way."""
    neurons = ops[0].neuron_type
    cells = described(neurons, b.program.dt)
    if cells is None:
        raise BuildError(f"{ops[0].label}: {neurons!r} has no native kernel")
    order, runs = _drives(b, ops, driven)
    size = sum(b.size(op.output) for op in ops)
    memories = _memories(b, ops, order)
    cells.total = net = b.memory(ops, np.zeros(size))
    if cells.cell is Cell.bipolar:
        net = memories["sent"]
    elif neurons.negative:
        net = cells.net = b.memory(ops, np.zeros(size))
    target = b.joint(ops[0].output in b.op.counts, [op.output for op in ops], order)
    recorded = {n: b.buffer(False, signal, order) for n, signal in ops[0].states.items()}
    names = ("voltage", *states(neurons))
    cells.voltage, cells.second, cells.third = (memories.get(name or "", -1) for name in names)
    cells.recorded = [recorded.get(name or "", -1) for name in names]
    b.kernels.cells(
        output=target,
        cells=cells,
        threshold=_stored([op.threshold for op in ops], ops, order),
        own=_own(ops, cells, order),
        pieces=_pieces(runs),
    )
    if neurons.stochastic:
        _add_draws(b, ops, order)
    found = [one for one in driven if one is not None]
    if found:
        _add_encoders(b, found, [b.size(op.output) for op in ops])
    starts = np.cumsum([0, *(b.size(op.output) for op in ops)])
    for op, start in zip(ops, starts, strict=False):
        b.totals[op] = SummedOutputs(cells.total, net, order, int(start))


def _add_draws(b: Buffers, ops: Sequence[Neurons], order: Order) -> None:
    """The random numbers of the populations that were just added: each has a key of its own."""
    sizes = [b.size(op.output) for op in ops]
    b.kernels.draws(
        keys=np.array([op.key for op in ops], np.uint64),
        starts=[0, *np.cumsum(sizes[:-1]).tolist()],
        places=None if order is None else np.asarray(order, np.int32),
    )


def _own(ops: Sequence[Neurons], cells: Cells, order: Order) -> NDArray | None:
    """Numbers of each neuron, as stored: a slope, a whole threshold, or rows of parameters."""
    if cells.differ:
        rows = zip(*(own_rows(op.neuron_type, cells.dt) for op in ops), strict=True)
        stored = [_stored(values, ops, order) for values in rows]
        return np.concatenate([*stored, np.zeros(OWN_ROOM)])
    kinds: list[Any] = [getattr(op.neuron_type, "base_type", op.neuron_type) for op in ops]
    if cells.rate is Rate.parametric:
        return _stored([kind.slope for kind in kinds], ops, order)
    if cells.cell is Cell.fixed_point:
        return _stored([kind.threshold for kind in kinds], ops, order)
    return None


class InputSpan(NamedTuple):
    """The input of `size` neurons from `start` on: a buffer or, if `outside`, an input.

    With `same` all of them read the vector that begins there.
    """

    source: int
    outside: bool
    start: int
    size: int
    same: bool


def _drives(
    b: Buffers, ops: Sequence[Neurons], driven: Sequence[Driving | None]
) -> tuple[Order, list[InputSpan]]:
    """The order in which neurons are stored, and the places of their inputs."""
    runs = []
    order: Order = None
    for op, how in zip(ops, driven, strict=True):
        size = b.size(op.output)
        (signal,) = op.inputs if how is None else how.encoders.inputs
        outside = not b.inside(signal)
        if outside and how is None and b.preferred.get(signal) is None:
            runs.append(InputSpan(b.input(signal, False), True, 0, size, False))
            continue
        if how is None and len(ops) == 1:
            stored = b.values(signal)
            order, buffer = stored.order, stored.buffer
        else:
            buffer = b.values_in(signal)
        root, at = b.roots.get(buffer, (buffer, 0))
        runs.append(InputSpan(root, False, at, size, how is not None))
    return order, runs


def _pieces(runs: Sequence[InputSpan]) -> NDArray:
    """Neurons of several sources, one after the other, in pieces that fit a chunk."""
    pieces, first = [], 0
    for run in runs:
        for at in range(0, run.size, CHUNK):
            n = min(CHUNK, run.size - at)
            start = run.start if run.same else run.start + at
            pieces.append((run.source, run.outside, start, first + at, n))
        first += run.size
    return np.array(pieces, np.int32)


def _memories(b: Buffers, ops: Sequence[Neurons], order: Order) -> dict[str, int]:
    memories: dict[str, int] = {}
    if ops[0].neuron_type.has_voltage:
        start = _stored([op.initial_voltage for op in ops], ops, order)
        memories["voltage"] = b.memory(ops, start)
    for name in ops[0].neuron_type.initial_values():
        begins = _stored([op.initial_state[name] for op in ops], ops, order)
        memories[name] = b.memory(ops, begins)
    return memories


def _stored(values: Sequence[Any], ops: Sequence[Neurons], order: Order) -> NDArray:
    """Values that broadcast to populations, side by side, in the stored order."""
    flat = np.concatenate(
        [
            np.broadcast_to(value, op.ensemble.shape).ravel().astype(np.float64)
            for value, op in zip(values, ops, strict=True)
        ]
    )
    return flat if order is None else flat[order]


def _add_encoders(b: Buffers, driven: Sequence[Driving], sizes: Sequence[int]) -> None:
    """Encoders, gain and bias of the populations that were just added."""
    grid = GRIDS[b.program.precision]
    matrix = np.concatenate([one.weights for one in driven])
    weights = np.zeros((grid.weight_limbs, *matrix.T.shape))
    for held, limb in zip(weights, weight_limbs(matrix, grid), strict=False):
        held[:] = limb.T  # the last ones are zero if none is needed

    def row(values: Sequence[NDArray | None], missing: float) -> NDArray:
        rows = [
            np.broadcast_to(missing if value is None else value, size)
            for value, size in zip(values, sizes, strict=True)
        ]
        return np.concatenate(rows)

    gained = driven[0].sum.gain is not None
    b.kernels.encoders(
        weights=weights,
        gain=row([one.sum.gain for one in driven], 1.0) if gained else None,
        bias=row([one.sum.bias for one in driven], 0.0),
        limbs=limbs_of(b, matrix.shape[1]),
    )


def reads_out(b: Buffers, op: Linear) -> bool:
    """Whether an operator decodes few values from counts, and feeds no neurons directly."""
    (signal,) = op.inputs
    if not isinstance(op.transform, Dense) or signal not in b.op.counts or signal in b.op.whole:
        return False
    if len(b.program.shapes[signal]) != 1 or len(op.transform.matrix) > MOST_OUTPUTS:
        return False
    total = b.alone(op.output, ScaledSum)
    return total is None or b.alone(total.output, Neurons) is None


def add_readouts(b: Buffers, ops: Sequence[Linear]) -> None:
    """Decoders, of several populations at once."""
    members, weights, scales, splits = [], [], [], []
    for op in ops:
        decoders = op.weighted()
        if not isinstance(decoders, Dense):
            raise BuildError(f"{op.label}: decoders are a matrix")
        limbs, steps = integer_weights(decoders.matrix, b.program.precision)
        members.append((*b.placed(op.inputs[0]), limbs[0].shape[1]))
        weights.append(np.stack([limb.T for limb in limbs]))
        scales.append(steps * op.factor)
        splits.append(limbs_of(b, decoders.matrix.shape[1]))
    target = b.joint(False, [op.output for op in ops])
    b.kernels.readout(
        output=target,
        members=np.array(members, np.int32),
        weights=weights,
        scale=np.concatenate(scales),
        limbs=splits,
    )
