"""Layers and penalties for PyTorch modules that are to spike."""

from __future__ import annotations

import math
from typing import Any, cast

from spikewright._base.optional import require as _require

_require("torch")

import torch  # noqa: E402
from torch import nn  # noqa: E402

from spikewright.sources.arguments import Rounding, range_of  # noqa: E402

__all__ = ["RateRange", "RoundedReLU"]


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


class RoundedReLU(nn.Module):
    """`theta/L min(max(floor(L x / theta + start), 0), L)`, with a threshold theta that is learned.

    A model trained with it is *exactly* the spiking network that it converts to, after `levels` = L
    steps of 1 ms: neurons with negative spikes, with this threshold and start. Input and output
    `(batch, *shape)`. `threshold` is the first theta, and afterwards the module's one parameter,
    whose absolute value counts.

    Rounding passes the gradient on (straight through): to x it is 1 from 0 to theta and 0 outside.
    To theta it is `y/theta - x/theta` within, 1 above, times `1/sqrt(n L)` for n values a sample
    (Esser et al. 2020, LSQ). The activation is that of Bu et al. 2022 (QCFS). Raises
    `TrainingError` for levels below 1, a threshold not above 0, or a start outside [0, 1).
    """

    def __init__(self, levels: int, threshold: float = 4.0, start: float = 0.5) -> None:
        super().__init__()
        self.rounding = Rounding(levels, threshold, start)
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The rounded values."""
        levels, held = self.rounding.levels, torch.Tensor.detach
        share = 1.0 / math.sqrt(x[0].numel() * levels) if self.training else None
        return cast(torch.Tensor, self.rounding.rounded(torch, held, x, self.threshold, share))

    def extra_repr(self) -> str:
        """The arguments, with the threshold that it has now."""
        made = self.rounding
        return f"levels={made.levels}, threshold={float(self.threshold):.4g}, start={made.start:g}"
