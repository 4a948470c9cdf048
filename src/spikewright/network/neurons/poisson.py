"""Poisson numbers of any mean, at a cost that does not grow with it."""

from __future__ import annotations

import math
from collections.abc import Callable

from spikewright.network.neurons.base import Array, ArrayNamespace

_LARGE = 16.0
"""The mean above which numbers are drawn by rejection instead of inversion."""
_MOST_COUNTS = 100  # beyond it the probability left at a mean of 16 is below 1e-45
_MOST_ATTEMPTS = 128  # three of four or more are accepted: all are by then
_SHIFT = 8  # from where Stirling's series holds to 1e-13
_STIRLING = (-691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)  # highest power first
_LEAST = 2.0**-54  # keeps a division finite


def poisson_counts(xp: ArrayNamespace, mean: Array, uniform: Callable[[int], Array]) -> Array:
    """A Poisson number for each mean, from the draws `uniform(0)`, `uniform(1)`, ... from 0 to 1.

    Small means by inversion of the distribution, large ones by transformed rejection (PTRS, Hörmann
    1993, Insurance: Mathematics and Economics 12, 39-45). A number depends on its own mean and
    draws alone. Means that are not finite are returned as they are.
    """
    finite = xp.isfinite(mean)
    large = finite & (mean > _LARGE)
    counts = _by_inversion(xp, xp.where(finite & ~large, mean, 0.0), uniform(0))
    if bool(large.any()):
        drawn = _by_rejection(xp, xp.where(large, mean, _LARGE), uniform)
        counts = xp.where(large, drawn, counts)
    return xp.where(finite, counts, mean)


def _by_inversion(xp: ArrayNamespace, mean: Array, uniform: Array) -> Array:
    probability = xp.exp(-mean)
    cumulative = probability
    counts = xp.zeros_like(mean)
    for k in range(1, _MOST_COUNTS + 1):
        above = uniform > cumulative
        if not bool(above.any()):
            break
        counts = counts + xp.where(above, 1.0, 0.0)
        probability = probability * mean / k
        cumulative = cumulative + probability
    return counts


def _by_rejection(xp: ArrayNamespace, mean: Array, uniform: Callable[[int], Array]) -> Array:
    """For means from 10: a ratio of uniforms, transformed so that few of them are rejected."""
    b = 0.931 + 2.53 * xp.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    counts, waiting = mean, mean > 0.0
    for attempt in range(_MOST_ATTEMPTS):
        u, v = uniform(2 * attempt) - 0.5, 1.0 - uniform(2 * attempt + 1)
        edge = xp.maximum(0.5 - xp.abs(u), _LEAST)
        tried = xp.floor((2.0 * a / edge + b) * u + mean + 0.43)
        accepted = (edge >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2.0))
        height = xp.log(v * inverse_alpha / (a / (edge * edge) + b))
        within = (tried >= 0.0) & ((edge >= 0.013) | (v <= edge))
        likely = height <= _log_probability(xp, xp.maximum(tried, 0.0), mean)
        found = waiting & (accepted | (within & likely))
        counts = xp.where(found, tried, counts)
        waiting = waiting & ~found
        if not bool(waiting.any()):
            break
    return counts


def _log_probability(xp: ArrayNamespace, counts: Array, mean: Array) -> Array:
    """`ln(mean^k exp(-mean) / k!)`, as precise for large means as for small ones.

    By Stirling's series of `ln n!` at `n = k + 8`, and the ratios of the factors between, so that
    nothing large is subtracted from anything large.
    """
    n = counts + float(_SHIFT)
    away = (mean - n) / n
    between = (counts + 1.0) / mean
    for i in range(2, _SHIFT + 1):
        between = between * ((counts + float(i)) / mean)
    inverse = 1.0 / n
    square = inverse * inverse
    series = 0.0
    for term in _STIRLING:
        series = term + square * series
    stirling = 0.5 * xp.log(2.0 * math.pi * n) + inverse * series
    return n * (xp.log1p(away) - away) - stirling + xp.log(between)
