"""Kernels that all engines share, whatever their arrays: delays, filters without delay, learned
weights, and kernels whose state is reset periodically.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Engine
from spikewright.engines.kernel import Array, Call, DelayedKernel, Kernel, Kernels, Setup
from spikewright.engines.operators import (
    Advance,
    Delay,
    DelayedLinear,
    Generate,
    Operator,
    ScaledSum,
    Smooth,
)
from spikewright.engines.populations import Learned
from spikewright.engines.program import Program
from spikewright.engines.python_calls import ProcessKernel
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.totals import Sums
from spikewright.engines.windows import Carry
from spikewright.errors import SimulationError
from spikewright.network.learning import RuleInputs


def scaled_sum(op: ScaledSum, values: Sequence[Any]) -> Any:
    """The output of a sum for one or more arrays, of any library."""
    first, *others = values
    total = sum(others, start=first)
    total = total if op.gain is None else total * op.gain
    return total if op.bias is None else total + op.bias


def sum_writer(inputs: Sequence[NDArray], made: NDArray) -> Call:
    """The `Kernel.output_writer` of a plain sum of arrays `(batch or 1, steps or 1, *shape)`."""
    terms = [(x.swapaxes(0, 1), len(x[0]) == 1) for x in inputs]

    def add(t: int, step: int) -> None:
        total, *others = [x[0 if constant else t] for x, constant in terms]
        for value in others:
            total = total + value
        made[t] = total

    return add


class SmoothKernel(Kernel):
    """A filter without delay: its output in a step includes that step's input."""

    changing = ("_filter",)

    def __init__(self, filter: DelayedKernel, op: Smooth, setup: Setup) -> None:
        self._filter, self._op, self._setup = filter, op, setup

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        outputs = self._setup.empty(self._op, steps)
        for t in range(steps):
            self._filter.absorb(x if x.shape[1] == 1 else x[:, t : t + 1])
            outputs[:, t] = self._filter.emit()[:, 0]
        return [outputs]


