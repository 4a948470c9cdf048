"""Spiking forms of any rate type.

A scale acts on the spiking of these forms, never on the response.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network.neurons.base import (
    Array,
    ArrayNamespace,
    Clock,
    NeuronType,
    State,
    either_sign,
    register,
)
from spikewright.network.neurons.poisson import poisson_counts

_MOST_AT_ONCE = 2.0**20  # spikes a step: beyond, what is left of the charge is lost to rounding


def _of_base(name: str) -> Any:
    """A property that is the base type's."""
    return property(lambda self: getattr(self.base_type, name), doc="As the base type.")


@dataclass(frozen=True)
class _Wrapper(NeuronType):
    """A spiking type whose rate is that of its `base_type`, amplitude included."""

    base_type: NeuronType
    amplitude: float = 1.0
    above_zero = ("amplitude",)
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
        counts, state["voltage"] = xp.integrate(
            state["voltage"], rates, clock.threshold, least=least
        )
        return counts


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
    follows_mean = True
    follows_sum = True

    @property
    def most_spikes(self) -> int | None:
        return self.max_spikes_per_step

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
        counts, state["voltage"] = xp.integrate(
            state["voltage"],
            target - state["sent"],
            clock.threshold,
            **either_sign(self.max_spikes_per_step),
        )
        state["total_current"], state["sent"] = total, target
        return counts


def _within_reach(xp: ArrayNamespace, target: Array, sent: Array, threshold: Array) -> Array:
    """The target, or the number sent so far where the target is too far away."""
    with np.errstate(invalid="ignore"):
        near = xp.abs(target - sent) <= _MOST_AT_ONCE * threshold  # false for NaN
    return xp.where(near, target, sent)


class _Drawn(_Wrapper):
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
class StochasticSpiking(_Drawn):
    """`floor(|f(J)| s dt)` spikes a step, and one more with the probability of the remainder."""

    def drawn(self, xp: ArrayNamespace, mean: Array, clock: Clock) -> Array:
        whole = xp.floor(mean)
        return whole + xp.where(clock.uniform(0) < mean - whole, 1.0, 0.0)


@register
@dataclass(frozen=True)
class PoissonSpiking(_Drawn):
    """A Poisson number of spikes with mean `|f(J)| s dt`; large means cost no more than small."""

    def drawn(self, xp: ArrayNamespace, mean: Array, clock: Clock) -> Array:
        return poisson_counts(xp, mean, clock.uniform)
