"""Checks of the arguments of ready-made networks, and defaults that belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright.errors import NetworkError
from spikewright.network import Config, Ensemble
from spikewright.network.distributions import Choice, Exponential, Uniform
from spikewright.network.shapes import above_zero, finite


def free_name(owner: Any, name: Any, what: str) -> None:
    """Check the name of a new attribute; raises `NetworkError` where it is none, or taken."""
    if not (isinstance(name, str) and name.isidentifier()):
        raise NetworkError(f"{owner!r}: the name of {what} is an identifier, got {name!r}")
    if hasattr(owner, name):
        raise NetworkError(f"{owner!r} has an attribute {name!r} already; choose another name")


def vectors(value: Any, what: str) -> NDArray:
    """`(n, dimensions)` finite numbers; raises `NetworkError` naming `what` otherwise."""
    array = finite(value, what, truth_values=True)
    if array.ndim != 2 or array.size == 0:
        raise NetworkError(f"{what} must be (n, dimensions) numbers, got shape {array.shape}")
    return array


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
