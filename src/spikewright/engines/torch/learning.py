"""Weights that change, over torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from spikewright.engines.kernels import LearningKernel, diverged
from spikewright.engines.operators import Learned
from spikewright.engines.torch.device import Tensor, Tensors, full_products
from spikewright.engines.torch.functions import TorchFunctions


class LearnedKernel(LearningKernel):
    """Dense products with every sample's own weights; these and their rules are in float64."""

    def __init__(self, op: Learned, dt: float, batch: int, tensors: Tensors) -> None:
        super().__init__(op, dt, batch, tensors.wide.of)
        self._tensors, self.xp = tensors, TorchFunctions(tensors.wide)

    def joined(self, steps: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(steps), dim=1)

    def respond(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        (x,) = inputs
        factor = self._op.factor
        weights = self._weights if factor == 1.0 else self._weights * factor
        with full_products(self._tensors.device):
            y = torch.matmul(x, weights.to(self._tensors.dtype).transpose(1, 2))
        return [y] if self._op.weights is None else [y, self.recorded(self._weights)]

    def recorded(self, value: Tensor) -> Tensor:
        return value[:, None].to(self._tensors.dtype)

    def change(self, delta: Tensor) -> None:
        if self._unit is not None:
            delta = torch.where(self._unit != 0, delta / self._unit, 0.0)
        self._weights = self._weights + delta
        if not bool(torch.isfinite(self._weights).all()):
            raise diverged(self._op)

    def now(self, x: Tensor) -> Tensor:
        return x[:, 0].to(torch.float64).expand(self._batch, *x.shape[2:])
