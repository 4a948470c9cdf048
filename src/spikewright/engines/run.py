"""Running a program: blocks of time, chunks of samples, components in order, loops step by step.

This is the same for every engine; kernels differ.
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
from spikewright.engines.blocks import Resuming, parts_of
from spikewright.engines.kernel import Array, Kernel
from spikewright.engines.memory import SMALL, MemoryNeed, available_for, running_out
from spikewright.engines.needs import PreparedRun
from spikewright.engines.operators import NodeSource
from spikewright.engines.populations import Learned
from spikewright.engines.program import Program
from spikewright.engines.python_steps import Functions
from spikewright.engines.recording import Recorder, Tape
from spikewright.engines.sources import Given
from spikewright.engines.stepping import Stepper, can_step, constants_of
from spikewright.engines.totals import Totals
from spikewright.network import Ensemble


class Execution:
    """A program with run state: `run` advances it.

    `batch` samples run side by side, independently. `tally` names the populations whose spikes are
    summed per neuron. `block` and `chunk` fix the number of steps and of samples worked on at once
    (None: the engine's choice); they change speed, never results beyond the engine's `bound`. One
    that is `resumable` can go on after a run that was interrupted or failed.
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
        self._setting = PreparedRun(
            program, engine, batch, frozenset(tally), chunk, resumable=resumable
        )
        begun = MemoryNeed((*self._setting.state(), *self._setting.missing()))
        self._fit(begun, f"{batch} samples")
        self._block, self._plan = block, self._setting.program
        self._sources = [op for op in self._plan.operators if isinstance(op, NodeSource)]
        with running_out(f"{engine.name} engine"):
            self._parts = parts_of(self._setting)
        give_back(*(array for op in program.operators for array in arrays_of(op)))
        kernels = [kernel for part in self._parts for kernel in part.kernels.values()]
        self._kernels = list(dict.fromkeys(kernels))
        steps = [step for kernel in self._kernels for step in kernel.python_steps()]
        self._resuming = Resuming(self._kernels, program.operators) if resumable else None
        calls = None if self._resuming is None else self._resuming.calls
        self._functions = Functions(steps, program.operators, batch, calls)
        self._known: dict[tuple[int, frozenset[tuple[int, int]]], int] = {}  # blocks of small runs
        self._stepper: Stepper | None = None
        self._steps = len(self._parts) == 1  # whether a stepper may do single steps

    @property
    def now(self) -> int:
        """Steps done so far; while a function is called for a step, those before it."""
        time = None if self._resuming is None else self._resuming.calls.moment.time
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
        is called with the number of steps done after every block. No run follows a `last` one, so
        that only totals are kept. What is recorded is added to `tapes`, one a recording, if there
        are any. Raises `SimulationError` before anything is computed where memory does not suffice.

        If it is interrupted, a resumable execution is at the start of the block that was not done;
        if a step fails, it is before that step. The tapes hold all up to there.
        """
        for node in feeds or ():
            self.program.check_fed(node)
        self._begin()
        with running_out(f"{self.engine.name} engine"), self.engine.working():
            run = self._prepared(steps, feeds)
            try:
                self._advance(run, steps, progress, last)
                run.deliver(tapes, self.step)
            except BaseException as error:
                self._recover(run, error)
                run.deliver(tapes, self.step)
                raise
        return run.recorder.arrays

    def follow(self, feeds: Feeds) -> list[NDArray]:
        """As `run` of one step, for steps that follow each other with `feeds` of their own."""
        tapes = [Tape.of(self.program, one, self.batch) for one in self.program.recordings]
        for tape in tapes:
            tape.clear(self.step)
        self.advance(tapes, feeds)
        return [tape.array().copy() for tape in tapes]  # without the room for more

    def advance(self, tapes: Sequence[Tape], feeds: Feeds = MappingProxyType({})) -> None:
        """Advance by one step; what is recorded goes to `tapes`, one a recording.

        The rest is as in `run`.
        """
        self._begin()
        if self._stepper is None and self._steps:
            self._prepare(feeds)
        if self._stepper is None:
            self.run(1, feeds, tapes=tapes)
            return
        try:
            self._mark()
            going = self._stepper.step(self.step, tapes, feeds)
            self.step += going is not None
        except BaseException:
            self._settle()
            for tape in tapes:
                tape.cut(self.step)
            raise
        if self._resuming is not None:
            self._resuming.calls.moment.time = None
        if not going:
            self._stepper = None
        if going is None:
            self.run(1, feeds, tapes=tapes)

    def state(self, apart: bool = False) -> dict[str, Any]:
        """All that later steps depend on, as values.

        With `apart` functions are copies that share nothing with this execution's. Raises
        `SimulationError` naming what cannot be copied.
        """
        if self._resuming is not None:
            self._resuming.settle(self.step)
        kernels = [kernel.state() for kernel in self._kernels if not kernel.stateless]
        functions = self._functions.state(apart)
        return {"step": self.step, "kernels": kernels, "functions": functions}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state of this execution, or of another one of the same program and batch."""
        holding = (kernel for kernel in self._kernels if not kernel.stateless)
        for kernel, one in zip(holding, state["kernels"], strict=True):
            kernel.restore(one)
        self._functions.restore(state["functions"])
        self.step, self._stepper = state["step"], None
        if self._resuming is not None:
            self._resuming.forget()

    def _begin(self) -> None:
        """Look for other functions, and see to what an earlier run has left."""
        resuming = self._resuming
        if resuming is not None and (resuming.ended or resuming.at(self.step)):
            resuming.failed(self.step)
            resuming.go_on(self._functions)
        self._functions.check()

    def _mark(self) -> None:
        if self._resuming is not None:
            self._resuming.mark(self.step)

    def _settle(self) -> None:
        if self._resuming is not None:
            self._resuming.failed(self.step)
        self._stepper = None  # its kernels may step in another way now

    def _prepare(self, feeds: Feeds) -> None:
        """Make a stepper, if there is one and its memory need not be looked at again and again."""
        (part,) = self._parts
        for node in feeds:
            self.program.check_fed(node)
        self._steps = can_step(self._plan)
        if not self._steps:
            return
        with self.engine.working():
            given = self.program, self._plan, part.kernels, self.batch, self._functions
            made = Stepper(*given, feeds=feeds)
            self._steps = made.pays
            if self._steps:
                self._fitting(1, made.constant)
                self._steps = (1, frozenset(made.constant.items())) in self._known
        self._stepper = made if self._steps else None

    def _prepared(self, steps: int, feeds: Feeds | None) -> _Run:
        """A run that begins: its sources, constants and room for recordings."""
        sources = {
            op: self.engine.source(op, self.program, self._given(op, feeds), self.step)
            for op in self._sources
        }
        constant = _read(sources, True, 0, 1)
        constants = [
            constants_of(self._plan, part.kernels, part.of(constant)) for part in self._parts
        ]
        samples = {s: sum(len(one[s]) for one in constants) for s in constants[0]}
        block = self._fitting(steps, samples)
        recorder = Recorder(self.program, self.engine, self.batch, self.step, steps)
        return _Run(self.step, block, sources, constants, recorder)

    def _given(self, op: NodeSource, feeds: Feeds | None) -> Given:
        """What stands for a node's output in a run."""
        fed = None if feeds is None else feeds.get(op.node)
        return self._functions.of_source(op.node) if fed is None else fed

    def _advance(
        self, run: _Run, steps: int, progress: Callable[[int], None] | None, last: bool
    ) -> None:
        """Block by block."""
        while self.step < run.first + steps:
            count = min(run.block, run.first + steps - self.step)
            if last and self.step + count == run.first + steps:
                self._conclude()
            self._do(run, count)
            if progress is not None:
                progress(count)

    def _do(self, run: _Run, count: int) -> None:
        """One block: all of it is done when `step` says so."""
        self._mark()
        run.count = count
        done = self.step - run.first
        read = _read(run.sources, False, done, count)
        for part, known in zip(self._parts, run.constants, strict=True):
            values = {**known, **part.of(read)}
            for stage in self._plan.stages:
                part.run(stage.component, values, self.step, count)
                run.recorder.take(stage.recorded, values, done, part.samples)
                for s in stage.dropped:
                    values.pop(s, None)
        if self._resuming is not None:
            self._resuming.calls.moment.time = None
        self.step += count

    def _recover(self, run: _Run, error: BaseException) -> None:
        """Leave a run that ended early as `run` says."""
        if self._resuming is None:
            return
        todo = run.count if self._resuming.at(self.step) else 0
        self._settle()
        while todo > 1 and isinstance(error, Exception):
            try:
                self._do(run, todo // 2)
                todo -= todo // 2
            except Exception:
                self._settle()
                todo //= 2
            except BaseException:
                self._settle()
                raise

    def _conclude(self) -> None:
        for part in self._parts:
            for kernel in part.kernels.values():
                kernel.conclude()

    def totals(self) -> dict[Ensemble, NDArray]:
        """Outputs of each neuron of the tallied populations since the start, `(batch, *shape)`.

        Spikes of either sign; of rate types the sum over steps of the rate in Hz, without its sign.
        """
        return {ensemble: totals.sent for ensemble, totals in self.summed().items()}

    def summed(self) -> dict[Ensemble, Totals]:
        """The totals, and the sums with the sign of each spike.

        Raises `SimulationError` for numbers of spikes that cannot be counted.
        """
        found: dict[Ensemble, Totals] = {}
        array = self.engine.arrays(self.program).numpy
        for part in self._parts:
            for op, kernel in part.kernels.items():
                for ensemble, sums in zip(op.populations, kernel.totals(), strict=False):
                    if ensemble not in self._setting.tally:
                        continue
                    sent, net = array(sums.sent), array(sums.net)
                    alone = part.size == self.batch
                    whole = Totals.told(ensemble, self.step, sent, net) if alone else None
                    if whole is None:
                        whole = found.get(ensemble) or Totals.empty(ensemble, self.batch, self.step)
                        whole.put(part.samples, sent, net)
                    found[ensemble] = whole
        return found

    def learned(self) -> dict[Learned, NDArray]:
        """The present weights `(batch, out, in)` of every operator that learns."""
        found: dict[Learned, NDArray] = {}
        array = self.engine.arrays(self.program).numpy
        for part in self._parts:
            for kernel in part.kernels.values():
                for op, weights in kernel.learned().items():
                    if op not in found:
                        found[op] = np.empty((self.batch, *op.initial.shape))
                    found[op][part.samples] = array(weights)
        return found

    def _fitting(self, steps: int, constants: Mapping[int, int]) -> int:
        """Steps at a time: the engine's choice, or fewer where memory is short.

        `constants` are as in `PreparedRun.running`. Raises `SimulationError` where memory does not
        suffice for `steps` steps, one at a time.
        """
        known = steps, frozenset(constants.items())
        if known in self._known:
            return self._known[known]
        block = self._block or self._setting.block_steps(constants)
        if steps == 0:
            return block
        memory = self._setting.running(self.step, steps, block, constants)
        small = memory.bytes < SMALL
        fixed = self._block is not None or self.program.whole_steps is not None
        while not fixed and block > 1 and not self._fits(memory):
            block = min(block, steps) // 2 or 1
            memory = self._setting.running(self.step, steps, block, constants)
        self._fit(memory, f"{self.batch} samples and {steps} steps")
        if small:
            self._known[known] = block
        return block

    def _fits(self, memory: MemoryNeed) -> bool:
        return all(room is None or part.bytes <= room for part, room, _ in self._rooms(memory))

    def _fit(self, memory: MemoryNeed, what: str) -> None:
        for part, room, where in self._rooms(memory):
            part.require(room, f"a run of {what} on the {self.engine.name} engine{where}")

    def _rooms(self, memory: MemoryNeed) -> Sequence[tuple[MemoryNeed, int | None, str]]:
        """Parts of memory and the bytes that hold them: of the machine, and of a device if any."""
        room, left = self.engine.device_room(), available_for(memory.bytes)
        if room is None:
            return [(memory, left, "")]
        device, machine = ("weights", "state", "signals", "work"), ("recording", "totals")
        return [
            (memory.only(*device), room, " and its device"),
            (memory.only(*machine), left, ""),
        ]


@dataclass
class _Run:
    """A run after step `first`: steps of a block, sources, constants of each part, recordings.

    `count` are the steps of the block that is being done.
    """

    first: int
    block: int
    sources: Mapping[NodeSource, Kernel]
    constants: Sequence[dict[int, Array]]
    recorder: Recorder
    count: int = 0

    def deliver(self, tapes: Sequence[Tape], step: int) -> None:
        """Add what was recorded up to a step to tapes that do not have it yet."""
        whole = self.recorder.until(step - self.first)
        for tape, array in zip(tapes, whole if tapes else (), strict=True):
            tape.extend(array, step)


def _read(
    sources: Mapping[NodeSource, Kernel], constant: bool, done: int, count: int
) -> dict[int, Array]:
    """Values of constant or changing sources; `done` counts the steps of this run."""
    return {
        op.output: kernel.run([], done, count)[0]
        for op, kernel in sources.items()
        if kernel.stateless is constant
    }
