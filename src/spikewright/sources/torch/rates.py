"""Firing rates held in a range while a PyTorch module is trained."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from spikewright.sources.arguments import range_of


class RateRange(nn.Module):
    """A penalty on values, as firing rates, outside `hz[0]` to `hz[1]`: add it to the loss.

    `sw.torch.RateRange((50, 200))(y)`, for a layer's values `y`, `(batch, *shape)`, is `weight`
    times the mean, over samples and neurons, of the square by which rates lie outside. `hz` may be
    one number, which all rates then approach. A rate is `scale` times the value in Hz: give the
    firing-rate scale that the model will be converted with. A neuron that is silent for all samples
    has no gradient, so that it stays silent.

    Raises `TrainingError` for a range that falls, negative rates, or a weight or scale not above 0.
    """

    def __init__(self, hz: Any, weight: float = 1e-3, scale: float = 1.0) -> None:
        super().__init__()
        self.range = range_of(hz, weight, scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The penalty, a scalar."""
        return cast(torch.Tensor, self.range.penalty(torch, x))

    def extra_repr(self) -> str:
        """The arguments."""
        made = self.range
        return f"hz=({made.low:g}, {made.high:g}), weight={made.weight:g}, scale={made.scale:g}"
