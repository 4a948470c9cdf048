"""Defaults that belong together."""

from __future__ import annotations

import numpy as np

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.modelling.networks.checks import above_zero
from spikewright.network import Config, Ensemble
from spikewright.network.distributions import Choice, Exponential, Uniform

POSITIVE = Choice(np.ones((1, 1)))
"""Encoders of one value that point upwards."""

# How much of the way from the threshold to the radius intercepts may cover: at the end of it a
# neuron's gain, which falls as its distance from the radius, would be boundless.
_COVERED = 0.9


class ThresholdingEnsembles(Config):
    """Defaults for ensembles of one value that are silent below `threshold`.

    All encoders are positive; intercepts begin at the threshold and are exponentially distributed
    above it, over `intercept_width` of the radius, so that the threshold is sharp; evaluation
    points lie above it. Use it as `with ThresholdingEnsembles(0.3):`. Raises `NetworkError` unless
    the threshold lies between `-radius` and `radius`.
    """

    def __init__(
        self, threshold: float, intercept_width: float = 0.15, radius: float = 1.0
    ) -> None:
        super().__init__(Ensemble)
        scale = above_zero(radius, "ThresholdingEnsembles: radius")
        width = above_zero(intercept_width, "ThresholdingEnsembles: intercept_width")
        if not (is_number(threshold) and -scale < threshold < scale):
            raise NetworkError(
                f"ThresholdingEnsembles: threshold must lie between -radius and radius = {scale}, "
                f"got {threshold!r}"
            )
        start = float(threshold) / scale
        defaults = self[Ensemble]
        defaults.radius = scale
        defaults.encoders = POSITIVE
        defaults.intercepts = Exponential(width, start, start + _COVERED * (1.0 - start))
        defaults.eval_points = Uniform(start, 1.0)
