"""A percentile of the layer's neurons fires at a given rate."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from spikewright._base.schema import AboveZero
from spikewright.choosing.rules.case import Setting
from spikewright.choosing.rules.percentile import percentile_of
from spikewright.choosing.rules.rule import LayerRule, Percent, register
from spikewright.choosing.statistics.statistics import LayerStatistics, Sharing


@register("target-rate")
@dataclass(frozen=True)
class TargetRate(LayerRule):
    """s = hz / (the `percentile` of the magnitudes that a layer, or each channel, sends).

    A neuron whose value is a fires at s a spikes a second, so `percentile` % of a layer's values
    are sent at `hz` or slower, whatever the step. `per` is as in `Percentile`.

    Law: the `percentile` of the measured firing rates is `hz`, to one spike a run. It is
    `Percentile` with a step of 1 / hz seconds; source: Rueckauer et al. 2017, Front. Neurosci.
    11:682; a given rate is NengoDL's practice (Rasmussen 2019, Neuroinformatics 17:611).
    """

    hz: AboveZero
    percentile: Percent = 99.9
    per: Sharing = "auto"

    @property
    def period(self) -> float:
        """Seconds between the spikes of a neuron at the percentile."""
        return 1.0 / self.hz

    def threshold(self, layer: LayerStatistics, setting: Setting) -> NDArray:
        """See the class."""
        return percentile_of(layer, self.percentile, self.per)
