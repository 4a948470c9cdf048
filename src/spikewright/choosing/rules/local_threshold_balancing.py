"""Thresholds that grow by the values that they cut off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright._base.schema import AboveZero, Positive
from spikewright.choosing.rules.case import NeuronSetting
from spikewright.choosing.rules.rule import LayerRule, register
from spikewright.choosing.statistics.statistics import LayerStatistics, Sharing


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

    def threshold(self, layer: LayerStatistics, setting: NeuronSetting) -> NDArray:
        """See the class."""
        magnitudes = layer.magnitude(self.per)
        theta = np.zeros(magnitudes.channels)
        for _ in range(self.iterations):
            theta = theta + 2.0 * magnitudes.excess(theta)
        return np.minimum(theta, magnitudes.highest)
