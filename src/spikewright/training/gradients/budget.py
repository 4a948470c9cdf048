"""A bound on spikes: a multiplier that is raised until it is met, and thresholds that meet it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from spikewright.engines.torch.device import Tensor
from spikewright.errors import TrainingError
from spikewright.training.gradients.rounded import RoundedNetwork

AIM = 0.97
"""The share of a budget that is aimed at."""
_FIRST = 1e-3  # the multiplier at the beginning, in units of the loss
_FASTEST = 0.1  # logarithms by which the multiplier changes with a batch, at most
_BAND = 0.2  # the excess at which it nearly does
_HALVINGS = 16
_LARGEST = 64.0  # times its thresholds, at most


@dataclass(eq=False)
class Budget:
    """At most so many spikes a sample, of all sites and in all steps.

    `multiplier` weighs the share of the budget that is sent, in units of the loss: it rises while
    that is above the aim, and falls below. Spikes that are taken back are sent as well: `sent` is
    the number of all for one that is kept, as measured last.
    """

    spikes: float
    multiplier: float = _FIRST
    sent: float = 1.0

    def penalty(self, counts: Mapping[str, Tensor], samples: int) -> Tensor:
        """The multiplier times the share of the budget; the multiplier then follows the excess."""
        kept = torch.stack([n.abs().sum() for n in counts.values()]).sum() / samples
        share = kept * (self.sent / self.spikes)
        excess = float(share.detach()) - AIM
        penalty = self.multiplier * share
        self.multiplier *= math.exp(_FASTEST * math.tanh(excess / _BAND))
        return penalty

    def met(self, spikes: float) -> bool:
        """True for a number of spikes a sample within the budget."""
        return spikes <= self.spikes

    def meet(self, network: RoundedNetwork, spikes: Callable[[], float]) -> None:
        """Multiply all thresholds by the factor at which the aim is sent, as `spikes` measures.

        Where fewer are sent thresholds stay. Raises `TrainingError` where no factor helps.
        """
        if self.met(spikes()):
            return
        low, high = 1.0, 2.0
        while self._at(network, high, spikes) > AIM * self.spikes:
            low, high = high, 2.0 * high
            if high > _LARGEST:
                raise TrainingError(
                    f"spikes={self.spikes:g}: with thresholds {_LARGEST:g} times as high the "
                    "network still sends more. Give a larger budget, or more samples"
                )
        for _ in range(_HALVINGS):
            middle = math.sqrt(low * high)
            if self._at(network, middle, spikes) > AIM * self.spikes:
                low = middle
            else:
                high = middle
        _scale(network, high)

    def _at(self, network: RoundedNetwork, factor: float, spikes: Callable[[], float]) -> float:
        _scale(network, factor)
        found = spikes()
        _scale(network, 1.0 / factor)
        return found


@torch.no_grad()
def _scale(network: RoundedNetwork, factor: float) -> None:
    for rounding in network.roundings.values():
        rounding.logarithm.add_(math.log(factor))
