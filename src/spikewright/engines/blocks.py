"""Blocks of steps: running one on a chunk of the batch, and returning to its start if it fails."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from spikewright._base.process import outside
from spikewright.engines.kernel import Array, Call, Kernel
from spikewright.engines.kernels import with_periodic_reset
from spikewright.engines.memory_estimate import PreparedRun
from spikewright.engines.operators import NodeSource, Operator
from spikewright.engines.program import Component
from spikewright.engines.python_steps import Functions, labels_with_state
from spikewright.engines.replay import CallLog


class BatchChunk:
    """A chunk of the batch: a slice of its samples, and the kernels that hold their state."""

    def __init__(
        self, samples: slice, kernels: dict[Operator, Kernel], prepared: PreparedRun
    ) -> None:
        self.samples, self.kernels = samples, kernels
        self.size = samples.stop - samples.start
        self._program, self._engine = prepared.given, prepared.engine

    def of(self, values: Mapping[int, Array]) -> dict[int, Array]:
        """This chunk's samples of the values of the whole batch (or of one shared sample)."""
        return {s: v if v.shape[0] == 1 else v[self.samples] for s, v in values.items()}

    def run(self, component: Component, values: dict[int, Array], step: int, count: int) -> None:
        """Advance a component by `count` steps after step `step`; adds its outputs to `values`."""
        if component.loops:
            self._run_loop(component, values, step, count)
            return
        (op,) = component.operators
        if op.output in values:
            return
        outputs = self.kernels[op].run([values[s] for s in op.inputs], step, count)
        values.update(zip(op.outputs, outputs, strict=True))

    def _run_loop(
        self, component: Component, values: dict[int, Array], step: int, count: int
    ) -> None:
        """Run a loop step by step: filters emit first and absorb last, the rest is in between.

        Several steps run at once where the outputs of all filters are known already.
        """
        kernels = {op: self.kernels[op] for op in component.operators}
        shapes, empty = self._program.shapes, self._engine.arrays(self._program).empty
        for op in component.operators:
            for s in op.outputs:
                values[s] = empty((self.size, count, *shapes[s]))
        calls = _calls(kernels, values)
        t = 0
        while t < count:
            ahead = 1 if component.in_turn else min(kernel.ahead for kernel in kernels.values())
            now = min(count - t, ahead)
            _loop_once(kernels, calls, values, step, t, now)
            t += now


def chunks_of(prepared: PreparedRun) -> list[BatchChunk]:
    """Split the batch into chunks; they share the kernels without state."""
    chunks: list[BatchChunk] = []
    program, engine = prepared.program, prepared.engine
    for start in range(0, prepared.batch, prepared.chunk):
        samples = slice(start, min(start + prepared.chunk, prepared.batch))
        kernels: dict[Operator, Kernel] = {}
        for op in program.operators:
            if isinstance(op, NodeSource):
                continue
            shared = chunks[0].kernels[op] if chunks else None
            if shared is not None and shared.stateless:
                kernels[op] = shared
            else:
                size = samples.stop - samples.start
                kernel = engine.kernel(op, program, size, prepared.tallied(op))
                kernels[op] = with_periodic_reset(kernel, op, program, engine, size)
        chunks.append(BatchChunk(samples, kernels, prepared))
    return chunks


def _calls(kernels: Mapping[Operator, Kernel], values: Mapping[int, Array]) -> dict[Operator, Call]:
    """The functions of those kernels that write a step's output into an array themselves."""
    found: dict[Operator, Call] = {}
    for op, kernel in kernels.items():
        made = values[op.output].swapaxes(0, 1)
        call = kernel.output_writer([values[s] for s in op.inputs], [made])
        if call is not None:
            found[op] = call
    return found


def _loop_once(
    kernels: Mapping[Operator, Kernel],
    calls: Mapping[Operator, Call],
    values: dict[int, Array],
    step: int,
    t: int,
    now: int,
) -> None:
    """Run steps `t` to `t + now` of a loop, in a block that follows step `step`."""
    at: dict[int, Array] = {}

    def read(s: int) -> Array:
        if s in at:
            return at[s]
        value = values[s]
        return value if value.shape[1] == 1 else value[:, t : t + now]

    for op, kernel in kernels.items():
        if now == 1 and op in calls:
            calls[op](t, step + t)
            continue
        outputs = kernel.begin([read(s) for s in op.immediate_inputs], step + t, now)
        for s, output in zip(op.outputs, outputs, strict=False):
            values[s][:, t : t + now] = output
            # A delayed output changes in place, so that its readers get the copy; all others get
            # the kernel's own array.
            at[s] = output if op.immediate_inputs else values[s][:, t : t + now]
    for op, kernel in kernels.items():
        if op.immediate_inputs != op.inputs:
            late = kernel.end([read(s) for s in op.inputs])
            for s, output in zip(op.outputs[len(op.outputs) - len(late) :], late, strict=True):
                values[s][:, t : t + now] = output


class BlockCheckpoint:
    """The state at the start of a block: that of kernels, and the calls of functions since then.

    `operators` are those of the program.
    """

    def __init__(self, kernels: Sequence[Kernel], operators: Sequence[Operator]) -> None:
        self._kernels = [kernel for kernel in kernels if not kernel.stateless]
        self._operators = operators
        self.calls = CallLog()
        self._step: int | None = None  # of the mark; None while there is none
        self._repeated: set[str] = set()  # labels of operators that saw some steps twice
        self.ended = False  # whether a run ended early and was not resumed

    def mark(self, step: int) -> None:
        """Save the state after step `step`."""
        self._step = None
        for kernel in self._kernels:
            kernel.mark()
        self.calls.mark()
        self._step = step

    def clear(self) -> None:
        """Delete the saved state: kernels have been given another one."""
        self._step, self.ended, self._repeated = None, False, set()

    def at(self, step: int) -> bool:
        """Whether the mark is at `step`: the block after it is not done."""
        return self._step == step

    def roll_back(self, step: int) -> bool:
        """Return to the mark if it is at `step`; returns whether it is."""
        self.calls.call_time.seconds = None
        if not self.at(step):
            return False
        for kernel in self._kernels:
            kernel.rewind()
        self.calls.rewind()
        return True

    def roll_back_failed(self, step: int) -> None:
        """Roll back a run that ended early."""
        self.ended = True
        if self.roll_back(step):
            self._repeated.update(labels_with_state(self._operators))

    def resume(self, functions: Functions) -> None:
        """Let functions that failed be called again; warns of state that sees a step twice."""
        self._repeated.update(functions.failed())
        functions.clear_error()
        try:  # if an interrupt comes before the end of the warning, the next run gives it
            if self._repeated:
                warnings.warn(
                    f"{', '.join(sorted(self._repeated))}: the last run ended within a step, and "
                    "that step is run again; state kept outside the network sees it twice",
                    stacklevel=outside(),
                )
        except Warning:  # where warnings are errors, it is raised only once
            self._repeated, self.ended = set(), False
            raise
        self._repeated, self.ended = set(), False
