"""Trials before a training: a little of it at several learning rates, judged on samples held back.

The best rates of two networks may differ by a factor of ten: one that is near its source already is
led away from it by large steps, and one that is far from it needs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from spikewright.training.data import SampleStream, TrainingSamples
from spikewright.training.history import Way
from spikewright.training.options import TrainOptions, budgets_of

TRIED = (0.25, 1.0, 4.0)
"""Times the usual rate of an optimiser."""
SHARE = 0.04
"""Of a training's batches or time, for each trial."""
JUDGED = 1000
"""Samples by which trials are judged, at most."""
_FEWEST = 8  # batches of a trial: fewer tell nothing


@dataclass(frozen=True)
class RateTrial:
    """A trial of so many batches: its factor of rates and its way; loss and state behind it."""

    loss: float
    factor: float
    way: Way
    batches: int
    state: Mapping[str, Any]

    @property
    def distance(self) -> float:
        """The loss; infinite where it is no number."""
        return self.loss if math.isfinite(self.loss) else math.inf


def batches_of_a_trial(data: TrainingSamples | SampleStream, settings: TrainOptions) -> int | None:
    """Batches that a trial has at most; None where these are too few, or nothing can be tried.

    An iterator of the user's can be gone through once. With budgets a trial says little: weights
    and thresholds are on their way to where these are met.
    """
    epoch = data.count(settings["batch_size"])
    most = min(epoch, int(SHARE * settings["epochs"] * epoch))
    once = isinstance(data, SampleStream) and data.once
    return None if once or budgets_of(settings) or most < _FEWEST else most


def chosen(tried: Callable[[float, Way], RateTrial], ways: Sequence[Way]) -> RateTrial | None:
    """The best trial: of all rates the first way, then the other ways at the best rate.

    None where time was too short for trials.
    """
    first, *others = ways
    trials: list[RateTrial] = []
    for factor in TRIED:
        trials.append(tried(factor, first))
        if trials[-1].distance < math.inf and trials[-1].batches < _FEWEST:
            return None
    best = min(trials, key=attrgetter("distance"))
    return min([best, *(tried(best.factor, way) for way in others)], key=attrgetter("distance"))
