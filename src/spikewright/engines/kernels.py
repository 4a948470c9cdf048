"""Kernels that engines share but for their arrays: delays, filters without, weights that change."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Array, Call, DelayedKernel, Kernel
from spikewright.engines.program import DelayedLinear, Learned
from spikewright.errors import SimulationError
from spikewright.network.learning import Facts


def adding(inputs: Sequence[NDArray], made: NDArray) -> Call:
    """A plain sum of arrays `(batch or 1, steps or 1, *shape)`, as `Kernel.into` gives it."""
    terms = [(x.swapaxes(0, 1), len(x[0]) == 1) for x in inputs]

    def add(t: int, step: int) -> None:
        total, *others = [x[0 if constant else t] for x, constant in terms]
        for value in others:
            total = total + value
        made[t] = total

    return add


class SmoothKernel(Kernel):
    """A filter without delay: it passes on a step's output in that step.

    `empty` makes an array for the outputs of some steps.
    """

    changing = ("_filter",)

    def __init__(self, filter: DelayedKernel, empty: Callable[[int], Array]) -> None:
        self._filter, self._empty = filter, empty

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        outputs = self._empty(steps)
        for t in range(steps):
            self._filter.absorb(x if x.shape[1] == 1 else x[:, t : t + 1])
            outputs[:, t] = self._filter.emit()[:, 0]
        return [outputs]


class DelayKernel(DelayedKernel):
    """Passes values on some steps later: those of step `t` lie in row `t mod steps` until then.

    `kept` are zeros `(batch, steps, *shape)`; `empty` makes an array for the outputs of some steps.
    """

    changing = ("_kept",)

    def __init__(self, kept: Array, empty: Callable[[int], Array]) -> None:
        self._kept, self._empty, self._row = kept, empty, 0

    def restore(self, state: Mapping[str, Any]) -> None:
        self._kept[...] = state["_kept"]

    def emit(self) -> Array:
        output = self._empty(1)
        output[:, 0] = self._kept[:, self._row]
        return output

    def absorb(self, value: Array) -> None:
        self._kept[:, self._row] = value[:, 0]

    def begin(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        self._row = step % self._kept.shape[1]
        return [self.emit()]

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        outputs = self._empty(steps)
        for t in range(steps):
            (outputs[:, t : t + 1],) = self.begin([], step + t, 1)
            self.absorb(x if x.shape[1] == 1 else x[:, t : t + 1])
        return [outputs]


class DelayedLinearKernel(DelayKernel):
    """A sparse map whose entries have delays: their products wait at the receivers, in `kept`.

    What arrives in step `t` lies in row `t mod rows` until then. A row adds its terms step by step,
    those of a step in the order of their senders.
    """

    def __init__(self, op: DelayedLinear, kept: Array, empty: Callable[[int], Array]) -> None:
        super().__init__(kept, empty)
        self._factor = op.factor
        self._flat = kept.reshape(kept.shape[0], -1)
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
    """Weights that answer to a step's inputs and change at its end; every sample learns alone.

    Weights are `(batch, out, in)`; `array` makes an engine's own array. In a loop `respond` and
    `finish` are called, else `run`.
    """

    changing = ("_weights", "_states")

    xp: Any
    """The array functions of rules."""

    def __init__(
        self, op: Learned, dt: float, batch: int, array: Callable[[NDArray], Array]
    ) -> None:
        self._op, self._batch = op, batch
        size = op.initial.shape[1]

        def of_each(value: NDArray) -> Array:
            return array(np.broadcast_to(value, (batch, *value.shape)))

        self._weights = of_each(op.initial)
        self._unit = None if op.unit is None else array(op.unit)
        starts = [learning.rule.initial_state(size, dt) for learning in op.rules]
        self._states = [{k: of_each(v) for k, v in start.items()} for start in starts]
        scales = [learning.scale for learning in op.rules]
        self._facts = [Facts(dt, size, None if x is None else array(x)) for x in scales]

    @property
    def ahead(self) -> int:
        return 1

    def learned(self) -> Mapping[Learned, Array]:
        return {self._op: self._weights}

    @abstractmethod
    def respond(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The outputs of one step except the late ones, from the operator's `prompt` inputs."""

    @abstractmethod
    def now(self, x: Array) -> Array:
        """One step's values of every sample, `(batch, ...)`, as rules compute with them."""

    @abstractmethod
    def recorded(self, value: Array) -> Array:
        """A value of every sample as the output of a step."""

    @abstractmethod
    def change(self, delta: Array) -> None:
        """Change the weights; raises `SimulationError` if they are no longer finite."""

    def finish(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Change by all inputs of the step; returns the operator's `late` outputs."""
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
        """Outputs `(batch, 1, *shape)` of successive steps as one array."""
        return np.concatenate(steps, axis=1)


def diverged(op: Learned) -> SimulationError:
    """The error of learned weights that are not finite."""
    rules = ", ".join(repr(learning.rule) for learning in op.rules)
    return SimulationError(
        f"{op.label} are no longer finite: {rules} makes them grow without bound; "
        "lower learning_rate"
    )
