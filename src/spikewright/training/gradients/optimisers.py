"""Groups of what is trained, the course of their rates, and trials of rates.

A trial is a little of a training at one learning rate, judged on samples held back. The best rates
of two networks may differ by a factor of ten: one that is near its source already is led away from
it by large steps, and one that is far from it needs them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from spikewright.errors import TrainingError
from spikewright.training.data import SampleStream, TrainingSamples
from spikewright.training.gradients.straight_through import StraightThroughNetwork
from spikewright.training.history import Way
from spikewright.training.options import TrainOptions, trains_scales
from spikewright.training.trainable import GROUPS

_USUAL = 5e-4  # the rate of learning of weights where none is given
_FASTER = 2.0  # times the rate of weights by which thresholds and starts are learned
_WARM = 0.05  # of the time, in which rates rise


def groups_of(network: StraightThroughNetwork, settings: TrainOptions) -> list[dict[str, Any]]:
    """What is trained, with its rate; raises `TrainingError` where there is nothing."""
    named, roundings = settings["trainable"], network.roundings.values()
    slow = [p for name in GROUPS if name in named for p in network.arrays.group(name)]
    fast = [
        *(r.logarithm for r in roundings if trains_scales(settings)),
        *(r.start for r in roundings if "initial_voltage" in named),
    ]
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for parameter in (*slow, *fast):
        parameter.requires_grad_(True)
    if not slow and not fast:
        raise TrainingError(f"nothing to train: the network has none of {named}")
    rate = rate_of(settings)
    rated = [{"params": slow, "lr": rate}, {"params": fast, "lr": _FASTER * rate}]
    return [part for part in rated if part["params"]]


def rate_of(settings: TrainOptions) -> float:
    """The learning rate of weights, before one is chosen."""
    given = settings["learning_rate"]
    return _USUAL if isinstance(given, str) else given


def course(passed: float) -> float:
    """The share of a rate after a share of the time: it rises at first, then falls as a cosine."""
    if passed < _WARM:
        return passed / _WARM
    return 0.5 * (1.0 + float(np.cos(np.pi * (passed - _WARM) / (1.0 - _WARM))))


TRIED = (0.25, 1.0, 4.0)
"""Times the usual rate."""
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

    An iterator of the user's can be gone through once. With a budget a trial says little: weights
    and thresholds are on their way to where it is met.
    """
    epoch = data.count(settings["batch_size"])
    most = min(epoch, int(SHARE * settings["epochs"] * epoch))
    once = isinstance(data, SampleStream) and data.once
    return None if once or settings["spikes"] is not None or most < _FEWEST else most


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
