"""Running a program: blocks of steps, chunks of the batch, components in order, loops by step.

All engines share this code; only their kernels differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.mapped import give_back
from spikewright.engines.base import Engine, Feeds, arrays_of
from spikewright.engines.blocks import BlockCheckpoint, chunks_of
from spikewright.engines.incremental import (
    IncrementalRunner,
    can_run_incrementally,
    compute_constants,
)
from spikewright.engines.kernel import Array, Kernel
from spikewright.engines.memory import SMALL, MemoryNeed, available_for, memory_errors
from spikewright.engines.memory_estimate import PreparedRun
from spikewright.engines.operators import NodeSource
from spikewright.engines.populations import Learned
from spikewright.engines.program import Program
from spikewright.engines.python_steps import Functions
from spikewright.engines.recording import Recorder, Tape
from spikewright.engines.sources import Given
from spikewright.engines.totals import Totals
from spikewright.network import Ensemble


class Execution:
    """A program and the state of its run: `run` advances it.

    `batch` samples run side by side, independently. `tally` names the populations whose spikes are
    summed per neuron. `block` and `chunk` fix the number of steps and of samples that are computed
    at once (None: the engine's choice); they change speed, never results beyond the engine's
    `bound`. A `resumable` execution can continue after a run that was interrupted or failed.
    """

    def __init__(
        self,
        program: Program,
        engine: Engine,
        batch: int = 1,
        tally: Iterable[Ensemble] = (),
        block: int | None = None,
        chunk: int | None = None,
        resumable: bool = False,
    ) -> None:
        self.program, self.engine, self.batch = program, engine, batch
        self.step = 0
        self._prepared_run = PreparedRun(
            program, engine, batch, frozenset(tally), chunk, resumable=resumable
        )
        begun = MemoryNeed((*self._prepared_run.state(), *self._prepared_run.missing()))
        self._require(begun, f"{batch} samples")
        self._block, self._plan = block, self._prepared_run.program
        self._sources = [op for op in self._plan.operators if isinstance(op, NodeSource)]
        with memory_errors(f"{engine.name} engine"):
            self._chunks = chunks_of(self._prepared_run)
        give_back(*(array for op in program.operators for array in arrays_of(op)))
        kernels = [kernel for part in self._chunks for kernel in part.kernels.values()]
        self._kernels = list(dict.fromkeys(kernels))
        steps = [step for kernel in self._kernels for step in kernel.python_steps()]
        self._checkpoint = BlockCheckpoint(self._kernels, program.operators) if resumable else None
        calls = None if self._checkpoint is None else self._checkpoint.calls
        self._functions = Functions(steps, program.operators, batch, calls)
        # Block sizes of runs that need little memory, by number of steps and constants.
        self._block_sizes: dict[tuple[int, frozenset[tuple[int, int]]], int] = {}
        self._incremental: IncrementalRunner | None = None
        self._may_increment = len(self._chunks) == 1

    @property
    def now(self) -> int:
        """The number of steps done; while a function is called for a step, of those before it."""
        time = None if self._checkpoint is None else self._checkpoint.calls.call_time.seconds
        return self.step if time is None else round(time / self.program.dt) - 1

    def run(
        self,
        steps: int,
        feeds: Feeds | None = None,
        progress: Callable[[int], None] | None = None,
        *,
        last: bool = False,
        tapes: Sequence[Tape] = (),
    ) -> list[NDArray]:
        """Advance by `steps` steps; returns one array `(batch, samples, *shape)` per recording.

        `feeds` replaces the output of constant nodes by `(batch, steps or 1, *shape)`; `progress`
        is called after every block with the number of its steps. No run follows a `last` one, so
        that only totals are kept. The recordings are appended to `tapes`, one for each, if given.
        Raises `SimulationError` before anything is computed where memory does not suffice.

        If the run is interrupted, a resumable execution returns to the start of the unfinished
        block; if a step fails, to the state before that step. The tapes hold all steps up to there.
        """
        for node in feeds or ():
            self.program.check_fed(node)
        self._begin()
        with memory_errors(f"{self.engine.name} engine"), self.engine.run_context():
            run = self._start_run(steps, feeds)
            try:
                self._advance(run, steps, progress, last)
                run.deliver(tapes, self.step)
            except BaseException as error:
                self._recover(run, error)
                run.deliver(tapes, self.step)
                raise
        return run.recorder.arrays

    def run_step(self, feeds: Feeds) -> list[NDArray]:
        """Advance by one step, with `feeds` of its own; returns as `run` does.

        It is fast where many such steps follow each other.
        """
        tapes = [Tape.of(self.program, one, self.batch) for one in self.program.recordings]
        for tape in tapes:
            tape.clear(self.step)
        self.advance(tapes, feeds)
        return [tape.array().copy() for tape in tapes]  # without the room for more

    def advance(self, tapes: Sequence[Tape], feeds: Feeds = MappingProxyType({})) -> None:
        """Advance by one step; the recordings are appended to `tapes`, one for each.

        All else is as in `run`.
        """
        self._begin()
        if self._incremental is None and self._may_increment:
            self._prepare_incremental(feeds)
        if self._incremental is None:
            self.run(1, feeds, tapes=tapes)
            return
        try:
            self._mark()
            going = self._incremental.step(self.step, tapes, feeds)
            self.step += going is not None
        except BaseException:
            self._roll_back()
            for tape in tapes:
                tape.discard_after(self.step)
            raise
        if self._checkpoint is not None:
            self._checkpoint.calls.call_time.seconds = None
        if not going:
            self._incremental = None
        if going is None:
            self.run(1, feeds, tapes=tapes)

    def state(self, apart: bool = False) -> dict[str, Any]:
        """All that later steps depend on, as values.

        With `apart` functions are copies that share nothing with those of this execution. Raises
        `SimulationError` naming what cannot be copied.
        """
        if self._checkpoint is not None:
            self._checkpoint.roll_back(self.step)
        kernels = [kernel.state() for kernel in self._kernels if not kernel.stateless]
        functions = self._functions.state(apart)
        return {"step": self.step, "kernels": kernels, "functions": functions}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state of this execution, or of another one of the same program and batch."""
        holding = (kernel for kernel in self._kernels if not kernel.stateless)
        for kernel, one in zip(holding, state["kernels"], strict=True):
            kernel.restore(one)
        self._functions.restore(state["functions"])
        self.step, self._incremental = state["step"], None
        if self._checkpoint is not None:
            self._checkpoint.clear()

    def _begin(self) -> None:
        """Resume where the last run ended early, and pick up functions that nodes were given."""
        checkpoint = self._checkpoint
        if checkpoint is not None and (checkpoint.ended or checkpoint.at(self.step)):
            checkpoint.roll_back_failed(self.step)
            checkpoint.resume(self._functions)
        self._functions.check()

    def _mark(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.mark(self.step)

    def _roll_back(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.roll_back_failed(self.step)
        self._incremental = None  # its prepared steps no longer match the kernels' state

    def _prepare_incremental(self, feeds: Feeds) -> None:
        """Make an incremental runner, if it is faster and needs so little memory that one check
        before the first step is enough.
        """
        (chunk,) = self._chunks
        for node in feeds:
            self.program.check_fed(node)
        self._may_increment = can_run_incrementally(self._plan)
        if not self._may_increment:
            return
        with self.engine.run_context():
            given = self.program, self._plan, chunk.kernels, self.batch, self._functions
            made = IncrementalRunner(*given, feeds=feeds)
            self._may_increment = made.is_faster
            if self._may_increment:
                self._fitting_block(1, made.constant)
                key = (1, frozenset(made.constant.items()))
                self._may_increment = key in self._block_sizes
        self._incremental = made if self._may_increment else None

    def _start_run(self, steps: int, feeds: Feeds | None) -> _Run:
        """A run that begins: its sources, its constants, and arrays for its recordings."""
        sources = {
            op: self.engine.source(op, self.program, self._source_output(op, feeds), self.step)
            for op in self._sources
        }
        constant = _read(sources, True, 0, 1)
        constants = [
            compute_constants(self._plan, chunk.kernels, chunk.of(constant))
            for chunk in self._chunks
        ]
        samples = {s: sum(len(one[s]) for one in constants) for s in constants[0]}
        block = self._fitting_block(steps, samples)
        recorder = Recorder(self.program, self.engine, self.batch, self.step, steps)
        return _Run(self.step, block, sources, constants, recorder)

    def _source_output(self, op: NodeSource, feeds: Feeds | None) -> Given:
        """The values or the function that replace a node's output in a run, if any."""
        fed = None if feeds is None else feeds.get(op.node)
        return self._functions.of_source(op.node) if fed is None else fed

    def _advance(
        self, run: _Run, steps: int, progress: Callable[[int], None] | None, last: bool
    ) -> None:
        """Run all blocks of steps."""
        while self.step < run.first + steps:
            count = min(run.block, run.first + steps - self.step)
            if last and self.step + count == run.first + steps:
                self._conclude()
            self._run_block(run, count)
            if progress is not None:
                progress(count)

    def _run_block(self, run: _Run, count: int) -> None:
        """Run one block; `step` advances only once all of it is done."""
        self._mark()
        run.count = count
        done = self.step - run.first
        read = _read(run.sources, False, done, count)
        for chunk, known in zip(self._chunks, run.constants, strict=True):
            values = {**known, **chunk.of(read)}
            for stage in self._plan.stages:
                chunk.run(stage.component, values, self.step, count)
                run.recorder.record(stage.recorded, values, done, chunk.samples, count)
                for s in stage.dropped:
                    values.pop(s, None)
        if self._checkpoint is not None:
            self._checkpoint.calls.call_time.seconds = None
        self.step += count

    def _recover(self, run: _Run, error: BaseException) -> None:
        """Roll back a run that ended early; a bisection finds the step that fails."""
        if self._checkpoint is None:
            return
        todo = run.count if self._checkpoint.at(self.step) else 0
        self._roll_back()
        while todo > 1 and isinstance(error, Exception):
            try:
                self._run_block(run, todo // 2)
                todo -= todo // 2
            except Exception:
                self._roll_back()
                todo //= 2
            except BaseException:
                self._roll_back()
                raise

    def _conclude(self) -> None:
        for chunk in self._chunks:
            for kernel in chunk.kernels.values():
                kernel.conclude()

    def totals(self) -> dict[Ensemble, NDArray]:
        """Outputs of each neuron of the tallied populations since the start, `(batch, *shape)`.

        Spikes of both signs count; for rate neurons it is the sum over steps of the magnitude of
        the rate in Hz.
        """
        return {ensemble: totals.sent for ensemble, totals in self.summed().items()}

    def summed(self) -> dict[Ensemble, Totals]:
        """The totals of the tallied populations, with and without the sign of each spike.

        Raises `SimulationError` for numbers of spikes that cannot be counted.
        """
        found: dict[Ensemble, Totals] = {}
        array = self.engine.arrays(self.program).numpy
        for chunk in self._chunks:
            for op, kernel in chunk.kernels.items():
                for ensemble, sums in zip(op.populations, kernel.totals(), strict=False):
                    if ensemble not in self._prepared_run.tally:
                        continue
                    sent, net = array(sums.sent), array(sums.net)
                    alone = chunk.size == self.batch
                    whole = Totals.without_copy(ensemble, self.step, sent, net) if alone else None
                    if whole is None:
                        whole = found.get(ensemble) or Totals.empty(ensemble, self.batch, self.step)
                        whole.put(chunk.samples, sent, net)
                    found[ensemble] = whole
        return found

    def learned(self) -> dict[Learned, NDArray]:
        """The present weights `(batch, out, in)` of every operator that learns."""
        found: dict[Learned, NDArray] = {}
        array = self.engine.arrays(self.program).numpy
        for chunk in self._chunks:
            for kernel in chunk.kernels.values():
                for op, weights in kernel.learned().items():
                    if op not in found:
                        found[op] = np.empty((self.batch, *op.initial.shape))
                    found[op][chunk.samples] = array(weights)
        return found

    def _fitting_block(self, steps: int, constants: Mapping[int, int]) -> int:
        """The steps of a block: the engine's choice, or fewer where memory is short.

        `constants` are as in `PreparedRun.running`. Raises `SimulationError` where memory does not
        suffice for `steps` steps, one at a time.
        """
        key = steps, frozenset(constants.items())
        if key in self._block_sizes:
            return self._block_sizes[key]
        block = self._block or self._prepared_run.block_steps(constants)
        if steps == 0:
            return block
        memory = self._prepared_run.running(self.step, steps, block, constants)
        small = memory.bytes < SMALL
        fixed = self._block is not None or self.program.whole_steps is not None
        while not fixed and block > 1 and not self._fits(memory):
            block = min(block, steps) // 2 or 1
            memory = self._prepared_run.running(self.step, steps, block, constants)
        self._require(memory, f"{self.batch} samples and {steps} steps")
        if small:
            self._block_sizes[key] = block
        return block

    def _fits(self, memory: MemoryNeed) -> bool:
        return all(free is None or need.bytes <= free for need, free, _ in self._by_memory(memory))

    def _require(self, memory: MemoryNeed, what: str) -> None:
        for need, free, where in self._by_memory(memory):
            need.require(free, f"a run of {what} on the {self.engine.name} engine{where}")

    def _by_memory(self, memory: MemoryNeed) -> Sequence[tuple[MemoryNeed, int | None, str]]:
        """What is needed of the machine's memory and of a device's, each with its free bytes."""
        on_device, free = self.engine.device_memory(), available_for(memory.bytes)
        if on_device is None:
            return [(memory, free, "")]
        device, machine = ("weights", "state", "signals", "work"), ("recording", "totals")
        return [
            (memory.only(*device), on_device, " and its device"),
            (memory.only(*machine), free, ""),
        ]


@dataclass
class _Run:
    """A run after step `first`: steps of a block, sources, constants by chunk, recordings.

    `count` is the number of steps of the present block.
    """

    first: int
    block: int
    sources: Mapping[NodeSource, Kernel]
    constants: Sequence[dict[int, Array]]
    recorder: Recorder
    count: int = 0

    def deliver(self, tapes: Sequence[Tape], step: int) -> None:
        """Append the recordings up to a step to the tapes, where they are missing."""
        whole = self.recorder.until(step - self.first)
        for tape, array in zip(tapes, whole if tapes else (), strict=True):
            tape.extend(array, step)


def _read(
    sources: Mapping[NodeSource, Kernel], constant: bool, done: int, count: int
) -> dict[int, Array]:
    """The values of all constant, or all changing, sources; `done` counts steps of this run."""
    return {
        op.output: kernel.run([], done, count)[0]
        for op, kernel in sources.items()
        if kernel.stateless is constant
    }
