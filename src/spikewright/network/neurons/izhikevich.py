"""Izhikevich's neuron, and the type of ensembles without neurons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.arrays import EqualByValue
from spikewright.errors import NetworkError
from spikewright.network.attributes import fixed
from spikewright.network.neurons.base import (
    Array,
    ArrayNamespace,
    Clock,
    NeuronType,
    State,
    each_of,
    register,
    settled_rates,
)

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

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return settled_rates(self, np.asarray(current, np.float64))

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
