"""The threshold at which the values that spikes can express are closest to the layer's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from spikewright._base.schema import Where
from spikewright.choosing.rules.case import NeuronSetting, SpikeCode
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
        """With steps to spare; where nothing bounds spikes, with room for several a step.

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
        """One for few levels."""
        return {"minimum error": cls(4, spikes_per_step=1)}

    def threshold(self, layer: LayerStatistics, setting: NeuronSetting) -> NDArray:
        """See the class; candidates are searched from coarse to fine."""
        cap, window = self.cap(setting), self.window(setting)
        assumed = sum(setting.assumed_in(window, self.steps))
        usable: float = cap
        if self.share < 1 and setting.heights:
            usable = cap * self.share
        elif self.share < 1:
            usable = (_counted_on(self.share, self.most(setting)) - assumed) / window
        return best_threshold(layer.sends(self.per), setting.code(window, self.steps, usable))


def _counted_on(share: float, most: float) -> float:
    """Of at most so many spikes those that are counted on: whole ones, at least one."""
    return max(1.0, float(np.floor(share * most)))


def _named(rule: MinimumError) -> str:
    return "MinimumError" + (f", {rule.share:.0%} of the steps" if rule.share < 1 else "")


def best_threshold(values: Histogram, code: SpikeCode) -> NDArray:
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
