"""The threshold of smallest error, were the currents normally distributed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright.choosing.rules.case import NeuronSetting
from spikewright.choosing.rules.rule import StepsRule, register
from spikewright.choosing.statistics.statistics import LayerStatistics

_ITERATIONS, _CLOSE, _AHEAD = 500, 1e-6, 30.0


@register("threshold-iteration")
@dataclass(frozen=True)
class ThresholdIteration(StepsRule):
    """theta of the smallest E[(q(z) - max(z, 0))^2] for currents z ~ N(mu, sigma^2).

    q rounds to the levels i theta / T, i = 0..N. N is c T for T = `steps` steps and at most c
    spikes a step (see `MinimumError`, also for `spikes_per_step` and `readout`). Where the error is
    smallest, theta / T = E[a n] / E[n^2] with n spikes sent for the value a; iterating that is the
    paper's k, from mean and deviation of the currents alone, per layer or channel. Layers that are
    not ReLUs count the values of both signs that they send: levels -N to N, as those of spikes that
    hold several levels are, for which the paper states it in general.

    `dt` is the length of a step in seconds. It assumes normal currents and a start of half a spike.
    Law: a fixed point, stationary for the error under the assumption. Source: Huang et al. 2025,
    Differential Coding for Training-Free ANN-to-SNN Conversion, arXiv 2503.00301, threshold
    iteration.
    """

    tried = "capped"

    def threshold(self, layer: LayerStatistics, setting: NeuronSetting) -> NDArray:
        """See the class; 0 for channels whose currents say nothing."""
        window = self.window(setting)
        values = layer.value(self.per)
        mean, deviation = values.mean, np.sqrt(values.variance)
        levels = max(1, round(self.most(setting)))
        unit = fixed_point(mean, deviation, levels, signed=not layer.rectifies)
        sends = layer.magnitude(self.per).highest > 0
        return np.where(sends, unit * window, 0.0)


def fixed_point(mean: NDArray, deviation: NDArray, levels: int, signed: bool) -> NDArray:
    """The unit theta / T at which `unit = E[a n] / E[n^2]`, for normal values of each channel.

    Two iterations and a step towards where they lead, in the manner of Steffensen's method, take a
    tenth of the rounds that iterating alone does; channels that have arrived are left alone.
    """
    unit = (np.abs(mean) + 3 * deviation) / levels
    left = np.arange(len(unit))
    for _ in range(_ITERATIONS):
        some = mean[left], deviation[left], levels, signed
        once = _iterated(unit[left], *some)
        twice = _iterated(once, *some)
        unit[left] = _limit(unit[left], once, twice)
        left = left[np.abs(twice - once) > _CLOSE * once]
        if not len(left):
            break
    return unit


def _limit(first: NDArray, second: NDArray, third: NDArray) -> NDArray:
    """The limit of three values of an iteration if distances shrink alike, where it is near.

    It goes some steps ahead at most: beyond may lie another fixed point, of a larger error.
    """
    step, before = third - second, second - first
    with np.errstate(all="ignore"):
        ahead = step / (before - step)  # distances left, of the size of the last step
    return third + step * np.clip(np.where(before * step > 0, ahead, 0.0), 0.0, _AHEAD)


def _iterated(
    unit: NDArray, mean: NDArray, deviation: NDArray, levels: int, signed: bool
) -> NDArray:
    """`E[a n] / E[n^2]`, the unit itself where nothing is sent."""
    sums = [_moments(mean, deviation, unit, levels)]
    if signed:
        sums.append(_moments(-mean, deviation, unit, levels))
    product, square = (sum(parts) for parts in zip(*sums, strict=True))
    with np.errstate(all="ignore"):
        return np.asarray(np.where(square > 0, product / square, unit))


def _moments(
    mean: NDArray, deviation: NDArray, unit: NDArray, levels: int
) -> tuple[NDArray, NDArray]:
    """`E[a n]` and `E[n^2]` of one sign: n counts the borders (i - 1/2) unit, i <= N, below a.

    With P(z > b) = erfc(c) / 2 and E[z; z > b] = mu P + sigma exp(-c^2) / sqrt(2 pi), where
    c = (b - mu) / (sqrt(2) sigma).
    """
    i = np.arange(1, levels + 1)
    with np.errstate(all="ignore"):
        c = (unit[:, None] * (i - 0.5) - mean[:, None]) / (np.sqrt(2.0) * deviation[:, None])
    c = np.nan_to_num(c, nan=40.0, posinf=40.0, neginf=-40.0)  # beyond 6 erf is one
    above = (1.0 - NUMPY.erf(c)) / 2.0
    product = mean[:, None] * above + deviation[:, None] * np.exp(-(c**2)) / np.sqrt(2.0 * np.pi)
    return product.sum(axis=1), (above * (2 * i - 1)).sum(axis=1)
