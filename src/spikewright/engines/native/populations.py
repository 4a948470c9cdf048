"""Kernels of populations, which run in blocks or in pieces, and of decoders of their spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import GRIDS, integer_weights, weight_limbs
from spikewright.engines.native._kernels import (
    CHUNK,
    MOST_COLUMNS,
    MOST_OUTPUTS,
    NeuronKind,
    NeuronModel,
)
from spikewright.engines.native.buffers import Buffers, SummedOutputs
from spikewright.engines.native.neuron_kernels import in_blocks, kernel_model, parameters, states
from spikewright.engines.native.orders import Order, every
from spikewright.engines.native.region_operators import limbs_of
from spikewright.engines.operators import Linear, ScaledSum
from spikewright.engines.populations import Neurons
from spikewright.errors import BuildError
from spikewright.network.transforms import Dense


@dataclass(frozen=True, eq=False)
class DrivingOperators:
    """The operators that compute a population's current: encoders, then gain and bias."""

    encoders: Linear
    sum: ScaledSum

    @property
    def weights(self) -> NDArray:
        """`(neurons, columns)`."""
        transform = self.encoders.scaled_transform()
        if not isinstance(transform, Dense):
            raise BuildError(f"{self.encoders.label}: encoders are a matrix")
        return np.asarray(transform.matrix, np.float64)


def driving(b: Buffers, op: Linear) -> tuple[Neurons, DrivingOperators] | None:
    """The population that alone reads these encoders, and the operators that drive it, or None."""
    if not isinstance(op.transform, Dense) or op.factor != 1.0 or op.inputs[0] in b.op.counts:
        return None
    if op.compensation is not None:  # not of encoders
        return None
    if len(b.program.shapes[op.inputs[0]]) != 1 or op.transform.matrix.shape[1] > MOST_COLUMNS:
        return None
    total = b.only_reader(op.output, ScaledSum)
    if total is None or len(total.inputs) != 1:
        return None
    neurons = b.only_reader(total.output, Neurons)
    if neurons is None or in_blocks(neurons, b.program.dt):
        return None
    return neurons, DrivingOperators(op, total)


def model_of(op: Neurons, dt: float) -> NeuronModel:
    """The kernels' description of a population's type; raises `BuildError` if there is none."""
    model = kernel_model(op.neuron_type, dt)
    if model is None:
        raise BuildError(f"{op.label}: {op.neuron_type!r} has no native kernel")
    return model


def add_population(b: Buffers, op: Neurons, how: DrivingOperators | None = None) -> None:
    """Add a population whose input is a current, or a vector with encoders, gain and bias."""
    if not in_blocks(op, b.program.dt):
        return add_population_pieces(b, [op], [how])
    (signal,) = op.inputs
    outside = not b.inside(signal)
    order = b.preferred.get(op.output)
    if outside:
        source = b.input(signal, False)
    else:
        stored = b.values(signal)
        order, source = stored.order, stored.buffer
    (population,) = blocks(b, op, order, 1)
    target = b.buffer(True, op.output, order)
    index = order if outside else None
    b.kernels.fire(
        input=source, external=outside, output=target, population=population, index=index
    )
    return None


_STATE = {
    NeuronKind.running_mean: (36, 24),
    NeuronKind.bipolar: (20, 8),
    NeuronKind.digits: (20, 8),
}
"""Bytes of a neuron that runs in blocks: all, and those that are not stored after a last step."""


