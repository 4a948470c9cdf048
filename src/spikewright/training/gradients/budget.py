"""Bounds that are met: multipliers that are raised until they are, and thresholds that meet them.

A multiplier weighs the share of a bound that is spent, in units of the loss. It rises while that is
beyond what is aimed at, and falls within. Where the network spends many times its bound before it
is trained, the aim itself moves from there to the bound, as a geometric series of time: a
multiplier that has risen against a far aim would take as long to fall again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spikewright.engines.torch.device import Device, Tensor, numpy_of
from spikewright.errors import TrainingError
from spikewright.training.data import TrainingSamples
from spikewright.training.gradients.rounded import RoundedNetwork, RoundedSite
from spikewright.training.gradients.spiking import Sent
from spikewright.training.job import Bound

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
_NOTHING = 1e-3  # of a least bound: an aim that is no nearer to zero
_LARGEST = 64.0  # times its thresholds, or a part of them, at most


@dataclass(eq=False)
class Multiplier:
    """A bound with the weight of what is spent of it, in `samples` that were measured.

    Spikes that are taken back are sent as well: `sent` is what is spent in truth for one unit by
    the spikes that are kept, as measured last. `first` is the share of the bound that was spent
    before the training, where that was beyond it, and `aim` the share that is aimed at now.
    """

    bound: Bound
    prices: Mapping[str, Any]
    value: float = _FIRST
    sent: float = 1.0
    amount: float = math.nan
    samples: int = 0
    spent: float = 0.0
    kept: float = 0.0
    first: float = 1.0
    aim: float = AIM

    def __post_init__(self) -> None:
        self.ease(1.0)

    def begin(self) -> None:
        """Take what was measured as what is spent before the training."""
        self.first = self.amount / self.bound.limit if self.excess > 0 else 1.0
        self.ease(0.0)

    def ease(self, passed: float) -> None:
        """Aim at what is to be spent after a share of the training has passed."""
        rest = max(0.0, 1.0 - passed / _EASED)
        last = 1.0 / AIM if self.bound.least else AIM
        self.aim = last * max(self.first, _NOTHING) ** rest

    def penalty(self, counts: Mapping[str, Tensor], samples: int) -> Tensor:
        """The multiplier times the share that is spent; the multiplier then follows the excess."""
        kept = sum((counts[n] * price).sum() for n, price in self.prices.items()) / samples
        bound = self.bound
        share = kept * (self.sent / bound.limit)
        sign = -1.0 if bound.least else 1.0
        excess = sign * (float(share.detach()) / self.aim - 1.0)
        penalty: Tensor = self.value * sign * share
        value = self.value * math.exp(_FASTEST * math.tanh(excess / _BAND))
        self.value = min(max(value, _WEAKEST), _STRONGEST)
        return penalty

    @property
    def excess(self) -> float:
        """The share of the limit by which what was measured last is beyond it; below 0 within."""
        share = self.amount / self.bound.limit - 1.0
        return -share if self.bound.least else share


class TrainingBudget:
    """All bounds of a training."""

    def __init__(self, bounds: Sequence[Bound], network: RoundedNetwork, device: Device) -> None:
        self._network = network

        def prices(bound: Bound) -> dict[str, Any]:
            kind = {"dtype": torch.float32, "device": device}
            return {name: torch.as_tensor(p, **kind) for name, p in bound.prices.items()}

        self.multipliers = [Multiplier(one, prices(one)) for one in bounds]

    def __bool__(self) -> bool:
        return bool(self.multipliers)

    def begin(self) -> None:
        """Take what was measured as what the network spends before it is trained."""
        for one in self.multipliers:
            one.begin()

    def penalty(self, counts: Mapping[str, Tensor], samples: int) -> Tensor | float:
        """What counts `{layer: (samples, *shape)}` add to the loss."""
        roundings = self._network.roundings
        sizes = {name: roundings[name].spikes(n) for name, n in counts.items() if self}
        return sum(one.penalty(sizes, samples) for one in self.multipliers)

    @property
    def excess(self) -> float:
        """The largest excess over a bound; not above 0 where all are met."""
        return max((one.excess for one in self.multipliers), default=0.0)

    def measure_anew(self) -> None:
        """Forget the samples that were measured."""
        for one in self.multipliers:
            one.samples, one.spent, one.kept = 0, 0.0, 0.0

    def add(self, samples: TrainingSamples, found: Sent) -> None:
        """Take what a run on some samples sent."""
        if not self.multipliers:
            return
        every = {name: numpy_of(counts).astype(np.float64) for name, counts in found.all.items()}
        roundings = self._network.roundings
        kept = {name: numpy_of(roundings[name].spikes(n)) for name, n in found.net.items()}
        for one in self.multipliers:
            one.samples += len(samples)
            one.spent += one.bound.spent(every, samples.x)
            one.kept += float(one.bound.linear(kept))
            one.amount = one.spent / one.samples
            one.sent = one.spent / one.kept if one.kept else 1.0

    @property
    def energy(self) -> dict[str, Any]:
        """Joules of a sample as measured last and their cost table, where they have a bound."""
        for one in self.multipliers:
            if one.bound.table is not None:
                joules = one.amount + one.bound.fixed
                return {"joules": joules, "energy_table": one.bound.table}
        return {}

    def meet(self, measure: Callable[[], Any]) -> None:
        """Change thresholds by factors until `measure` finds that every bound is met.

        One factor for all where spikes or joules are beyond their bounds, or well below although
        the network had spent more; then one for each layer whose rate is out of its range. Raises
        `TrainingError` where no factors will do.
        """
        measure()
        totals = [one for one in self.multipliers if one.bound.layer is None]
        binding = any(one.first != 1.0 for one in self.multipliers)  # before it was trained
        if _beyond(totals) or (totals and binding):
            self._bring(measure, totals)
        for name, rounding in self._network.roundings.items():
            of_layer = [one for one in self.multipliers if one.bound.layer == name]
            if _beyond(of_layer):
                self._bring_rate(rounding, measure, of_layer)
        beyond = {one.bound.name for one in self.multipliers if one.excess > 0}
        if beyond:
            others = {one.bound.name for one in self.multipliers} - beyond
            raise TrainingError(
                f"{' and '.join(sorted(beyond))} cannot be met beside {' and '.join(others)}: "
                "thresholds that meet one break the other. Give larger budgets, or other rates"
            )

    def _bring(self, measure: Callable[[], Any], totals: Sequence[Multiplier]) -> None:
        def share() -> float:
            measure()
            return 1.0 + max(one.excess for one in totals)

        worst = max(totals, key=lambda one: one.excess)
        before = worst.amount + worst.bound.fixed
        tuned(list(self._network.roundings.values()), share, AIM - _AROUND, AIM + _AROUND)
        if _beyond(totals):
            raise TrainingError(
                f"{worst.bound.name}: the trained network spends {before:.4g}, and no factor up "
                f"to {_LARGEST:g} for its thresholds brings that below. Give a larger budget"
            )

    def _bring_rate(
        self, rounding: RoundedSite, measure: Callable[[], Any], pair: Sequence[Multiplier]
    ) -> None:
        limits = {one.bound.least: one.bound.limit for one in pair}
        low, high = limits.get(True, 0.0), limits[False]
        before, name = pair[0].amount, pair[0].bound.name
        if before > high:
            wanted = max(low, (AIM - _AROUND) * high), (AIM + _AROUND) * high
        else:
            wanted = low / (AIM + _AROUND), min(high, low / (AIM - _AROUND))

        def rate() -> float:
            measure()
            return pair[0].amount

        if not tuned([rounding], rate, *wanted) or _beyond(pair):
            raise TrainingError(
                f"{name}: the layer sends {before:.4g} Hz, and no threshold between 1/{_LARGEST:g} "
                f"and {_LARGEST:g} times its own brings it into the range. Give another range"
            )


def _beyond(some: Sequence[Multiplier]) -> bool:
    return any(one.excess > 0 for one in some)


def tuned(
    roundings: Sequence[RoundedSite], amount: Callable[[], float], low: float, high: float
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

    Near 1 in small strides: spikes that are taken back may rise again with the threshold.
    """
    if above == 0.0:
        return below / (_STRIDE if below > 0.5 else 2.0)
    if below == math.inf:
        return above * (_STRIDE if above < 1.99 else 2.0)
    return math.sqrt(above * below)


@torch.no_grad()
def scale(roundings: Sequence[RoundedSite], factor: float) -> None:
    """Multiply thresholds."""
    for rounding in roundings:
        rounding.logarithm.add_(math.log(factor))
