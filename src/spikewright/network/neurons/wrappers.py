"""Spiking forms of any rate type.

A scale acts on the spiking of these forms, never on the response.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network.neurons.base import NeuronType, State, register
from spikewright.network.neurons.namespace import (
    Array,
    ArrayNamespace,
    Clock,
    either_sign,
    integrated,
)

_MOST_AT_ONCE = 2.0**20  # spikes a step: beyond, what is left of the charge is lost to rounding


def _of_base(name: str) -> Any:
    """A property that is the base type's."""
    return property(lambda self: getattr(self.base_type, name), doc="As the base type.")


@dataclass(frozen=True)
class _Wrapper(NeuronType):
    """A spiking type whose rate is that of its `base_type`, amplitude included."""

    base_type: NeuronType
    amplitude: float = 1.0
    spiking = True
    negative = _of_base("negative")
    guarded = _of_base("guarded")

    def __post_init__(self) -> None:
        if not isinstance(self.base_type, NeuronType) or self.base_type.spiking:
            raise NetworkError(
                f"{type(self).__name__}.base_type must be a rate type such as Sigmoid(), "
                f"got {self.base_type!r}"
            )
        if self.base_type.starts:
            raise NetworkError(
                f"{type(self).__name__} takes rates from its base_type, which keeps no state "
                f"there: leave initial_state={self.base_type.starts!r} out of it"
            )
        super().__post_init__()

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        rates = self.base_type.rates(xp, current)
        amplitude = self.base_type.amplitude
        return rates if amplitude == 1.0 else rates * amplitude

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> tuple[NDArray, NDArray]:
        return self.base_type.gain_bias(max_rates, intercepts)

    def intercepts(self, gain: NDArray, bias: NDArray) -> NDArray:
        return self.base_type.intercepts(gain, bias)


@register
@dataclass(frozen=True)
class RegularSpiking(_Wrapper):
    """Integrates the base type's rate at the present current: `v += f(J) s dt; k = floor(v)`.

    At a constant current its mean rate is `f(J)`, in Hz. At a current of spikes it is the mean of
    `f(J)`, which for a nonlinear `f` is not `f` of the mean; use `RunningMeanSpiking` there.
    """

    made_names = ("rate_out",)

    def voltage_unit(self, threshold: Array) -> Array:
        return threshold

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        rates = state["rate_out"] = self.rates(xp, current)
        least = None if self.negative else 0.0
        return integrated(xp, state, rates, clock, least=least)


@register
@dataclass(frozen=True)
class RunningMeanSpiking(_Wrapper):
    """A signed integrator fed with `t f(m_t) - (t-1) f(m_(t-1))`, `m_t` the running mean of `J`.

    `t` counts steps. The increments sum to `t f(m_t)`, so the time mean tends to `f` of the mean
    current with an error falling as 1/t, for any `f` and any order of arrival. Negative spikes
    correct spikes that were sent too early (expectation compensation, Huang et al. 2024,
    arXiv:2406.03470). It sends nothing while `f` of the running mean is not finite, or a million
    spikes away. It sends at most `max_spikes_per_step` of either sign a step where that is given;
    the rest follows later.
    """

    max_spikes_per_step: int | None = None
    rate_consistent = True
    order_independent = True

    @property
    def negative(self) -> bool:  # type: ignore[override]
        """True: corrections may be negative for every base type."""
        return True

    def voltage_unit(self, threshold: Array) -> Array:
        return threshold

    def initial_values(self) -> Mapping[str, float]:
        return {"total_current": 0.0, "sent": 0.0}

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        total = state["total_current"] + current
        target = clock.step * self.rates(xp, total / clock.step)
        if self.guarded:
            target = _within_reach(xp, target, state["sent"], clock.threshold)
        bounds = either_sign(self.max_spikes_per_step)
        counts = integrated(xp, state, target - state["sent"], clock, **bounds)
        state["total_current"], state["sent"] = total, target
        return counts


def _within_reach(xp: ArrayNamespace, target: Array, sent: Array, threshold: Array) -> Array:
    """The target, or the number sent so far where the target is too far away."""
    with np.errstate(invalid="ignore"):
        near = xp.abs(target - sent) <= _MOST_AT_ONCE * threshold  # false for NaN
    return xp.where(near, target, sent)


class _RandomSpiking(_Wrapper):
    """A wrapper that draws its spikes at random, with the mean `|f(J)| s dt`."""

    stochastic = True
    made_names = ("rate_out",)

    @property
    def has_voltage(self) -> bool:
        return False

    @abstractmethod
    def drawn(self, xp: ArrayNamespace, mean: Array, clock: Clock) -> Array:
        """Numbers of spikes with this mean."""

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        rates = state["rate_out"] = self.rates(xp, current)
        return self.drawn(xp, xp.abs(rates) / clock.threshold, clock) * xp.sign(rates)


@register
@dataclass(frozen=True)
class StochasticSpiking(_RandomSpiking):
    """`floor(|f(J)| s dt)` spikes a step, and one more with the probability of the remainder."""

    def drawn(self, xp: ArrayNamespace, mean: Array, clock: Clock) -> Array:
        whole = xp.floor(mean)
        return whole + xp.where(clock.uniform(0) < mean - whole, 1.0, 0.0)


@register
@dataclass(frozen=True)
class PoissonSpiking(_RandomSpiking):
    """A Poisson number of spikes with mean `|f(J)| s dt`; large means cost no more than small."""

    def drawn(self, xp: ArrayNamespace, mean: Array, clock: Clock) -> Array:
        return poisson_counts(xp, mean, clock.uniform)


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
