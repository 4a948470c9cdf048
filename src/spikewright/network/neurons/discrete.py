"""Neurons defined step by step, with a decay from one step to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arrays import EqualByValue
from spikewright.errors import NetworkError
from spikewright.network.neurons.base import (
    Array,
    ArrayNamespace,
    Clock,
    NeuronType,
    Scaling,
    State,
    no_gain_bias,
    register,
    settled_rates,
)
from spikewright.network.shapes import fixed_numbers

_RESETS = ("zero", "subtract")


class _Decaying(EqualByValue, NeuronType):
    """A state that decays by a factor a step, one for all neurons or one for each."""

    decay: NDArray
    scaling: Scaling = "refused"
    threshold_current = None

    @property
    def leaks(self) -> bool:  # type: ignore[override]
        """True with a factor below 1."""
        return bool(np.any(self.decay < 1))

    def __post_init__(self) -> None:
        super().__post_init__()
        decay = fixed_numbers(self, "decay")
        if not np.all((decay >= 0) & (decay <= 1)):
            raise NetworkError(f"{type(self).__name__}.decay must lie in 0..1, got {decay!r}")

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        like = np.broadcast_shapes(np.shape(current), self.decay.shape)
        return settled_rates(self, np.array(np.broadcast_to(current, like), np.float64))

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> NoReturn:
        no_gain_bias(self)


@register
@dataclass(frozen=True, eq=False)
class DiscreteLI(_Decaying):
    """A leaky integrator without spikes: `u := decay u + J`, and its output is `u`.

    `decay`, from 0 to 1, broadcasts to the population's shape; 1 is no leak. The state `potential`
    is `u`. Nothing in it depends on the length of a step.
    """

    decay: NDArray
    amplitude: float = 1.0
    negative = True
    above_zero = ("amplitude",)

    def initial_values(self) -> Mapping[str, float]:
        return {"potential": 0.0}

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        state["potential"] = xp.constant(self.decay) * state["potential"] + current
        return state["potential"]


@register
@dataclass(frozen=True, eq=False)
class DiscreteLIF(_Decaying):
    """Leaky integration from step to step: `v := decay v + J`, with a spike where `v > 1`.

    `decay`, from 0 to 1, broadcasts to the population's shape; 1 is no leak. With `reset` "zero"
    the threshold is strict, a neuron fires at most once a step, and `v := reset_voltage` then (one
    value, or one a neuron). With "subtract" every whole threshold in `v` is a spike and is
    subtracted, at most `max_spikes_per_step` in a step. Nothing in it depends on the length of a
    step.
    """

    decay: NDArray
    reset: Literal["zero", "subtract"] = "zero"
    reset_voltage: NDArray | float = 0.0
    max_spikes_per_step: int | None = None
    amplitude: float = 1.0
    spiking = True
    above_zero = ("amplitude",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reset not in _RESETS:
            raise NetworkError(f"DiscreteLIF.reset must be one of {_RESETS}, got {self.reset!r}")
        if np.any(fixed_numbers(self, "reset_voltage") > 1):
            raise NetworkError(
                "DiscreteLIF.reset_voltage must be at most the threshold, 1, got "
                f"{self.reset_voltage!r}"
            )

    @property
    def hard_reset(self) -> bool:  # type: ignore[override]
        """True with a reset to `reset_voltage`."""
        return self.reset == "zero"

    @property
    def most_spikes(self) -> int | None:
        return 1 if self.hard_reset else self.max_spikes_per_step

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        left = xp.constant(self.decay) * state["voltage"]
        if self.reset == "subtract":
            one = xp.constant(np.ones(()))
            counts, state["voltage"] = xp.integrate(
                left, current, one, cap=self.max_spikes_per_step
            )
            return counts
        voltage = left + current
        fired = xp.greater(voltage, 1.0)
        state["voltage"] = xp.where(fired, xp.constant(np.asarray(self.reset_voltage)), voltage)
        return xp.where(fired, 1.0, xp.zeros_like(voltage))
