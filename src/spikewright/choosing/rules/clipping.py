"""Rules that cut off large values: percentiles, and thresholds that grow until few are cut off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright._base.schema import AboveZero, Positive
from spikewright.choosing.rules.context import NeuronConfig
from spikewright.choosing.rules.rule import LayerRule, Percent, ScaleRule, register
from spikewright.choosing.statistics.statistics import LayerStatistics, Sharing


@register("percentile")
@dataclass(frozen=True)
class Percentile(LayerRule):
    """theta = the `percentile` of the magnitudes that a layer (or each channel) sends.

    At most `100 - percentile` % of the values are cut off by one-spike neurons, and outliers do not
    make all others coarse; 100 is Diehl's largest value. Steps of `dt` seconds. `per="auto"` is
    "layer", but "channel" where ranges differ so much that one threshold would silence channels:
    where a fifth of them have largest values below an eighth of the layer's.

    Law: theta(c x) = c theta(x). Source: Rueckauer et al. 2017, Front. Neurosci. 11:682, eq. 11;
    Diehl et al. 2015, IJCNN (largest value).
    """

    percentile: Percent = 99.9
    dt: AboveZero = 0.001
    per: Sharing = "auto"

    @classmethod
    def compared(cls, steps: int, dt: float, cap: int | None) -> dict[str, ScaleRule]:
        """The percentile of channels, where a cap bounds spikes."""
        return {} if cap is None else {cls.__name__: cls(dt=dt, per="channel")}

    @classmethod
    def searched(cls) -> dict[str, ScaleRule | None]:
        """The percentiles of layers and of channels."""
        return {"percentile": cls(per="layer"), "channel percentile": cls(per="channel")}

    def threshold(self, layer: LayerStatistics, setting: NeuronConfig) -> NDArray:
        """See the class."""
        return percentile_of(layer, self.percentile, self.per)


def percentile_of(layer: LayerStatistics, percentile: float, per: Sharing) -> NDArray:
    """A percentile of the magnitudes; the largest where so many are zero that it is zero."""
    magnitudes = layer.magnitude(per)
    found = magnitudes.percentile(percentile)
    return np.where(found > 0, found, magnitudes.highest.astype(float))


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

    def threshold(self, layer: LayerStatistics, setting: NeuronConfig) -> NDArray:
        """See the class."""
        return percentile_of(layer, self.percentile, self.per)


@register("local-threshold-balancing")
@dataclass(frozen=True)
class LocalThresholdBalancing(LayerRule):
    """theta <- theta + 2 E[max(a - theta, 0)] from 0, `iterations` times, per channel.

    theta is the value of one spike a step of `dt` seconds.

    Each iteration is a gradient step on the squared error of cutting off at theta, E[(a -
    min(a, theta))^2]; few steps leave the tail of a distribution cut off, which is the point: with
    ever more theta tends to the largest value. The paper takes one step a batch, of values behind
    thresholds as they are so far; here every step sees all of the data, and the source's values,
    so that order and batches do not matter.

    Law: theta(c x) = c theta(x); theta grows with the iterations, up to the largest value.
    Source: Bu et al. 2024, Inference-Scale Complexity in ANN-SNN Conversion, arXiv 2409.03368,
    algorithm 1.
    """

    iterations: Positive = 100
    dt: AboveZero = 0.001
    per: Sharing = "channel"
    tried = "capped"

    def threshold(self, layer: LayerStatistics, setting: NeuronConfig) -> NDArray:
        """See the class."""
        magnitudes = layer.magnitude(self.per)
        theta = np.zeros(magnitudes.channels)
        for _ in range(self.iterations):
            theta = theta + 2.0 * magnitudes.excess(theta)
        return np.minimum(theta, magnitudes.highest)
