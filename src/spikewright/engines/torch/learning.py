"""Weights that change, and filters without delay, over torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from spikewright.engines.base import Kernel, LearningKernel, diverged
from spikewright.engines.program import Learned, Smooth
from spikewright.engines.torch.device import Tensor, Tensors, full_products
from spikewright.engines.torch.functions import Functions
from spikewright.engines.torch.kernels import filter_kernel
from spikewright.network.learning import Facts
from spikewright.network.transforms import Shape


class LearnedKernel(LearningKernel):
    """Dense products with every sample's own weights; these and their rules are in float64."""

    def __init__(self, op: Learned, dt: float, batch: int, tensors: Tensors) -> None:
        self._op, self._batch, self._tensors = op, batch, tensors
        wide, size = tensors.wide, op.initial.shape[1]
        self._wide, self._xp = wide, Functions(wide)
        self._weights = wide.of(np.broadcast_to(op.initial, (batch, *op.initial.shape)))
        self._unit = None if op.unit is None else wide.of(op.unit)
        self._states = [
            {
                name: wide.of(np.broadcast_to(value, (batch, *value.shape)))
                for name, value in learning.rule.initial_state(size, dt).items()
            }
            for learning in op.rules
        ]
        self._facts = [
            Facts(dt, size, None if learning.scale is None else wide.of(learning.scale))
            for learning in op.rules
        ]

    def joined(self, steps: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(steps), dim=1)

    def learned(self) -> Mapping[Learned, Tensor]:
        return {self._op: self._weights}

    def respond(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        (x,) = inputs
        dtype, factor = self._tensors.dtype, self._op.factor
        weights = self._weights if factor == 1.0 else self._weights * factor
        with full_products(self._tensors.device):
            y = torch.matmul(x, weights.to(dtype).transpose(1, 2))
        if self._op.weights is None:
            return [y]
        return [y, self._weights[:, None].to(dtype)]

    def finish(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        op, dtype = self._op, self._tensors.dtype
        given = {s: self._now(x) for s, x in zip(op.inputs[1:], inputs[1:], strict=True)}
        weights = self._weights if self._unit is None else self._weights * self._unit
        change: Tensor = self._wide.zeros((1,))
        late: list[Tensor] = []
        for learning, state, facts in zip(op.rules, self._states, self._facts, strict=True):
            signals = {name: given[s] for name, s in learning.signals.items()}
            delta = learning.rule.delta(self._xp, weights, signals, state, facts)
            change = change + delta
            late += [
                (delta if name == "delta" else state[name])[:, None].to(dtype)
                for name in learning.recorded
            ]
        if self._unit is not None:
            change = torch.where(self._unit != 0, change / self._unit, 0.0)
        self._weights = self._weights + change
        if not bool(torch.isfinite(self._weights).all()):
            raise diverged(op)
        return late

    def _now(self, x: Tensor) -> Tensor:
        """One step's values of every sample, in float64."""
        return x[:, 0].to(self._wide.dtype).expand(self._batch, *x.shape[2:])


class SmoothKernel(Kernel):
    """A filter without delay: it passes on a step's output in that step."""

    def __init__(self, op: Smooth, batch: int, shape: Shape, tensors: Tensors) -> None:
        self._filter = filter_kernel(op, batch, shape, tensors)
        self._shape, self._tensors = (batch, *shape), tensors

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        (x,) = inputs
        outputs = self._tensors.empty((self._shape[0], steps, *self._shape[1:]))
        for t in range(steps):
            self._filter.absorb(x if x.shape[1] == 1 else x[:, t : t + 1])
            outputs[:, t] = self._filter.emit()[:, 0]
        return [outputs]
