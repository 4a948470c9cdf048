"""The bound on spikes, met by a multiplier that rises until it is, and by thresholds at last.

The multiplier weighs the share of the bound that is sent, in units of the loss. It rises while that
is beyond what is aimed at, and falls within. Where the network sends many times its bound before it
is trained, the aim itself moves from there to the bound, as a geometric series of time: a
multiplier that has risen against a far aim would take as long to fall again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spikewright.engines.torch.device import Tensor, numpy_of
from spikewright.errors import TrainingError
from spikewright.training.gradients.spiking import SpikeCounts
from spikewright.training.gradients.straight_through import LearnedQuantizer, StraightThroughNetwork

AIM = 0.97
"""The share of a bound that is aimed at."""
_AROUND = 0.02  # of the bound: so near to the aim are thresholds brought
_FIRST = 1e-3  # the multiplier at the beginning, in units of the loss
_WEAKEST, _STRONGEST = 1e-6, 1e6  # multipliers: from within them they come back in time
_FASTEST = 0.1  # logarithms by which the multiplier changes with a batch, at most
_BAND = 0.2  # the excess at which it nearly does
_EASED = 0.5  # of the training, after which the bound itself is aimed at
_TRIALS = 28
_STRIDE = 2.0**0.25  # between factors that are tried first
_LARGEST = 64.0  # times its thresholds, or a part of them, at most


@dataclass(eq=False)
class SpikeBudget:
    """At most `limit` spikes a sample, with the weight of what is sent.

    Negative spikes are sent as well: `sent` is what is sent in truth for one of those
    that are kept, and `amount` what a sample sends, as measured last, on so many `samples`. `first`
    is the share of the bound that was sent before the training, where that was beyond it, and `aim`
    the share that is aimed at now.
    """

    network: StraightThroughNetwork
    limit: float
    value: float = _FIRST
    sent: float = 1.0
    amount: float = math.nan
    samples: int = 0
    spent: float = 0.0
    kept: float = 0.0
    first: float = 1.0
    aim: float = AIM

    def begin(self) -> None:
        """Take what was measured as what the network sends before it is trained."""
        self.first = self.amount / self.limit if self.excess > 0 else 1.0
        self.ease(0.0)

    def ease(self, passed: float) -> None:
        """Aim at what is to be sent after a share of the training has passed."""
        rest = max(0.0, 1.0 - passed / _EASED)
        self.aim = AIM * self.first**rest

    def penalty(self, counts: Mapping[str, Tensor], samples: int) -> Tensor:
        """The multiplier times the share that counts `{layer: (samples, *shape)}` send.

        The multiplier then follows the excess.
        """
        spikes = (r.spikes(counts[name]).sum() for name, r in self.network.roundings.items())
        share = sum(spikes) / samples * (self.sent / self.limit)
        excess = float(share.detach()) / self.aim - 1.0
        penalty: Tensor = self.value * share
        value = self.value * math.exp(_FASTEST * math.tanh(excess / _BAND))
        self.value = min(max(value, _WEAKEST), _STRONGEST)
        return penalty

    @property
    def excess(self) -> float:
        """The share of the bound by which what was measured last is beyond it; below 0 within."""
        return self.amount / self.limit - 1.0

    def measure_anew(self) -> None:
        """Forget the samples that were measured."""
        self.samples, self.spent, self.kept = 0, 0.0, 0.0

    def add(self, samples: int, found: SpikeCounts) -> None:
        """Take what a run on so many samples sent."""
        roundings = self.network.roundings
        self.samples += samples
        self.spent += sum(
            float(numpy_of(found.all[name]).sum(dtype=np.float64)) for name in roundings
        )
        self.kept += float(
            sum(numpy_of(r.spikes(found.net[name])).sum() for name, r in roundings.items())
        )
        self.amount = self.spent / self.samples
        self.sent = self.spent / self.kept if self.kept else 1.0

    def meet(self, measure: Callable[[], object]) -> None:
        """Change all thresholds by a factor until `measure` finds that the bound is met.

        That is where more is sent, or well less although the network had sent more before it was
        trained. Raises `TrainingError` where no factor will do.
        """

        def share() -> float:
            measure()
            return 1.0 + self.excess

        measure()
        before = self.amount
        if self.excess > 0 or self.first != 1.0:
            tuned(list(self.network.roundings.values()), share, AIM - _AROUND, AIM + _AROUND)
        if self.excess > 0:
            raise TrainingError(
                f"spikes={self.limit:g}: the trained network spends {before:.4g}, and no factor up "
                f"to {_LARGEST:g} for its thresholds brings that below. Give a larger budget"
            )


def tuned(
    roundings: Sequence[LearnedQuantizer], amount: Callable[[], float], low: float, high: float
) -> bool:
    """Multiply thresholds by the factor at which `amount` is in a range; it falls with the factor.

    Where it jumps over the range, the side below is taken. False where no factor will do, and
    thresholds are as they were.
    """
    factor, above, below = 1.0, 0.0, math.inf
    for _ in range(_TRIALS):
        found = amount()
        if low <= found <= high:
            return True
        above, below = (factor, below) if found > high else (above, factor)
        wanted = _between(above, below)
        if not 1.0 / _LARGEST <= wanted <= _LARGEST:
            break
        scale(roundings, wanted / factor)
        factor = wanted
    reached = above > 0.0 and below < math.inf
    scale(roundings, (below if reached else 1.0) / factor)
    amount()
    return reached


def _between(above: float, below: float) -> float:
    """The next factor to try: the middle of two, or one beyond the one that is known.

    Near 1 in small strides: negative spikes may rise again with the threshold.
    """
    if above == 0.0:
        return below / (_STRIDE if below > 0.5 else 2.0)
    if below == math.inf:
        return above * (_STRIDE if above < 1.99 else 2.0)
    return math.sqrt(above * below)


@torch.no_grad()
def scale(roundings: Sequence[LearnedQuantizer], factor: float) -> None:
    """Multiply thresholds."""
    for rounding in roundings:
        rounding.logarithm.add_(math.log(factor))
