"""Confidence intervals: proportions, differences of paired ones, means, roots of ratios."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright.errors import SimulationError

Interval = tuple[float, float]


def wilson_interval(hits: float, n: int, confidence: float = 0.95) -> Interval:
    """The confidence interval of the fraction `hits / n`: the score interval (Wilson 1927)."""
    p, z = hits / n, _quantile(confidence)
    z2 = z * z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return min(low, p), max(high, p)  # rounding must not leave out what was found


def paired_interval(
    both: int, first: int, second: int, neither: int, confidence: float = 0.95
) -> Interval:
    """The confidence interval of the difference of two proportions on the same samples.

    Of n samples `both` counts those that hit in both ways, `first` and `second` those that hit in
    one way alone; the difference is `(first - second) / n`. Newcombe's method 10: the two score
    intervals joined with the correlation of the pairs (Statistics in Medicine 17, 2635-2650, 1998).
    Raises `SimulationError` for no samples.
    """
    n = both + first + second + neither
    if n < 1:
        raise SimulationError("an interval needs at least one sample")
    p, q = (both + first) / n, (both + second) / n
    low, high = wilson_interval(both + first, n, confidence)
    other_low, other_high = wilson_interval(both + second, n, confidence)
    phi = _correlation(both, first, second, neither)
    below, above = p - low, high - p
    other_below, other_above = q - other_low, other_high - q
    return (
        max(-1.0, p - q - _joined(below, other_above, phi)),
        min(1.0, p - q + _joined(above, other_below, phi)),
    )


def drop_interval(before: NDArray, after: NDArray, confidence: float = 0.95) -> Interval | None:
    """The confidence interval of a mean drop, from scores `(n,)` of the same samples.

    That of paired proportions where every score is 0 or 1, else the normal one; None of one sample.
    """
    if not all(np.all((scores == 0) | (scores == 1)) for scores in (before, after)):
        return mean_interval(before - after, confidence)
    hit, kept = before == 1, after == 1
    pairs = (hit & kept, hit & ~kept, ~hit & kept, ~hit & ~kept)
    both, first, second, neither = (int(np.sum(pair)) for pair in pairs)
    return paired_interval(both, first, second, neither, confidence)


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    """Newcombe's continuity-corrected correlation of the pairs."""
    n = both + first + second + neither
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    if product == 0:
        return 0.0
    covariance: float = both * neither - first * second
    if covariance > 0:
        covariance = max(covariance - n / 2, 0)
    return covariance / math.sqrt(product)


def _joined(a: float, b: float, phi: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))


def mean_interval(values: NDArray, confidence: float = 0.95) -> Interval | None:
    """The normal interval of the mean of independent values `(n,)`; None of a single one."""
    n = len(values)
    if n < 2:
        return None
    mean = float(values.mean())
    half = _quantile(confidence) * float(values.std(ddof=1)) / math.sqrt(n)
    return mean - half, mean + half


def root_ratio_interval(top: NDArray, bottom: NDArray, confidence: float = 0.95) -> Interval | None:
    """The confidence interval of `sqrt(sum(top) / sum(bottom))`; None of a single pair.

    The ratio's standard error is that of the ratio estimator (Cochran, Sampling Techniques, 1977,
    section 6.4); the root is taken of its normal interval, cut at 0. Both arrays are `(n,)`;
    `sum(bottom)` is above 0.
    """
    n = len(top)
    if n < 2:
        return None
    base = float(bottom.mean())
    ratio = float(top.mean()) / base
    spread = float(np.std(top - ratio * bottom, ddof=1)) / (base * math.sqrt(n))
    half = _quantile(confidence) * spread
    return math.sqrt(max(0.0, ratio - half)), math.sqrt(ratio + half)


def _quantile(confidence: float) -> float:
    """The reach of a two-sided interval, in standard deviations."""
    if not (is_number(confidence) and 0 < confidence < 1):
        raise SimulationError(f"confidence must lie between 0 and 1, got {confidence!r}")
    from statistics import NormalDist  # late: it takes a while to import

    return NormalDist().inv_cdf(0.5 + confidence / 2)
