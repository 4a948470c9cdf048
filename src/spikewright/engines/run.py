"""Running a program: blocks of time, chunks of samples, components in order, loops step by step.

This is the same for every engine; kernels differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Array, Call, Engine, Feeds, Kernel
from spikewright.engines.memory import Memory, available, lately_available
from spikewright.engines.needs import Setting, last_readers
from spikewright.engines.program import Component, Learned, Operator, Program, Source
from spikewright.engines.python_steps import Functions
from spikewright.engines.recording import Recorder, Tape
from spikewright.engines.restarting import restarting
from spikewright.engines.stepping import Stepper, constants_of
from spikewright.engines.totals import Totals
from spikewright.network import Ensemble

# Bytes of a run for which memory need not be looked at every time; their share of what was left.
_SMALL, _SMALL_SHARE = 64 * 2**20, 32


class Execution:
    """A program with run state: `run` advances it.

    `batch` samples run side by side, independently. `tally` names the populations whose spikes are
    summed per neuron. `block` and `chunk` fix the number of steps and of samples worked on at once
    (None: the engine's choice); they change speed, never results beyond the engine's `bound`.
    """

    def __init__(
        self,
        program: Program,
        engine: Engine,
        batch: int = 1,
        tally: Iterable[Ensemble] = (),
        block: int | None = None,
        chunk: int | None = None,
    ) -> None:
        self.program, self.engine, self.batch = program, engine, batch
        self.step = 0
        self._setting = Setting.of(program, engine, batch, frozenset(tally), chunk)
        begun = Memory((*self._setting.state(), *self._setting.missing()))
        self._fit(begun, f"{batch} samples")
        self._block, self._plan = block, self._setting.program
        self._sources = [op for op in self._plan.operators if isinstance(op, Source)]
        self._stages = _stages(self._plan)
        self._parts = _parts(self._setting)
        kernels = [kernel for part in self._parts for kernel in part.kernels.values()]
        steps = [step for kernel in kernels for step in kernel.python_steps()]
        self._functions = Functions(steps, program.operators, batch)
        self._known: set[tuple[int, int, frozenset[int]]] = set()
        self._blocks: dict[frozenset[int], int] = {}
        self._stepper: Stepper | None = None
        self._steps = len(self._parts) == 1  # whether a stepper may do single steps

    def run(
        self,
        steps: int,
        feeds: Feeds | None = None,
        progress: Callable[[int], None] | None = None,
        *,
        last: bool = False,
    ) -> list[NDArray]:
        """Advance by `steps` steps; returns one array `(batch, samples, *shape)` per recording.

        `feeds` replaces the output of constant nodes by `(batch, steps or 1, *shape)`; `progress`
        is called with the number of steps done after every block. No run follows a `last` one, so
        that only totals are kept. Raises `SimulationError` before anything is computed where memory
        does not suffice.
        """
        for node in feeds or ():
            self.program.check_fed(node)
        self._functions.check()
        with self.engine.working():
            return self._run(steps, feeds, progress, last)

    def advance(self, tapes: Sequence[Tape]) -> None:
        """Advance by one step without feeds; what is recorded goes to `tapes`, one a recording.

        The rest is as in `run`.
        """
        self._functions.check()
        if self._stepper is None and self._steps:
            self._prepare()
        going = None if self._stepper is None else self._stepper.step(self.step, tapes)
        if not going:
            self._stepper = None
        if going is not None:
            self.step += 1
            return
        for tape, array in zip(tapes, self.run(1), strict=True):
            tape.add(array)

    def _prepare(self) -> None:
        """Make a stepper, if there is one and its memory need not be looked at again and again."""
        (part,) = self._parts
        with self.engine.working():
            made = Stepper.of(self.program, self._plan, part.kernels, self.batch)
            known = frozenset() if made is None else made.constant
            self._steps = made is not None and (1, self._fitting(1, known), known) in self._known
        self._stepper = made if self._steps else None

    def _run(
        self,
        steps: int,
        feeds: Feeds | None,
        progress: Callable[[int], None] | None,
        last: bool,
    ) -> list[NDArray]:
        sources = {
            op: self.engine.source(
                op, self.program, None if feeds is None else feeds.get(op.node), self.step
            )
            for op in self._sources
        }
        constant = _read(sources, True, 0, 1)
        constants = [
            constants_of(self._plan, part.kernels, part.of(constant)) for part in self._parts
        ]
        block = self._fitting(steps, constants[0])
        recorder = Recorder(self.program, self.engine, self.batch, self.step, steps)
        done = 0
        while done < steps:
            count = min(block, steps - done)
            if last and done + count == steps:
                self._conclude()
            read = _read(sources, False, done, count)
            for part, known in zip(self._parts, constants, strict=True):
                values = {**known, **part.of(read)}
                for stage in self._stages:
                    self._run_component(part, stage.component, values, count)
                    recorder.take(stage.recorded, values, done, part.samples)
                    for s in stage.dropped:
                        values.pop(s, None)
            self.step += count
            done += count
            if progress is not None:
                progress(count)
        return recorder.arrays

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
        array = self.engine.to_numpy
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
        for part in self._parts:
            for kernel in part.kernels.values():
                for op, weights in kernel.learned().items():
                    if op not in found:
                        found[op] = np.empty((self.batch, *op.initial.shape))
                    found[op][part.samples] = self.engine.to_numpy(weights)
        return found

    def _fitting(self, steps: int, constants: Iterable[int]) -> int:
        """Steps at a time: the engine's choice, or fewer where memory is short.

        Raises `SimulationError` where memory does not suffice for `steps` steps, one at a time.
        """
        known = frozenset(constants)
        if known not in self._blocks:
            self._blocks[known] = self._block or self._setting.block_steps(known)
        block = self._blocks[known]
        if steps == 0 or (steps, block, known) in self._known:
            return block
        memory = self._setting.running(self.step, steps, block, known)
        if memory.bytes < _SMALL:
            self._known.add((steps, block, known))
        while self._block is None and block > 1 and not self._fits(memory):
            block = min(block, steps) // 2 or 1
            memory = self._setting.running(self.step, steps, block, known)
        self._fit(memory, f"{self.batch} samples and {steps} steps")
        return block

    def _fits(self, memory: Memory) -> bool:
        return all(room is None or part.bytes <= room for part, room, _ in self._rooms(memory))

    def _fit(self, memory: Memory, what: str) -> None:
        for part, room, where in self._rooms(memory):
            part.require(room, f"a run of {what} on the {self.engine.name} engine{where}")

    def _rooms(self, memory: Memory) -> Sequence[tuple[Memory, int | None, str]]:
        """Parts of memory and the bytes that hold them: of the machine, and of a device if any."""
        room, left = self.engine.device_room(), available
        if memory.bytes < max(_SMALL, (lately_available() or 0) // _SMALL_SHARE):
            left = lately_available
        if room is None:
            return [(memory, left(), "")]
        device, machine = ("weights", "state", "signals", "work"), ("recording", "totals")
        return [
            (memory.only(*device), room, " and its device"),
            (memory.only(*machine), left(), ""),
        ]

    def _run_component(
        self, part: _Part, component: Component, values: dict[int, Array], count: int
    ) -> None:
        if component.loops:
            self._run_loop(part, component, values, count)
            return
        (op,) = component.operators
        if op.output in values:
            return
        outputs = part.kernels[op].run([values[s] for s in op.inputs], self.step, count)
        values.update(zip(op.outputs, outputs, strict=True))

    def _run_loop(
        self, part: _Part, component: Component, values: dict[int, Array], count: int
    ) -> None:
        """Step by step: filters emit first and absorb last, the rest runs in between.

        It runs several steps at once where the outputs of all filters are known already.
        """
        kernels = {op: part.kernels[op] for op in component.operators}
        shapes = self.program.shapes
        for op in component.operators:
            for s in op.outputs:
                values[s] = self.engine.empty(self.program, part.size, count, shapes[s])
        calls = self._calls(kernels, values)
        t = 0
        while t < count:
            ahead = 1 if component.in_turn else min(kernel.ahead for kernel in kernels.values())
            now = min(count - t, ahead)
            self._loop_once(kernels, calls, values, t, now)
            t += now

    def _calls(
        self, kernels: Mapping[Operator, Kernel], values: Mapping[int, Array]
    ) -> dict[Operator, Call]:
        """Functions of a step of a block, of operators that fill arrays by themselves."""
        found: dict[Operator, Call] = {}
        for op, kernel in kernels.items():
            made = values[op.output].swapaxes(0, 1)
            call = kernel.into([values[s] for s in op.inputs], [made])
            if call is not None:
                found[op] = call
        return found

    def _loop_once(
        self,
        kernels: Mapping[Operator, Kernel],
        calls: Mapping[Operator, Call],
        values: dict[int, Array],
        t: int,
        now: int,
    ) -> None:
        """Steps `t` to `t + now` of a loop."""
        at: dict[int, Array] = {}

        def read(s: int) -> Array:
            if s in at:
                return at[s]
            value = values[s]
            return value if value.shape[1] == 1 else value[:, t : t + now]

        for op, kernel in kernels.items():
            if now == 1 and op in calls:
                calls[op](t, self.step + t)
                continue
            outputs = kernel.begin([read(s) for s in op.prompt], self.step + t, now)
            for s, output in zip(op.outputs, outputs, strict=False):
                values[s][:, t : t + now] = output
                # What waits changes in place; of all else its readers see the kernel's own.
                at[s] = output if op.prompt else values[s][:, t : t + now]
        for op, kernel in kernels.items():
            if op.prompt != op.inputs:
                late = kernel.end([read(s) for s in op.inputs])
                for s, output in zip(op.outputs[len(op.outputs) - len(late) :], late, strict=True):
                    values[s][:, t : t + now] = output


class _Stage(NamedTuple):
    """A component, the recordings of what it makes, by signal and number, and the signals that
    nothing later in a block reads.
    """

    component: Component
    recorded: tuple[tuple[int, int], ...]
    dropped: tuple[int, ...]


def _stages(program: Program) -> list[_Stage]:
    """A program's components in order."""
    readers = last_readers(program)
    recordings: dict[int, list[int]] = {}
    for number, recording in enumerate(program.recordings):
        recordings.setdefault(recording.signal, []).append(number)
    stages = []
    for component in program.components:
        made = [s for op in component.operators for s in op.outputs]
        read = [s for op in component.operators for s in op.inputs]
        recorded = tuple((s, number) for s in made for number in recordings.get(s, ()))
        dropped = (s for s in (*read, *made) if readers.get(s, component) is component)
        stages.append(_Stage(component, recorded, tuple(dict.fromkeys(dropped))))
    return stages


class _Part:
    """Some samples of the batch, and the kernels that hold their state."""

    def __init__(self, samples: slice, kernels: dict[Operator, Kernel]) -> None:
        self.samples, self.kernels = samples, kernels
        self.size = samples.stop - samples.start

    def of(self, values: Mapping[int, Array]) -> dict[int, Array]:
        """These samples of values of the whole batch (or of one sample that stands for all)."""
        return {s: v if v.shape[0] == 1 else v[self.samples] for s, v in values.items()}


def _parts(setting: Setting) -> list[_Part]:
    """The batch cut into chunks; kernels without state serve all of them."""
    parts: list[_Part] = []
    program, engine = setting.program, setting.engine
    for start in range(0, setting.batch, setting.chunk):
        samples = slice(start, min(start + setting.chunk, setting.batch))
        kernels: dict[Operator, Kernel] = {}
        for op in program.operators:
            if isinstance(op, Source):
                continue
            shared = parts[0].kernels[op] if parts else None
            if shared is not None and shared.stateless:
                kernels[op] = shared
            else:
                size = samples.stop - samples.start
                kernel = engine.kernel(op, program, size, setting.tallied(op))
                kernels[op] = restarting(kernel, op, program, engine, size)
        parts.append(_Part(samples, kernels))
    return parts


def _read(
    sources: Mapping[Source, Kernel], constant: bool, done: int, count: int
) -> dict[int, Array]:
    """Values of constant or changing sources; `done` counts the steps of this run."""
    return {
        op.output: kernel.run([], done, count)[0]
        for op, kernel in sources.items()
        if kernel.stateless is constant
    }
