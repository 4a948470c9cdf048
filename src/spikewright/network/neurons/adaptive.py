"""Leaky integrate-and-fire neurons with adaptation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from numpy.typing import NDArray

from spikewright._base.arrays import EqualByValue
from spikewright.network.neurons.base import (
    Array,
    ArrayNamespace,
    Clock,
    NeuronType,
    Scaling,
    State,
    each_of,
    register,
)
from spikewright.network.neurons.lif import (
    check_min_voltage,
    lif_gain_bias,
    lif_rates,
    lif_step,
)


class _Adaptive(NeuronType):
    """`n += (dt / tau_n) (inc_n y - n)`, subtracted from the current; `rates` ignores it."""

    threshold_current = 1.0
    scaling: Scaling = "refused"
    tau_n: float | NDArray
    inc_n: float | NDArray
    tau_rc: float | NDArray
    tau_ref: float | NDArray

    above_zero = ("tau_n", "inc_n", "tau_rc", "amplitude")
    from_zero = ("tau_ref",)
    per_neuron = ("tau_n", "inc_n", "tau_rc", "tau_ref")

    def initial_values(self) -> Mapping[str, float]:
        return {"adaptation": 0.0}

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return lif_rates(xp, current, self.tau_rc, self.tau_ref)

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> tuple[NDArray, NDArray]:
        return lif_gain_bias(self, self.tau_rc, self.tau_ref, max_rates, intercepts)

    def _adapt(self, xp: ArrayNamespace, state: State, output: Array, dt: float) -> None:
        tau_n, inc_n = each_of(xp, self.tau_n), each_of(xp, self.inc_n)
        change = (dt / tau_n) * (inc_n * output - state["adaptation"])
        state["adaptation"] = state["adaptation"] + change


@register
@dataclass(frozen=True, eq=False)
class AdaptiveLIFRate(EqualByValue, _Adaptive):
    """`LIFRate` of `J - n`, where `n` follows its own output with time constant `tau_n`.

    `n += (dt / tau_n) (inc_n y - n)` with the output `y` in Hz. `tau_n`, `tau_rc` and `tau_ref` are
    in seconds, `inc_n` is the current per Hz of steady output; each may have a value for each
    neuron. `rates` ignores `n`.
    """

    tau_n: float | NDArray = 1.0
    inc_n: float | NDArray = 0.01
    tau_rc: float | NDArray = 0.02
    tau_ref: float | NDArray = 0.002
    amplitude: float = 1.0

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        rates = self.rates(xp, current - state["adaptation"])
        self._adapt(xp, state, self.amplitude * rates, clock.dt)
        return rates


@register
@dataclass(frozen=True, eq=False)
class AdaptiveLIF(EqualByValue, _Adaptive):
    """`LIF` of `J - n`, where every spike adds to `n`, which decays with time constant `tau_n`.

    `n += (dt / tau_n) (inc_n y - n)`, where `y` is `amplitude / dt` at a spike and else 0. `tau_n`,
    `tau_rc` and `tau_ref` are in seconds, `inc_n` is the current per Hz of steady output; each may
    have a value for each neuron. `min_voltage` is in spikes. `rates` ignores `n`.
    """

    tau_n: float | NDArray = 1.0
    inc_n: float | NDArray = 0.01
    tau_rc: float | NDArray = 0.02
    tau_ref: float | NDArray = 0.002
    min_voltage: float = 0.0
    amplitude: float = 1.0
    spiking = True
    leaks = True
    hard_reset = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_min_voltage(self, self.min_voltage)

    @property
    def most_spikes(self) -> int:
        return 1

    def initial_values(self) -> Mapping[str, float]:
        return {"refractory_time": 0.0, "adaptation": 0.0}

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        constants = (self.tau_rc, self.tau_ref, self.min_voltage)
        fired = lif_step(xp, current - state["adaptation"], state, clock, constants)
        self._adapt(xp, state, (self.amplitude / clock.dt) * fired, clock.dt)
        return fired
