"""Neurons defined step by step, Izhikevich's, and the type of ensembles without neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import EqualByValue, is_number
from spikewright.errors import NetworkError
from spikewright.network.attributes import fixed
from spikewright.network.neurons.base import (
    NeuronType,
    Scaling,
    State,
    no_gain_bias,
    register,
    settled_rates,
)
from spikewright.network.neurons.namespace import Array, ArrayNamespace, Clock, each_of
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

    gain_bias = no_gain_bias


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


_PEAK, _LEAST_CURRENT = 30.0, -30.0
_MILLISECONDS = 1000.0


@register
@dataclass(frozen=True, eq=False)
class Izhikevich(EqualByValue, NeuronType):
    """Quadratic integrate-and-fire with recovery (Izhikevich 2003), voltages in mV, per ms.

    `v += 0.04 v^2 + 5 v + 140 - u + max(J, -30)`; at 30 mV it fires and `v = reset_voltage`; then
    `u += tau_recovery (coupling v - u)`, and `reset_recovery` more where it fired. `tau_recovery`
    is per ms. Each parameter may have a value for each neuron. The voltage starts at the ensemble's
    initial voltage in mV. `rates` runs the neuron: the mean of 1 s after 1 ms.
    """

    tau_recovery: float | NDArray = 0.02
    coupling: float | NDArray = 0.2
    reset_voltage: float | NDArray = -65.0
    reset_recovery: float | NDArray = 8.0
    spiking = True
    leaks = True
    hard_reset = True
    scaling = "refused"
    threshold_current = None
    above_zero = ("tau_recovery",)
    per_neuron = ("tau_recovery", "coupling", "reset_voltage", "reset_recovery")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("coupling", "reset_voltage", "reset_recovery"):
            if name not in self.arrays and not is_number(getattr(self, name)):
                raise NetworkError(
                    f"Izhikevich.{name} must be a finite number, got {getattr(self, name)!r}"
                )

    @property
    def most_spikes(self) -> int:
        return 1

    def initial_values(self) -> Mapping[str, float]:
        return {"recovery": 0.0}

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        v, u = state["voltage"], state["recovery"]
        time = _MILLISECONDS * clock.dt
        drive = xp.maximum(current, _LEAST_CURRENT)
        v = v + time * (0.04 * v * v + 5.0 * v + 140.0 - u + drive)
        fired = xp.greater_equal(v, _PEAK)
        pace, coupling = each_of(xp, self.tau_recovery), each_of(xp, self.coupling)
        v = xp.where(fired, each_of(xp, self.reset_voltage), v)
        u = u + time * pace * (coupling * v - u)
        state["voltage"] = v
        state["recovery"] = xp.where(fired, u + each_of(xp, self.reset_recovery), u)
        return xp.where(fired, 1.0, xp.zeros_like(v))


@fixed
@dataclass(frozen=True)
class Direct(NeuronType):
    """No neurons: an ensemble sends its input, and functions of it are computed exactly."""

    scaling = "refused"

    def rates(self, xp: ArrayNamespace, current: Array) -> NoReturn:
        raise NetworkError("Direct has no neurons, and so no rates")

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> NoReturn:
        raise NetworkError("Direct has no neurons to step")

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> NoReturn:
        raise NetworkError("Direct has no neurons, and so no gain or bias")
