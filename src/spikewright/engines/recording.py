"""The recordings of probes, of one run and of all runs so far, and the times of spikes in them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Engine
from spikewright.engines.kernel import Array
from spikewright.engines.memory_estimate import kept_steps
from spikewright.engines.populations import Neurons
from spikewright.engines.program import Program, Recording
from spikewright.errors import SimulationError
from spikewright.network import NeuronsView, Probe
from spikewright.network.shapes import Shape

_LEAST_BYTES, _MOST_BYTES = 2**14, 2**26  # of an array of single steps: it grows up to the latter


class Recorder:
    """Collects the recordings of probes during one run."""

    def __init__(
        self, program: Program, engine: Engine, batch: int, first: int, steps: int
    ) -> None:
        self._program, self._numpy = program, engine.arrays(program).numpy
        self._first, self._steps = first, steps
        self.arrays: list[NDArray] = []
        for recording in program.recordings:
            count = kept_steps(recording, first, steps)
            shape = program.shapes[recording.signal]
            self.arrays.append(np.empty((batch, count, *shape), dtype_of(program)))

    def until(self, steps: int) -> list[NDArray]:
        """The recordings of the first `steps` steps; a copy if more steps were planned."""
        if steps == self._steps:
            return self.arrays
        recordings = zip(self._program.recordings, self.arrays, strict=True)
        return [array[:, : kept_steps(one, self._first, steps)].copy() for one, array in recordings]

    def record(
        self,
        recorded: Iterable[tuple[int, int]],
        values: dict[int, Array],
        start: int,
        samples: slice,
        count: int,
    ) -> None:
        """Record signals of the block of `count` steps after `start` steps of the run.

        `recorded` are pairs of a signal and the number of its recording.
        """
        for signal, index in recorded:
            self._store(index, self._numpy(values[signal]), start, samples, count)

    def _store(self, index: int, block: NDArray, start: int, samples: slice, count: int) -> None:
        recording = self._program.recordings[index]
        array, factor = self.arrays[index][samples], recording.factor
        before = kept_steps(recording, self._first, start)
        if block.shape[1] == 1:  # constant, or a block of one step
            after = kept_steps(recording, self._first, start + count)
            if after > before:  # else the block may be uninitialised
                array[:, before:after] = block * factor
            return
        skipped = -(self._first + start + 1) % recording.every  # every n-th of the simulation stays
        kept = block[:, skipped :: recording.every]
        room = array[:, before : before + kept.shape[1]]
        np.multiply(kept, factor, out=room, casting="same_kind")


class Tape:
    """All that one probe has recorded: arrays of whole runs, and of single steps.

    Single steps are written one after the other into an array with spare rows, so that reading
    after every step costs only the new steps. A large array is copied only when it is read; further
    steps go into another one.
    """

    def __init__(self, batch: int, shape: Shape, recording: Recording, dtype: type) -> None:
        self._batch, self._shape, self._recording, self._dtype = batch, shape, recording, dtype
        self._first = 0  # steps done before it began
        self._whole: list[NDArray] = []
        self._done = 0  # steps in these
        self._rows, self._used = self._empty(0), 0

    @classmethod
    def of(cls, program: Program, recording: Recording, batch: int) -> Tape:
        """An empty tape for a recording."""
        shape = program.shapes[recording.signal]
        return cls(batch, shape, recording, dtype_of(program))

    def clear(self, step: int) -> None:
        """Delete everything; the tape then begins after step `step`."""
        rows = self._empty(0)
        self._first, self._whole, self._done, self._rows, self._used = step, [], 0, rows, 0

    def extend(self, array: NDArray, step: int) -> None:
        """Append the steps of a run up to step `step`, `(batch, steps, *shape)`.

        Steps that the tape has already are left out.
        """
        missing = self._expected(step) - self._done - self._used
        if missing <= 0:
            return
        new = array[:, array.shape[1] - missing :]
        self._put_away(new, self._empty(0))

    def _put_away(self, new: NDArray | None, rows: NDArray) -> None:
        """Move the written steps, and new ones, to those of whole runs; continue in `rows`."""
        more = ([self._rows[:, : self._used]] if self._used else []) + (
            [] if new is None else [new]
        )
        done = self._done + sum(array.shape[1] for array in more)
        # One assignment, so that no interrupt can come between its parts.
        self._whole, self._done, self._rows, self._used = [*self._whole, *more], done, rows, 0

    def state(self) -> tuple[int, NDArray]:
        """The number of steps before the tape began, and all recorded steps."""
        return self._first, self.array().copy()

    def restore(self, state: tuple[int, NDArray]) -> None:
        """Return to a state."""
        first, array = state
        self.clear(first)
        self._whole, self._done = [array], array.shape[1]

    def discard_after(self, step: int) -> None:
        """Discard what was written for steps after step `step`."""
        self._used -= max(0, self._done + self._used - self._expected(step))

    def _expected(self, step: int) -> int:
        return kept_steps(self._recording, self._first, step - self._first)

    def write(self, value: NDArray) -> None:
        """Write one more step, `(batch or 1, *shape)`, which counts once `commit` is called."""
        if self._used == self._rows.shape[1]:
            self._grow()
        np.multiply(value, self._recording.factor, out=self._rows[:, self._used])

    def commit(self) -> None:
        """Make the step that was written last a part of the recording."""
        self._used += 1

    def array(self) -> NDArray:
        """All recorded steps, `(batch, steps, *shape)`."""
        if self._whole and not self._used:
            if len(self._whole) > 1:
                self._whole = [np.concatenate(self._whole, axis=1)]
            return self._whole[0]
        if self._whole:
            self._join()
        return self._rows[:, : self._used]

    def _join(self) -> None:
        """Copy all steps into one array with spare rows."""
        parts = [*self._whole, self._rows[:, : self._used]]
        steps = sum(part.shape[1] for part in parts)
        rows = self._empty(2 * steps)
        np.concatenate(parts, axis=1, out=rows[:, :steps])
        self._whole, self._done, self._rows, self._used = [], 0, rows, steps

    def _grow(self) -> None:
        step = max(1, self._batch * math.prod(self._shape) * np.dtype(self._dtype).itemsize)
        if self._used and 2 * self._used * step > _MOST_BYTES:
            self._put_away(None, self._empty(max(1, _MOST_BYTES // step)))
            return
        rows = self._empty(max(1, _LEAST_BYTES // step, 2 * self._used))
        rows[:, : self._used] = self._rows[:, : self._used]
        self._rows = rows

    def _empty(self, steps: int) -> NDArray:
        return np.empty((self._batch, steps, *self._shape), self._dtype)


def dtype_of(program: Program) -> type:
    """The type of recorded numbers."""
    return np.float64 if program.precision == "float64" else np.float32


def spike_times(
    program: Program, probe: Probe, recorded: NDArray, steps: int
) -> list[list[NDArray]]:
    """The times in seconds of a probe's spikes: for every sample a list of arrays, one a neuron.

    `recorded` are the last steps of `steps`, `(batch, recorded steps, *shape)`. Raises
    `SimulationError` for a probe that did not record spikes, or not those of every step.
    """
    recording, neurons = _of_spikes(program, probe)
    batch, kept, *shape = recorded.shape
    counts = np.rint(recorded / recording.factor).reshape(batch, kept, math.prod(shape))
    numbers = np.arange(steps - kept + 1, steps + 1)
    sent = np.rint(_sent(neurons, counts, numbers)).astype(np.int64)
    ends = numbers * program.dt
    return [[np.repeat(ends, of_neuron) for of_neuron in sample.T] for sample in sent]


def _of_spikes(program: Program, probe: Probe) -> tuple[Recording, Neurons]:
    """The recording of a probe, and the population whose spikes it records."""
    recording = next(one for one in program.recordings if one.probe is probe)
    of, sends = probe.obj, probe.attr in ("output", "spike_count") and probe.synapse is None
    neurons = program.neurons[of.ensemble] if isinstance(of, NeuronsView) else None
    if neurons is None or not (neurons.neuron_type.spiking and sends):
        raise SimulationError(
            f"{probe!r} does not record spikes: probe the neurons of a spiking type, "
            "Probe(ensemble.neurons), without a synapse"
        )
    if recording.every != 1:
        raise SimulationError(
            f"{probe!r} records one step of {recording.every}, so that spikes between them are "
            "missing: leave sample_every out"
        )
    return recording, neurons


def _sent(neurons: Neurons, counts: NDArray, numbers: NDArray) -> NDArray:
    """The number of spikes that were sent, of either sign, from counts `(batch, steps, neurons)`.

    In the first steps after a reset, some types leave out a spike or send one of another height.
    """
    kind = neurons.neuron_type
    sent = np.abs(counts)
    since = numbers if neurons.restart is None else (numbers - 1) % neurons.restart + 1
    for place in np.flatnonzero(since <= kind.special_steps):
        sent[:, place] = kind.sent_in(int(since[place]), counts[:, place])
    return sent