class DelayKernel(DelayedKernel):
    """A delay, as a ring buffer: the values of step `t` are stored in row `t mod steps`."""

    changing: ClassVar[tuple[str, ...]] = ("_kept",)

    def __init__(self, op: Operator, setup: Setup, steps: int) -> None:
        super().__init__(op, setup)
        self._kept, self._row = setup.zeros(op, steps), 0

    def restore(self, state: Mapping[str, Any]) -> None:
        self._kept[...] = state["_kept"]

    def emit(self) -> Array:
        output = self._setup.empty(self._op, 1)
        output[:, 0] = self._kept[:, self._row]
        return output

    def absorb(self, value: Array) -> None:
        self._kept[:, self._row] = value[:, 0]

    def begin(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        self._row = step % self._kept.shape[1]
        return [self.emit()]


class CarryKernel(DelayKernel):
    """Passes on the input of the window before, some steps at once."""

    changing = ("_kept", "_row")

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._row = state["_row"]

    @property
    def ahead(self) -> int:
        return self._kept.shape[1] - self._row

    def begin(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        self._now = slice(self._row, self._row + steps)
        return [self._kept[:, self._now]]

    def absorb(self, value: Array) -> None:
        self._kept[:, self._now] = value
        self._row = self._now.stop % self._kept.shape[1]

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,), outputs, done = inputs, self._setup.empty(self._op, steps), 0
        while done < steps:
            now = slice(done, done + min(self.ahead, steps - done))
            (outputs[:, now],) = self.begin([], step + done, now.stop - done)
            self.absorb(x if x.shape[1] == 1 else x[:, now])
            done = now.stop
        return [outputs]


class AdvanceKernel(Kernel):
    """Passes values on some steps early, all of a run at once."""

    stateless = True

    def __init__(self, op: Advance, setup: Setup) -> None:
        self._op, self._setup = op, setup

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        ahead = self._op.steps
        output = self._setup.empty(self._op, steps)
        output[:, 0] = x[:, : ahead + 1].sum(1)
        output[:, 1 : max(1, steps - ahead)] = x[:, ahead + 1 :]
        output[:, max(1, steps - ahead) :] = 0.0
        return [output]


class DelayedLinearKernel(DelayKernel):
    """A sparse map whose entries have delays, with a ring buffer of sums at the receivers.

    The products that arrive in step `t` are summed in row `t mod rows`, step by step, those of a
    step in the order of their senders.
    """

    def __init__(self, op: DelayedLinear, setup: Setup) -> None:
        super().__init__(op, setup, op.rows)
        self._factor = op.factor
        self._flat = self._kept.reshape(setup.batch, -1)
        order = np.argsort(op.transform.columns, kind="stable")
        self._size, self._rows = math.prod(op.transform.shape_out), op.rows
        self.receivers = op.transform.rows[order].astype(np.int64)
        self.senders = op.transform.columns[order].astype(np.int64)
        self.values = np.asarray(op.transform.values, np.float64)[order]
        self.delays = op.delays[order]

    def emit(self) -> Array:
        output = super().emit()
        return output if self._factor == 1.0 else output * self._factor

    def absorb(self, value: Array) -> None:
        self._kept[:, self._row] = 0.0
        places = (self._row + self.delays) % self._rows * self._size + self.receivers
        self.add(self._flat, value[:, 0].reshape(value.shape[0], -1), places)

    @abstractmethod
    def add(self, to: Array, x: Array, places: Any) -> None:
        """Add `values * x[:, senders]` at these places of `to`, `(batch, rows * receivers)`."""


class LearningKernel(Kernel):
    """Weights that are applied in a step and changed at its end; every sample has its own.

    Weights are `(batch, out, in)`, in float64. In a loop `respond` and `finish` are called, else
    `run`.
    """

    changing = ("_weights", "_states")

    xp: Any
    """The array functions of rules."""

    def __init__(self, op: Learned, setup: Setup) -> None:
        self._op, self._batch = op, setup.batch
        size, dt, array = op.initial.shape[1], setup.program.dt, setup.arrays.float64.copy_of

        def of_each(value: NDArray) -> Array:
            return array(np.broadcast_to(value, (setup.batch, *value.shape)))

        self._weights = of_each(op.initial)
        self._unit = None if op.unit is None else array(op.unit)
        starts = [learning.rule.initial_state(size, dt) for learning in op.rules]
        self._states = [{k: of_each(v) for k, v in start.items()} for start in starts]
        scales = [learning.scale for learning in op.rules]
        self._facts = [RuleInputs(dt, size, None if x is None else array(x)) for x in scales]

    @property
    def ahead(self) -> int:
        return 1

    def learned(self) -> Mapping[Learned, Array]:
        return {self._op: self._weights}

    @abstractmethod
    def respond(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The outputs of a step, except late ones, from the operator's `immediate_inputs`."""

    @abstractmethod
    def now(self, x: Array) -> Array:
        """One step's values of every sample, `(batch, ...)`, in the rules' array type."""

    @abstractmethod
    def recorded(self, value: Array) -> Array:
        """A value of every sample, as an output of one step."""

    @abstractmethod
    def change(self, delta: Array) -> None:
        """Add to the weights; raises `SimulationError` if they are no longer finite."""

    def finish(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Learn from all inputs of the step; returns the operator's `late_outputs`."""
        op = self._op
        given = {s: self.now(x) for s, x in zip(op.inputs[1:], inputs[1:], strict=True)}
        weights = self._weights if self._unit is None else self._weights * self._unit
        change: Array = None
        late: list[Array] = []
        for learning, state, facts in zip(op.rules, self._states, self._facts, strict=True):
            signals = {name: given[s] for name, s in learning.signals.items()}
            delta = learning.rule.delta(self.xp, weights, signals, state, facts)
            change = delta if change is None else change + delta
            late += [self.recorded({**state, "delta": delta}[name]) for name in learning.recorded]
        if change is not None:
            self.change(change)
        return late

    def begin(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        return self.respond(inputs)

    def end(self, inputs: Sequence[Array]) -> Sequence[Array]:
        return self.finish(inputs)

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        made: list[list[Array]] = []
        for t in range(steps):
            now = [x if x.shape[1] == 1 else x[:, t : t + 1] for x in inputs]
            made.append([*self.respond(now[:1]), *self.finish(now)])
        return [self.joined(outputs) for outputs in zip(*made, strict=True)]

    def joined(self, steps: Sequence[Array]) -> Array:
        """The outputs `(batch, 1, *shape)` of successive steps as one array."""
        return np.concatenate(steps, axis=1)


def divergence_error(op: Learned) -> SimulationError:
    """The error of learned weights that are not finite."""
    rules = ", ".join(repr(learning.rule) for learning in op.rules)
    return SimulationError(
        f"{op.label} are no longer finite: {rules} makes them grow without bound; "
        "lower learning_rate"
    )


def with_periodic_reset(
    kernel: Kernel, op: Operator, program: Program, engine: Engine, batch: int
) -> Kernel:
    """An operator's kernel, with periodic resets if the operator has them."""
    every = op.restart
    return (
        kernel if every is None else PeriodicResetKernel(kernel, every, op, program, engine, batch)
    )


class PeriodicResetKernel(Kernel):
    """Runs a kernel window by window; every window starts from the initial state, at step 0."""

    changing = ("_kernel",)

    def __init__(
        self, kernel: Kernel, every: int, op: Operator, program: Program, engine: Engine, batch: int
    ) -> None:
        self._kernel, self._every, self._engine, self._batch = kernel, every, engine, batch
        self._program, self._signals = program, op.outputs

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        pieces: list[tuple[int, int, Sequence[Array]]] = []
        done = 0
        while done < steps:
            within = (step + done) % self._every
            count = min(self._every - within, steps - done)
            if within == 0 and step + done > 0:
                self._kernel.restart()
            now = [x if x.shape[1] == 1 else x[:, done : done + count] for x in inputs]
            pieces.append((done, count, self._kernel.run(now, within, count)))
            done += count
        if len(pieces) == 1:
            return pieces[0][2]
        return self._joined(pieces, steps)

    def _joined(
        self, pieces: Sequence[tuple[int, int, Sequence[Array]]], steps: int
    ) -> Sequence[Array]:
        if all(isinstance(y, np.ndarray) for y in pieces[0][2]):  # counts stay counts
            return [np.concatenate(y, axis=1) for y in zip(*(p for *_, p in pieces), strict=True)]
        shapes = self._program.shapes
        empty = self._engine.arrays(self._program).empty
        whole = [empty((self._batch, steps, *shapes[s])) for s in self._signals]
        for start, count, outputs in pieces:
            for y, output in zip(whole, outputs, strict=True):
                y[:, start : start + count] = output
        return whole

    def conclude(self) -> None:
        self._kernel.conclude()

    def totals(self) -> Iterable[Sums]:
        return self._kernel.totals()

    def python_steps(self) -> Iterable[PythonStep]:
        return self._kernel.python_steps()


SHARED: Kernels = {
    Advance: AdvanceKernel,
    Carry: lambda op, setup: CarryKernel(op, setup, op.steps),
    Delay: lambda op, setup: DelayKernel(op, setup, op.steps),
    Generate: ProcessKernel,
}
"""The rows that the kernel tables of all engines share."""
