"""Callbacks from a native loop to Python, for operators that have no native kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.kernel import Array, Call, Kernel
from spikewright.engines.native.buffers import Buffers
from spikewright.engines.operators import Apply, Generate, Operator
from spikewright.engines.populations import Learned
from spikewright.engines.program import Program
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.totals import Sums

HostCall = tuple[Callable[[int], None], list[NDArray], list[NDArray]]
"""A function of the step of a run, the arrays that it reads, and those that it writes by step."""


def add_host_callback(b: Buffers, op: Operator) -> None:
    """Call an operator in its turn and, if some inputs are read then, at the end of a step."""
    _add_call(b, op, True)
    if op.immediate_inputs != op.inputs:
        b.step_end.append(lambda: _add_call(b, op, False))


def _add_call(b: Buffers, op: Operator, first: bool) -> None:
    early, late = outputs_of(op)
    inputs = op.immediate_inputs if first else op.inputs[len(op.immediate_inputs) :]
    read = [b.buffer_in(s) for s in dict.fromkeys(inputs)]
    b.kernels.call(inputs=read, outputs=[b.buffer(False, s) for s in (early if first else late)])
    b.calls.append((op, first))


def outputs_of(op: Operator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The outputs that an operator makes in its turn, and those that it makes at a step's end."""
    return op.outputs[: len(op.outputs) - len(op.late_outputs)], op.late_outputs


class HostCallback(Kernel):
    """A kernel of the reference engine that a native loop calls.

    The outputs of a whole run are stored, one step after the other.
    """

    changing = ("_kernel",)

    def __init__(self, op: Operator, kernel: Kernel, program: Program, batch: int) -> None:
        self._op, self._kernel, self._batch = op, kernel, batch
        self._shapes = program.shapes
        self._inputs = {s: np.zeros((batch, 1, *program.shapes[s])) for s in op.inputs}
        # A user's own class may keep its inputs, so it gets copies; functions get copies anyway.
        self._copies_inputs = not isinstance(op, Apply | Generate)
        self._prompt = [self._inputs[s] for s in op.immediate_inputs]
        self._all = [self._inputs[s] for s in op.inputs]
        self._early, self._late = outputs_of(op)
        self._made: dict[int, NDArray] = {}
        self._called: Call | None = None  # the kernel's own function for the operator's turn
        self._first = 0

    def begin_run(self, step: int, steps: int) -> None:
        """Make room for the outputs of a run of `steps` steps after step number `step`."""
        self._first = step
        signals = (*self._early, *self._late)
        if any(s not in self._made or len(self._made[s]) < steps for s in signals):
            made = {s: np.empty((steps, self._batch, *self._shapes[s])) for s in signals}
            called = self._kernel.output_writer(self._prompt, [made[s] for s in self._early])
            self._made, self._called = made, called  # together, even if an interrupt comes before

    def call(self, first: bool) -> HostCall:
        """The call that the loop makes in the operator's turn (`first`), or at a step's end."""
        inputs = (
            self._op.immediate_inputs
            if first
            else self._op.inputs[len(self._op.immediate_inputs) :]
        )
        outputs = [self._made[s] for s in (self._early if first else self._late)]
        function = self._end_natively
        if first:
            function = self._begin_natively if self._called is None else self._call_natively
        return function, [self._inputs[s] for s in dict.fromkeys(inputs)], outputs

    def _call_natively(self, t: int) -> None:
        self._called(t, self._first + t)  # type: ignore[misc]

    def _begin_natively(self, t: int) -> None:
        made = self._kernel.begin(self._given(self._prompt), self._first + t, 1)
        for s, value in zip(self._early, made, strict=True):
            self._made[s][t] = value[:, 0]

    def _end_natively(self, t: int) -> None:
        made = self._kernel.end(self._given(self._all))
        for s, value in zip(self._late, made, strict=True):
            self._made[s][t] = value[:, 0]

    def _given(self, arrays: Sequence[NDArray]) -> Sequence[NDArray]:
        return [x.copy() for x in arrays] if self._copies_inputs else arrays

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        raise TypeError(f"{self._op.label}: runs only in loops")

    def totals(self) -> Iterable[Sums]:
        return self._kernel.totals()

    def learned(self) -> Mapping[Learned, Array]:
        return self._kernel.learned()

    def python_steps(self) -> Iterable[PythonStep]:
        return self._kernel.python_steps()
