"""Blocks of steps: some samples of a batch, the kernels with their state, and how these run one.

From a block that fails the execution returns to where it began, and can go on.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from spikewright._base.process import outside
from spikewright.engines.kernel import Array, Call, Kernel
from spikewright.engines.kernels import restarting
from spikewright.engines.needs import PreparedRun
from spikewright.engines.operators import NodeSource, Operator
from spikewright.engines.program import Component
from spikewright.engines.python_steps import Functions, keeping
from spikewright.engines.recalling import Calls


class Part:
    """Some samples of the batch, and the kernels that hold their state."""

    def __init__(
        self, samples: slice, kernels: dict[Operator, Kernel], setting: PreparedRun
    ) -> None:
        self.samples, self.kernels = samples, kernels
        self.size = samples.stop - samples.start
        self._program, self._engine = setting.given, setting.engine

    def of(self, values: Mapping[int, Array]) -> dict[int, Array]:
        """These samples of values of the whole batch (or of one sample that stands for all)."""
        return {s: v if v.shape[0] == 1 else v[self.samples] for s, v in values.items()}

    def run(self, component: Component, values: dict[int, Array], step: int, count: int) -> None:
        """Advance a component by `count` steps after step `step`, from signals to signals."""
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
        """Step by step: filters emit first and absorb last, the rest runs in between.

        It runs several steps at once where the outputs of all filters are known already.
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


def parts_of(setting: PreparedRun) -> list[Part]:
    """The batch cut into chunks; kernels without state serve all of them."""
    parts: list[Part] = []
    program, engine = setting.program, setting.engine
    for start in range(0, setting.batch, setting.chunk):
        samples = slice(start, min(start + setting.chunk, setting.batch))
        kernels: dict[Operator, Kernel] = {}
        for op in program.operators:
            if isinstance(op, NodeSource):
                continue
            shared = parts[0].kernels[op] if parts else None
            if shared is not None and shared.stateless:
                kernels[op] = shared
            else:
                size = samples.stop - samples.start
                kernel = engine.kernel(op, program, size, setting.tallied(op))
                kernels[op] = restarting(kernel, op, program, engine, size)
        parts.append(Part(samples, kernels, setting))
    return parts


def _calls(kernels: Mapping[Operator, Kernel], values: Mapping[int, Array]) -> dict[Operator, Call]:
    """Functions of a step of a block, of operators that fill arrays by themselves."""
    found: dict[Operator, Call] = {}
    for op, kernel in kernels.items():
        made = values[op.output].swapaxes(0, 1)
        call = kernel.into([values[s] for s in op.inputs], [made])
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
    """Steps `t` to `t + now` of a loop, in a block behind step `step`."""
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
        outputs = kernel.begin([read(s) for s in op.prompt], step + t, now)
        for s, output in zip(op.outputs, outputs, strict=False):
            values[s][:, t : t + now] = output
            # What waits changes in place; of all else its readers see the kernel's own.
            at[s] = output if op.prompt else values[s][:, t : t + now]
    for op, kernel in kernels.items():
        if op.prompt != op.inputs:
            late = kernel.end([read(s) for s in op.inputs])
            for s, output in zip(op.outputs[len(op.outputs) - len(late) :], late, strict=True):
                values[s][:, t : t + now] = output


class Resuming:
    """The state of kernels at the start of a block, and the answers of functions since then.

    `operators` are those of the program.
    """

    def __init__(self, kernels: Sequence[Kernel], operators: Sequence[Operator]) -> None:
        self._kernels = [kernel for kernel in kernels if not kernel.stateless]
        self._operators = operators
        self.calls = Calls()
        self._step: int | None = None  # that of the mark; None while there is none
        self._again: set[str] = set()  # labels of what counts some steps twice
        self.ended = False  # whether a run ended early and none has gone on

    def mark(self, step: int) -> None:
        """Note the state after step `step`."""
        self._step = None
        for kernel in self._kernels:
            kernel.mark()
        self.calls.mark()
        self._step = step

    def forget(self) -> None:
        """Leave out all that was noted: kernels have another state now."""
        self._step, self.ended, self._again = None, False, set()

    def at(self, step: int) -> bool:
        """Whether the mark is at `step`: the block behind it is not done."""
        return self._step == step

    def settle(self, step: int) -> bool:
        """Return to the mark if it is at `step`; whether it is."""
        self.calls.moment.time = None
        if not self.at(step):
            return False
        for kernel in self._kernels:
            kernel.rewind()
        self.calls.rewind()
        return True

    def failed(self, step: int) -> None:
        """The same of a run that ended early."""
        self.ended = True
        if self.settle(step):
            self._again.update(keeping(self._operators))

    def go_on(self, functions: Functions) -> None:
        """Call functions again that failed; warns where steps count twice for what they keep."""
        self._again.update(functions.failed())
        functions.forgive()
        try:  # a signal before the end of the warning leaves it for the next run
            if self._again:
                warnings.warn(
                    f"{', '.join(sorted(self._again))}: the last run ended within a step, which is "
                    "run again; what is kept there outside the network counts it twice",
                    stacklevel=outside(),
                )
        except Warning:  # where warnings are errors, it is one once
            self._again, self.ended = set(), False
            raise
        self._again, self.ended = set(), False
