"""Running a program: blocks of time, components in order, loops step by step.

This is the same for every engine; kernels differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Array, DelayedKernel, Engine, Feeds, Kernel, NeuronKernel
from spikewright.engines.program import Component, Neurons, Operator, Program, Recording, Source
from spikewright.errors import SimulationError
from spikewright.network import Ensemble


class Execution:
    """A program with run state: `run` advances it.

    `batch` samples run side by side, independently. `tally` names the populations whose spikes are
    summed per neuron. `block` fixes the number of steps worked on at once (None: the engine's
    choice); it changes speed, never results.
    """

    def __init__(
        self,
        program: Program,
        engine: Engine,
        batch: int = 1,
        tally: Iterable[Ensemble] = (),
        block: int | None = None,
    ) -> None:
        self.program, self.engine, self.batch = program, engine, batch
        self.step = 0
        self._block = block or engine.block_steps(program, batch)
        wanted = set(tally)
        self._kernels: dict[Operator, Kernel] = {
            op: engine.kernel(op, program, batch, isinstance(op, Neurons) and op.ensemble in wanted)
            for op in program.operators
            if not isinstance(op, Source)
        }
        self._last_read = _last_readers(program)
        self._recorded = {r.signal for r in program.recordings}

    def run(
        self,
        steps: int,
        feeds: Feeds | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[NDArray]:
        """Advance by `steps` steps; returns one array `(batch, samples, *shape)` per recording.

        `feeds` replaces the output of constant nodes by `(batch, steps or 1, *shape)`; `progress`
        is called with the number of steps done after every block.
        """
        for op in self.program.operators:
            if isinstance(op, Source):
                fed = None if feeds is None else feeds.get(op.node)
                self._kernels[op] = self.engine.source(op, self.program, fed, self.step)
        recorder = _Recorder(self.program, self.engine, self.batch, self.step, steps)
        constants = self._constants()
        done = 0
        while done < steps:
            count = min(self._block, steps - done)
            values = dict(constants)
            for component in self.program.components:
                self._run_component(component, values, done, count)
                recorder.take(component, values, done)
                self._forget(component, values)
            self.step += count
            done += count
            if progress is not None:
                progress(count)
        return recorder.arrays

    def totals(self) -> dict[Ensemble, NDArray]:
        """Summed outputs per neuron since the start, `(batch, *shape)`, of tallied populations.

        Spikes for spiking types; for rate types the sum over steps of the rate in Hz.
        """
        return {
            op.ensemble: self.engine.to_numpy(kernel.total)
            for op, kernel in self._kernels.items()
            if isinstance(op, Neurons)
            and isinstance(kernel, NeuronKernel)
            and kernel.total is not None
        }

    def _constants(self) -> dict[int, Array]:
        """Signals that no step of this run changes: computed once, with one step each."""
        values: dict[int, Array] = {}
        for component in self.program.components:
            for op in component.operators:
                kernel = self._kernels[op]
                if component.loops or not kernel.stateless:
                    continue
                if all(signal in values for signal in op.inputs):
                    (values[op.output],) = kernel.run([values[s] for s in op.inputs], self.step, 1)
        return values

    def _run_component(
        self, component: Component, values: dict[int, Array], done: int, count: int
    ) -> None:
        if component.loops:
            self._run_loop(component, values, count)
            return
        (op,) = component.operators
        if op.output in values:
            return
        kernel = self._kernels[op]
        start = done if isinstance(op, Source) else self.step
        outputs = kernel.run([values[s] for s in op.inputs], start, count)
        values.update(zip(_signals(op), outputs, strict=True))

    def _run_loop(self, component: Component, values: dict[int, Array], count: int) -> None:
        """Step by step: filters emit first and absorb last, the rest runs in between."""
        inside = [s for op in component.operators for s in _signals(op)]
        shapes = self.program.shapes
        for s in inside:
            values[s] = self.engine.empty(self.program, self.batch, count, shapes[s])
        for t in range(count):
            at: dict[int, Array] = {}

            def read(s: int, at: dict[int, Array] = at, t: int = t) -> Array:
                if s in at:
                    return at[s]
                value = values[s]
                return value if value.shape[1] == 1 else value[:, t : t + 1]

            for op in component.operators:
                kernel = self._kernels[op]
                if isinstance(kernel, DelayedKernel):
                    outputs: Sequence[Array] = [kernel.emit()]
                else:
                    outputs = kernel.run([read(s) for s in op.inputs], self.step + t, 1)
                for s, output in zip(_signals(op), outputs, strict=True):
                    at[s] = output
                    values[s][:, t : t + 1] = output
            for op in component.operators:
                kernel = self._kernels[op]
                if isinstance(kernel, DelayedKernel):
                    kernel.absorb(read(op.inputs[0]))

    def _forget(self, component: Component, values: dict[int, Array]) -> None:
        """Drop signals that nothing later in this block reads."""
        for op in component.operators:
            for s in (*op.inputs, *_signals(op)):
                if self._last_read.get(s) is component or s not in self._last_read:
                    values.pop(s, None)


def _signals(op: Operator) -> tuple[int, ...]:
    """An operator's output signals."""
    if isinstance(op, Neurons) and op.voltage is not None:
        return (op.output, op.voltage)
    return (op.output,)


