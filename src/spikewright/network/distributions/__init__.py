"""Distributions, from which parameters of populations are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network.distributions.base import DISTRIBUTIONS, Distribution, register
from spikewright.network.distributions.scalar import (
    PDF,
    Choice,
    CosineSimilarity,
    Exponential,
    Gaussian,
    Samples,
    SqrtBeta,
    SubvectorLength,
    Uniform,
)
from spikewright.network.distributions.sphere import (
    QuasirandomSequence,
    ScatteredHypersphere,
    UniformHypersphere,
)

__all__ = [
    "DISTRIBUTIONS",
    "PDF",
    "Choice",
    "CosineSimilarity",
    "Distribution",
    "Exponential",
    "Gaussian",
    "QuasirandomSequence",
    "Samples",
    "ScatteredHypersphere",
    "SqrtBeta",
    "SubvectorLength",
    "Uniform",
    "UniformHypersphere",
    "as_points",
    "register",
]


def as_points(
    given: Distribution | NDArray, n: int | None, d: int, rng: np.random.Generator
) -> NDArray:
    """`(n, d)` points, drawn, or those given; `n=None`: however many were given.

    Raises `NetworkError` for points of another shape and for values that are not finite.
    """
    if isinstance(given, Distribution):
        points: Any = given.draw(1 if n is None else n, d, rng)
    else:
        points = np.asarray(given, np.float64)
    wanted = (len(points) if n is None and points.ndim else n, d)
    if points.shape != wanted or not np.all(np.isfinite(points)):
        many = "any number" if n is None else n
        raise NetworkError(f"({many}, {d}) finite values are needed, got shape {points.shape}")
    found: NDArray = points
    return found