def blocks(b: Buffers, op: Neurons, order: Order, pixels: int, pieces: int = 1) -> list[int]:
    """Add a population that runs in blocks; returns the numbers of its pieces.

    Each piece has `pixels` times some channels.
    """
    model = model_of(op, b.program.dt)
    size = b.size(op.output)
    places = (every(size) if order is None else order).reshape(pieces, pixels, -1)

    def rows(value: Any) -> list[NDArray]:
        return b.per_pixel(value, op.output, order, pixels, pieces)

    threshold, own = parameters(op, model)
    thresholds, starts = rows(threshold), rows(op.initial_voltage)
    owns = [None] * pieces if own is None else rows(own)
    numbers = [
        b.kernels.population(
            model=model, threshold=one, own=numbers, start=start, places=where, whole=size
        )
        for one, numbers, start, where in zip(thresholds, owns, starts, places, strict=True)
    ]
    # Channels are padded to whole vectors.
    lanes = 64 if pixels == 1 else 16
    padded = pieces * pixels * (-(-places.shape[2] // lanes) * lanes)
    whole, passing = _STATE.get(model.neuron_kind, (12, 8))
    b.population_bytes[op.label] += whole * padded
    b.voltage_bytes[op.label] += passing * padded
    b.populations[op] = (op, order, tuple(numbers))
    return numbers


def add_population_pieces(
    b: Buffers, ops: Sequence[Neurons], driven: Sequence[DrivingOperators | None]
) -> None:
    """Add populations of one type that are driven in the same way; they run in pieces."""
    neurons = ops[0].neuron_type
    model = model_of(ops[0], b.program.dt)
    order, runs = _drives(b, ops, driven)
    size = sum(b.size(op.output) for op in ops)
    memories = _memories(b, ops, order)
    total = net = b.memory(ops, np.zeros(size))
    sends = model.neuron_kind in (
        NeuronKind.bipolar,
        NeuronKind.digits,
    )  # these store what they sent
    signed = neurons.negative and not sends
    if sends:
        net = memories["sent"]
    elif signed:
        net = b.memory(ops, np.zeros(size))
    target = b.batched(ops[0].output in b.op.counts, [op.output for op in ops], order)
    recorded = {n: b.buffer(False, signal, order) for n, signal in ops[0].states.items()}
    names = ("voltage", *states(neurons))
    thresholds, own = zip(*(parameters(op, model) for op in ops), strict=True)
    b.kernels.piecewise(
        output=target,
        model=model,
        threshold=_stored(thresholds, ops, order),
        own=_own(own, model, ops, order),
        memories=[*(memories.get(name or "", -1) for name in names), total, net if signed else -1],
        recorded=[recorded.get(name or "", -1) for name in names],
        pieces=_pieces(runs),
    )
    if neurons.stochastic:
        _add_draws(b, ops, order)
    found = [one for one in driven if one is not None]
    if found:
        _add_encoders(b, found, [b.size(op.output) for op in ops])
    starts = np.cumsum([0, *(b.size(op.output) for op in ops)])
    for op, start in zip(ops, starts, strict=False):
        b.totals[op] = SummedOutputs(total, net, order, int(start))


def _add_draws(b: Buffers, ops: Sequence[Neurons], order: Order) -> None:
    """Add the random numbers of the populations just added, each with a key of its own."""
    sizes = [b.size(op.output) for op in ops]
    b.kernels.draws(
        keys=np.array([op.key for op in ops], np.uint64),
        starts=[0, *np.cumsum(sizes[:-1]).tolist()],
        places=None if order is None else np.asarray(order, np.int32),
    )


def _own(
    values: Sequence[Any], model: NeuronModel, ops: Sequence[Neurons], order: Order
) -> NDArray | None:
    """Further parameters by neuron in the stored order, or rows of them."""
    if values[0] is None:
        return None
    if not model.differ:
        return _stored(values, ops, order)
    return np.concatenate([_stored(row, ops, order) for row in zip(*values, strict=True)])


class InputSpan(NamedTuple):
    """The input of `size` neurons from `start` on: a buffer or, if `outside`, an external input.

    With `same` all of them read the vector that begins at `start`.
    """

    source: int
    outside: bool
    start: int
    size: int
    same: bool


def _drives(
    b: Buffers, ops: Sequence[Neurons], driven: Sequence[DrivingOperators | None]
) -> tuple[Order, list[InputSpan]]:
    """The order in which neurons are stored, and the spans of their inputs."""
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
    """The neurons of all spans, split into pieces that fit a chunk."""
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
    """Values that broadcast to populations, concatenated, in the stored order."""
    flat = np.concatenate(
        [
            np.broadcast_to(value, op.ensemble.shape).ravel().astype(np.float64)
            for value, op in zip(values, ops, strict=True)
        ]
    )
    return flat if order is None else flat[order]


def _add_encoders(b: Buffers, driven: Sequence[DrivingOperators], sizes: Sequence[int]) -> None:
    """Add encoders, gain and bias of the populations just added."""
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
    """Whether an operator decodes few values from counts and does not feed neurons directly."""
    (signal,) = op.inputs
    if not isinstance(op.transform, Dense) or signal not in b.op.counts or signal in b.op.whole:
        return False
    if len(b.program.shapes[signal]) != 1 or len(op.transform.matrix) > MOST_OUTPUTS:
        return False
    total = b.only_reader(op.output, ScaledSum)
    return total is None or b.only_reader(total.output, Neurons) is None


def add_readouts(b: Buffers, ops: Sequence[Linear]) -> None:
    """Add the decoders of one or more populations as one kernel."""
    members, weights, scales, splits = [], [], [], []
    for op in ops:
        decoders = op.scaled_transform()
        if not isinstance(decoders, Dense):
            raise BuildError(f"{op.label}: decoders are a matrix")
        limbs, steps = integer_weights(decoders.matrix, b.program.precision)
        members.append((*b.root_of(op.inputs[0]), limbs[0].shape[1]))
        weights.append(np.stack([limb.T for limb in limbs]))
        scales.append(steps * op.unit)
        splits.append(limbs_of(b, decoders.matrix.shape[1]))
    target = b.batched(False, [op.output for op in ops])
    b.kernels.readout(
        output=target,
        members=np.array(members, np.int32),
        weights=weights,
        scale=np.concatenate(scales),
        limbs=splits,
    )