def _last_readers(program: Program) -> dict[int, Component]:
    readers: dict[int, Component] = {}
    for component in program.components:
        for op in component.operators:
            for s in op.inputs:
                readers[s] = component
    return readers


class _Recorder:
    """Collects what probes record during one run."""

    def __init__(
        self, program: Program, engine: Engine, batch: int, first: int, steps: int
    ) -> None:
        self._program, self._engine = program, engine
        self._first, self._steps = first, steps
        dtype = np.float64 if program.precision == "float64" else np.float32
        self._by_signal: dict[int, list[int]] = {}
        self.arrays: list[NDArray] = []
        for index, recording in enumerate(program.recordings):
            self._by_signal.setdefault(recording.signal, []).append(index)
            count = len(self._kept(recording, 0, steps))
            shape = program.shapes[recording.signal]
            self.arrays.append(_allocate((batch, count, *shape), dtype, recording))

    def _kept(self, recording: Recording, start: int, count: int) -> NDArray:
        """Offsets within the block of the steps that are kept: every n-th of the simulation."""
        numbers = self._first + start + np.arange(1, count + 1)
        return np.flatnonzero(numbers % recording.every == 0)

    def take(self, component: Component, values: dict[int, Array], start: int) -> None:
        """Record what this component made in the block that begins `start` steps into the run."""
        for op in component.operators:
            for signal in _signals(op):
                for index in self._by_signal.get(signal, ()):
                    self._store(index, self._engine.to_numpy(values[signal]), start)

    def _store(self, index: int, block: NDArray, start: int) -> None:
        recording = self._program.recordings[index]
        before = len(self._kept(recording, 0, start))
        if block.shape[1] == 1:  # constant, or a block of one step
            remaining = self._kept(recording, 0, self._steps)
            after = len(remaining) if start == 0 else before + len(self._kept(recording, start, 1))
            self.arrays[index][:, before:after] = block * recording.factor
            return
        kept = self._kept(recording, start, block.shape[1])
        self.arrays[index][:, before : before + len(kept)] = block[:, kept] * recording.factor


def _allocate(shape: tuple[int, ...], dtype: type, recording: Recording) -> NDArray:
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError):
        gib = np.prod(shape, dtype=float) * np.dtype(dtype).itemsize / 2**30
        raise SimulationError(
            f"{recording.probe!r} would need {gib:.1f} GiB for an array of shape {shape}; record "
            "fewer steps (sample_every=), samples or neurons"
        ) from None
