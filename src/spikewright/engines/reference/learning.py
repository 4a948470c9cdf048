"""Weights that change, and filters without delay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright.engines.base import Array, LearningKernel, diverged
from spikewright.engines.grid import GRIDS, MAX_FAN_IN, Precision, input_limbs, limbs
from spikewright.engines.program import Learned
from spikewright.network.learning import Facts

_NAMESPACE: Any = NUMPY


class LearnedKernel(LearningKernel):
    """Sums over weights exact, as those of fixed ones; every sample learns alone.

    Weights are `(batch, out, in)` in float64.
    """

    def __init__(self, op: Learned, precision: Precision, dt: float, batch: int) -> None:
        self._op, self._grid, self._batch = op, GRIDS[precision], batch
        size = op.initial.shape[1]
        self._size = size
        self._weights = np.array(np.broadcast_to(op.initial, (batch, *op.initial.shape)))
        self._states = [
            {
                name: np.array(np.broadcast_to(value, (batch, *value.shape)))
                for name, value in learning.rule.initial_state(size, dt).items()
            }
            for learning in op.rules
        ]
        self._facts = [Facts(dt, size, learning.scale) for learning in op.rules]
        self._put_on_grid()

    def start_from(self, weights: NDArray) -> None:
        """Take over from another engine: the weights of every sample."""
        self._weights = np.array(weights)
        self._put_on_grid()

    def _put_on_grid(self) -> None:
        """The weights as they are applied: a sample's rows as those of a fixed matrix."""
        grid = self._grid
        parts = limbs(self._weights, (2,), grid.weight_bits, grid.weight_limbs)
        self._applied = [part.swapaxes(1, 2) for part in parts]

    def learned(self) -> Mapping[Learned, NDArray]:
        return {self._op: np.array(self._weights)}

    def respond(self, inputs: Sequence[Array]) -> Sequence[Array]:
        (x,) = inputs
        total: NDArray | None = None
        for limb in input_limbs(x, min(self._size, MAX_FAN_IN), self._grid):
            for weights in self._applied:
                part = _product(limb, weights)
                total = part if total is None else total + part
        if total is None:
            raise ValueError("an input has at least one limb")
        outputs = [total if self._op.factor == 1.0 else total * self._op.factor]
        if self._op.weights is not None:
            outputs.append(self._weights[:, None])
        return outputs

    def finish(self, inputs: Sequence[Array]) -> Sequence[Array]:
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is an error below
            return self._finish(inputs)

    def _finish(self, inputs: Sequence[Array]) -> Sequence[Array]:
        op = self._op
        given = {s: self._now(x) for s, x in zip(op.inputs[1:], inputs[1:], strict=True)}
        unit = 1.0 if op.unit is None else op.unit
        weights = self._weights if op.unit is None else self._weights * unit
        change: NDArray | None = None
        late: list[Array] = []
        for learning, state, facts in zip(op.rules, self._states, self._facts, strict=True):
            signals = {name: given[s] for name, s in learning.signals.items()}
            delta = learning.rule.delta(_NAMESPACE, weights, signals, state, facts)
            change = delta if change is None else change + delta
            late += [
                (delta if name == "delta" else np.array(state[name]))[:, None]
                for name in learning.recorded
            ]
        if change is not None:
            self._change(change)
        return late

    def _change(self, change: NDArray) -> None:
        unit = self._op.unit
        if unit is not None:
            where = np.broadcast_to(unit != 0, change.shape)
            change = np.divide(change, unit, out=np.zeros_like(change), where=where)
        self._weights = self._weights + change
        if not np.all(np.isfinite(self._weights)):
            raise diverged(self._op)
        self._put_on_grid()

    def _now(self, x: Array) -> NDArray:
        """One step's values of every sample."""
        now: NDArray = x[:, 0]
        return now if len(now) == self._batch else np.broadcast_to(now, (self._batch, *x.shape[2:]))


def _product(x: NDArray, weights: NDArray) -> NDArray:
    """`(batch or 1, 1, in) @ (batch, in, out)`, long sums in pieces that are exact each."""
    starts = range(0, max(weights.shape[1], 1), MAX_FAN_IN)
    parts = [x[:, :, i : i + MAX_FAN_IN] @ weights[:, i : i + MAX_FAN_IN] for i in starts]
    total: NDArray = sum(parts[1:], start=parts[0])
    return total
