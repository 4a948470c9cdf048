"""Weights that change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright.engines.base import Array
from spikewright.engines.grid import GRIDS, MAX_FAN_IN, Precision, input_limbs, limbs
from spikewright.engines.kernels import LearningKernel, diverged
from spikewright.engines.program import Learned


class LearnedKernel(LearningKernel):
    """Sums over weights exact, as those of fixed ones; weights are in float64."""

    xp = NUMPY

    def __init__(self, op: Learned, precision: Precision, dt: float, batch: int) -> None:
        super().__init__(op, dt, batch, np.array)
        self._grid, self._size = GRIDS[precision], op.initial.shape[1]
        self._put_on_grid()

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
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
        with np.errstate(over="ignore", invalid="ignore"):  # weights that overflow are an error
            return super().finish(inputs)

    def recorded(self, value: NDArray) -> NDArray:
        return np.array(value)[:, None]

    def change(self, delta: NDArray) -> None:
        if self._unit is not None:
            where = np.broadcast_to(self._unit != 0, delta.shape)
            delta = np.divide(delta, self._unit, out=np.zeros_like(delta), where=where)
        self._weights = self._weights + delta
        if not np.all(np.isfinite(self._weights)):
            raise diverged(self._op)
        self._put_on_grid()

    def now(self, x: Array) -> NDArray:
        now: NDArray = x[:, 0]
        return now if len(now) == self._batch else np.broadcast_to(now, (self._batch, *x.shape[2:]))


def _product(x: NDArray, weights: NDArray) -> NDArray:
    """`(batch or 1, 1, in) @ (batch, in, out)`, long sums in pieces that are exact each."""
    starts = range(0, max(weights.shape[1], 1), MAX_FAN_IN)
    parts = [x[:, :, i : i + MAX_FAN_IN] @ weights[:, i : i + MAX_FAN_IN] for i in starts]
    total: NDArray = sum(parts[1:], start=parts[0])
    return total
