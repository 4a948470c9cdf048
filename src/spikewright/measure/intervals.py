"""Confidence intervals: proportions, differences of paired ones, means, roots of ratios.

And the probabilities that exact ones and certificates need: binomial counts, Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright.errors import SimulationError

Interval = tuple[float, float]

_GRID, _FAR = 4001, 40.0  # points of an integral, and how many deviations it reaches
_HALVINGS = 50  # of an interval in which a share is looked for


def wilson_interval(hits: float, n: int, confidence: float = 0.95) -> Interval:
    """The confidence interval of the fraction `hits / n`: the score interval (Wilson 1927)."""
    p, z = hits / n, _quantile(confidence)
    z2 = z * z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return min(low, p), max(high, p)  # rounding must not leave out what was found


def exact_interval(hits: int, n: int, confidence: float = 0.95) -> Interval:
    """The confidence interval of the fraction `hits / n` that holds the truth at least as often.

    Both tails have the same chance at most (Clopper & Pearson, Biometrika 26, 404-413, 1934).
    """
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _solve(lambda p: 1 - at_most(hits - 1, n, p) > tail)
    high = 1.0 if hits == n else _solve(lambda p: at_most(hits, n, p) <= tail)
    return low, high


def _solve(above: Callable[[float], bool]) -> float:
    """The share at which a condition begins to hold, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if above(middle) else (middle, high)
    return high


def at_most(count: int, n: int, share: float) -> float:
    """The probability of at most `count` hits among n, each with the chance `share`."""
    counts, logs = np.arange(count + 1), log_factorials(n)
    log = (
        logs[n] - logs[counts] - logs[n - counts]
        + times_log(counts, share) + times_log(n - counts, 1 - share)
    )  # fmt: skip
    return float(np.exp(log).sum())


@lru_cache(maxsize=8)
def log_factorials(n: int) -> NDArray:
    """The logarithms of 0! to n!, `(n + 1,)`."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def times_log(count: NDArray, share: float) -> NDArray:
    """`count * log(share)`, 0 where both are 0."""
    if share > 0:
        return count * math.log(share)
    return np.where(count > 0, -np.inf, 0.0)


def student_tail(t: float, freedom: int) -> float:
    """The probability that Student's t with so many degrees of freedom is at least `t`.

    With `t = tan(u) sqrt(freedom)` its density goes as `cos(u)^(freedom - 1)`.
    """
    if t < 0:
        return 1.0 - student_tail(-t, freedom)
    start = math.atan(t / math.sqrt(freedom))
    end = min(math.pi / 2, start + _FAR / math.sqrt(freedom))
    heights = np.cos(np.linspace(start, end, _GRID)) ** (freedom - 1)
    logs = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(math.pi) / 2
    mean = float(heights[1:-1].sum() + (heights[0] + heights[-1]) / 2) / (_GRID - 1)
    return min(1.0, mean * (end - start) * math.exp(logs))


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
    return normal_quantile(0.5 + confidence / 2)


def normal_quantile(chance: float) -> float:
    """The standard normal value that is exceeded with `1 - chance`."""
    from statistics import NormalDist  # late: it takes a while to import

    return NormalDist().inv_cdf(chance)
