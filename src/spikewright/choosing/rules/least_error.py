"""Rules that take the threshold of least error, for the data or for normally distributed values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright._base.schema import Where
from spikewright.choosing.rules.context import NeuronConfig, SpikeQuantizer
from spikewright.choosing.rules.rule import ScaleRule, StepsRule, register
from spikewright.choosing.statistics.histogram import Histogram
from spikewright.choosing.statistics.statistics import LayerStatistics

Share = Annotated[float, Where(lambda x: 0 < x <= 1, "above 0 and at most 1, all steps")]
"""A share of the steps."""

_SMALLEST = 1.0 / 128  # of the largest value: below, cutting off always costs more than it saves
_COARSE, _FINE, _ROUNDS = 81, 17, 2
_ROOM = (1, 2, 4, 8)  # spikes a step to make room for where nothing bounds them
_SHARES = (0.9, 0.75)  # of the steps, in which a neuron is counted on to spike


@register("minimum-error")
@dataclass(frozen=True)
class MinimumError(StepsRule):
    """theta = argmin E[(theta / T clip(floor(a T / theta + v0), -c T, c T) - a)^2] over the data.

    The mean that one neuron sends in T = `steps` steps of `dt` seconds, if its input arrives
    evenly, against the value a that it stands for, per layer or `per="channel"`: a large theta
    rounds, a small one cuts off. v0 is the start that `sw.convert` is given ("half" rounds, "zero"
    floors, "uniform" is averaged over), c the cap on spikes a step; `spikes_per_step` makes room
    for that many where there is no cap (or a larger one). With `readout="last"` T is the number of
    steps that the layer's synapse averages over.

    `share` is that of the steps in which a neuron is counted on to spike: at 0.8 values up to 0.8 c
    theta fit, and the other steps are there to catch up in. Deep networks with a cap want this:
    there input comes unevenly, and a neuron that would have to spike in every step falls behind for
    good.

    Law: no threshold has a smaller error on the calibration data (to the histogram's resolution).
    Source: the MMSE threshold of Li et al. 2021, ICML, A Free Lunch From ANN (arXiv 2106.06984).
    """

    share: Share = 1.0

    @classmethod
    def compared(cls, steps: int, dt: float, cap: int | None) -> dict[str, ScaleRule]:
        """The rule with steps reserved; where nothing bounds spikes, also with several a step.

        Of shares that count on equally many spikes one.
        """
        if cap is None:
            return {
                f"MinimumError, room for {most} spikes a step": cls(
                    steps, dt=dt, spikes_per_step=most
                )
                for most in _ROOM
            }
        by_spikes: dict[float, MinimumError] = {steps * cap: cls(steps, dt=dt)}
        for share in _SHARES:
            by_spikes.setdefault(_counted_on(share, steps * cap), cls(steps, dt=dt, share=share))
        return {_named(rule): rule for rule in by_spikes.values()}

    @classmethod
    def searched(cls) -> dict[str, ScaleRule | None]:
        """The rule for few levels."""
        return {"minimum error": cls(4, spikes_per_step=1)}

    def threshold(self, layer: LayerStatistics, setting: NeuronConfig) -> NDArray:
        """See the class; candidates are searched from coarse to fine."""
        cap, window = self.cap(setting), self.window(setting)
        usable: float = cap
        if self.share < 1 and setting.heights:
            usable = cap * self.share
        elif self.share < 1:
            usable = _counted_on(self.share, self.most(setting)) / window
        return best_threshold(layer.sends(self.per), setting.code(window, self.steps, usable))


def _counted_on(share: float, most: float) -> float:
    """Of at most so many spikes those that are counted on: whole ones, at least one."""
    return max(1.0, float(np.floor(share * most)))


def _named(rule: MinimumError) -> str:
    return "MinimumError" + (f", {rule.share:.0%} of the steps" if rule.share < 1 else "")


def best_threshold(values: Histogram, code: SpikeQuantizer) -> NDArray:
    """The thresholds `(channels,)` of smallest error under a cap; 0 for channels of zeros alone."""
    largest = np.maximum(values.highest, -values.lowest).clip(0).astype(float) / code.most
    where = np.log(np.full(len(largest), _SMALLEST) ** 0.5)  # the middle of the range, in logs
    span = -np.log(_SMALLEST) / 2
    for points in (_COARSE, *[_FINE] * _ROUNDS):
        shifts = np.linspace(span, -span, points)
        errors = [code.error(values, largest * np.exp(where + shift)) for shift in shifts]
        where = where + shifts[np.argmin(errors, axis=0)]
        span = 2 * span / (points - 1)
    return largest * np.exp(where)


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

    def threshold(self, layer: LayerStatistics, setting: NeuronConfig) -> NDArray:
        """See the class; 0 for channels whose currents are all 0."""
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
