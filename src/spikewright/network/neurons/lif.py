"""Leaky integrate-and-fire neurons, with adaptation too, and their rate functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import EqualByValue, is_number
from spikewright.errors import NetworkError
from spikewright.network.neurons.base import (
    NeuronType,
    RateFunction,
    Scaling,
    State,
    check_gain,
    register,
)
from spikewright.network.neurons.namespace import Array, ArrayNamespace, Clock, each_of

_FAR_BELOW = -20.0
_TINY = 1e-200  # keeps a division finite


Each = float | NDArray
"""A number for all neurons, or one for each."""


def lif_rates(xp: ArrayNamespace, current: Array, tau_rc: Each, tau_ref: Each) -> Array:
    """Rate in Hz at a constant current; `tau_rc` and `tau_ref` are in seconds."""
    tau_rc, tau_ref = each_of(xp, tau_rc), each_of(xp, tau_ref)
    above = current > 1.0
    excess = xp.where(above, current - 1.0, 1.0)  # keeps the logarithm finite below threshold
    rates = 1.0 / (tau_ref + tau_rc * xp.log1p(1.0 / excess))
    return xp.where(above, rates, 0.0)


def lif_gain_bias(
    neuron: NeuronType, tau_rc: Each, tau_ref: Each, max_rates: NDArray, intercepts: NDArray
) -> tuple[NDArray, NDArray]:
    """`gain = (X - 1) / (1 - c)`, `bias = 1 - c gain`, `X - 1 = 1 / expm1((1/M - tau_ref)/tau_rc)`.

    `X` is the current at which the rate is `M` (Hz), `c` the intercept; times are in seconds.
    """
    with np.errstate(all="ignore"):
        gain = 1.0 / np.expm1((1.0 / max_rates - tau_ref) / tau_rc) / (1.0 - intercepts)
    longest = float(np.max(tau_ref))
    limit = f"lie below {1 / longest:g} Hz" if longest > 0 else "be finite"
    check_gain(neuron, gain, intercepts, f"max rates must {limit}, intercepts below 1")
    return gain, 1.0 - intercepts * gain


def share_of(xp: ArrayNamespace, dt: float, tau: Any) -> Any:
    """The part of the way that a leaky voltage goes in a step, `1 - exp(-dt / tau)`."""
    if isinstance(tau, float | int):
        return -math.expm1(-dt / tau)
    return -(np.expm1(-dt / tau) if isinstance(tau, np.ndarray) else xp.expm1(-dt / tau))


def _nearest(xp: ArrayNamespace, x: Any) -> Any:
    """The whole number nearest to each value, of two the even one."""
    down = xp.floor(x)
    odd, over = down - 2.0 * xp.floor(0.5 * down), x - down
    return down + xp.where(over > 0.5, 1.0, xp.where(over == 0.5, odd, xp.zeros_like(odd)))


def lif_step(
    xp: ArrayNamespace,
    current: Array,
    state: State,
    clock: Clock,
    constants: tuple[Each, Each, float],
) -> Array:
    """One step of leaky integration with `(tau_rc, tau_ref, min_voltage)`; 1 where it fired."""
    tau, tau_ref, min_voltage = each_of(xp, constants[0]), each_of(xp, constants[1]), constants[2]
    dt = clock.dt
    refractory = state["refractory_time"] - dt
    active = xp.minimum(xp.maximum(dt - refractory, 0.0), dt)  # seconds of this step it integrates
    voltage = state["voltage"]
    voltage = voltage - (current - voltage) * xp.expm1(active * (-1.0 / tau))
    fired = xp.greater(voltage, 1.0)
    # Voltage and current are above 1 where it fired; elsewhere 1 and 2 keep the logarithm
    # finite. A start above threshold may have a current below 1, and crosses at once.
    over = xp.where(fired, voltage - 1.0, 1.0)
    drive = xp.where(fired, xp.maximum(current - 1.0, _TINY), 2.0)
    share = xp.minimum(over / drive, share_of(xp, dt, tau))
    crossing = dt + tau * xp.log1p(-share)
    state["refractory_time"] = xp.where(fired, tau_ref + crossing, refractory)
    state["voltage"] = xp.where(fired, 0.0, xp.maximum(voltage, min_voltage))
    return xp.where(fired, 1.0, xp.zeros_like(voltage))


class _Membrane(EqualByValue, NeuronType):
    """A leaky membrane with a threshold of 1: `tau_rc` and `tau_ref` in seconds."""

    tau_rc: float | NDArray
    tau_ref: float | NDArray
    threshold_current = 1.0
    above_zero: ClassVar[tuple[str, ...]] = ("tau_rc", "amplitude")
    from_zero = ("tau_ref",)
    per_neuron: ClassVar[tuple[str, ...]] = ("tau_rc", "tau_ref")

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return lif_rates(xp, current, self.tau_rc, self.tau_ref)

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> tuple[NDArray, NDArray]:
        return lif_gain_bias(self, self.tau_rc, self.tau_ref, max_rates, intercepts)


class _Firing(_Membrane):
    """A membrane that fires at most once a step, resets to 0 and stays above `min_voltage`."""

    min_voltage: float
    spiking = True
    leaks = True
    hard_reset = True

    def __post_init__(self) -> None:
        super().__post_init__()
        floor = self.min_voltage
        if not ((is_number(floor) or floor == -math.inf) and floor <= 0):
            raise NetworkError(
                f"{type(self).__name__}.min_voltage must be 0 or below, got {floor!r}"
            )

    @property
    def most_spikes(self) -> int:
        return 1


@register
@dataclass(frozen=True, eq=False)
class LIFRate(_Membrane, RateFunction):
    """`y = 1 / (tau_ref + tau_rc ln(1 + 1/(J - 1)))` where `J > 1`, else 0.

    `y` is in Hz; `tau_rc` (the membrane) and `tau_ref` (refractory) are in seconds, for all neurons
    or one for each.
    """

    tau_rc: float | NDArray = 0.02
    tau_ref: float | NDArray = 0.002
    amplitude: float = 1.0


@register
@dataclass(frozen=True, eq=False)
class SoftLIFRate(_Membrane, RateFunction):
    """`LIFRate` with its corner rounded, `J - 1` replaced by `sigma ln(1 + exp((J - 1) / sigma))`.

    Hunsberger & Eliasmith 2015 (arXiv:1510.08829). `sigma` is a current, `tau_rc` and `tau_ref` are
    in seconds, for all neurons or one for each. Gain and bias are those of `LIFRate`.
    """

    sigma: float = 1.0
    tau_rc: float | NDArray = 0.02
    tau_ref: float | NDArray = 0.002
    amplitude: float = 1.0
    above_zero = ("sigma", "tau_rc", "tau_ref", "amplitude")

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        j = (current - 1.0) / self.sigma
        softened = xp.maximum(j, 0.0) + xp.log1p(xp.exp(-xp.abs(j)))
        # Far below the corner the softened excess is exp(j), whose logarithm is j.
        far = j < _FAR_BELOW
        excess = self.sigma * xp.where(far, 1.0, softened)
        inverse = xp.where(far, -j - math.log(self.sigma), xp.log1p(1.0 / excess))
        return 1.0 / (each_of(xp, self.tau_ref) + each_of(xp, self.tau_rc) * inverse)


@register
@dataclass(frozen=True, eq=False)
class LIF(_Firing):
    """Leaky integrate-and-fire, exact for a constant current within a step.

    `tau_rc dv/dt = J - v`, `tau_rc` in seconds. The threshold is 1 (strict) and the reset is to 0;
    then follow `tau_ref` seconds of silence, counted from the crossing inside the step. Both may
    have a value for each neuron. A neuron fires at most once a step. `min_voltage` is the lower
    bound of the voltage, in spikes. A firing-rate scale is refused, since the response is not
    linear and the neuron's own dynamics make its spikes; `skewed_scaling=True` multiplies the gain
    nevertheless and so changes the output.
    """

    tau_rc: float | NDArray = 0.02
    tau_ref: float | NDArray = 0.002
    min_voltage: float = 0.0
    amplitude: float = 1.0
    skewed_scaling: bool = field(default=False, kw_only=True)

    @property
    def scaling(self) -> Scaling:  # type: ignore[override]
        """A scale is refused unless the skewed form is asked for by name."""
        return "skewed" if self.skewed_scaling else "refused"

    def initial_values(self) -> Mapping[str, float]:
        return {"refractory_time": 0.0}

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        return lif_step(xp, current, state, clock, (self.tau_rc, self.tau_ref, self.min_voltage))


@register
@dataclass(frozen=True, eq=False)
class GridLIF(_Firing):
    """Leaky integrate-and-fire whose spikes and silence lie on the grid of steps.

    `tau_rc dv/dt = J - v`, `tau_rc` in seconds, exact for a constant current within a step. A
    neuron whose voltage is above 1 at the end of a step fires there and is reset to 0. It is silent
    in the steps that follow, the whole number nearest to `tau_ref / dt` (`tau_ref` in seconds), and
    keeps its voltage. Both times may have a value for each neuron. So simulators of random networks
    define it, with "grid-constrained" spikes (Morrison et al. 2007, Neural Computation 19, 47-79);
    `LIF` counts the silence from the crossing inside the step. `min_voltage` is the lower bound of
    the voltage, in spikes. The state `refractory_steps` is the number of silent steps that are
    left. `rates` are those of steps without length. A firing-rate scale is refused, as by `LIF`.
    """

    tau_rc: float | NDArray = 0.02
    tau_ref: float | NDArray = 0.002
    min_voltage: float = 0.0
    amplitude: float = 1.0
    scaling = "refused"

    def silent_steps(self, dt: float) -> Any:
        """The number of steps of `dt` seconds without integration behind a spike."""
        steps = self.tau_ref / dt
        return np.rint(steps) if isinstance(steps, np.ndarray) else float(round(steps))

    def _silence(self, xp: ArrayNamespace, dt: float) -> Any:
        """The silent steps behind a spike, as the equation takes them."""
        if isinstance(self.tau_ref, np.ndarray):
            return _nearest(xp, each_of(xp, self.tau_ref) / dt)
        return self.silent_steps(dt)

    def initial_values(self) -> Mapping[str, float]:
        return {"refractory_steps": 0.0}

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        voltage, silent = state["voltage"], state["refractory_steps"]
        moved = voltage + (current - voltage) * share_of(xp, clock.dt, each_of(xp, self.tau_rc))
        voltage = xp.where(silent > 0.0, voltage, moved)
        fired = xp.greater(voltage, 1.0)
        rest = xp.maximum(silent - 1.0, 0.0)
        behind = self._silence(xp, clock.dt)
        state["refractory_steps"] = xp.where(fired, behind, rest)
        state["voltage"] = xp.where(fired, 0.0, xp.maximum(voltage, self.min_voltage))
        return xp.where(fired, 1.0, xp.zeros_like(voltage))


class _Adaptive(_Membrane):
    """`n += (dt / tau_n) (inc_n y - n)`, subtracted from the current; `rates` ignores it."""

    scaling: Scaling = "refused"
    tau_n: float | NDArray
    inc_n: float | NDArray
    above_zero = ("tau_n", "inc_n", "tau_rc", "amplitude")
    per_neuron = ("tau_n", "inc_n", "tau_rc", "tau_ref")

    def initial_values(self) -> Mapping[str, float]:
        return {"adaptation": 0.0}

    def _adapt(self, xp: ArrayNamespace, state: State, output: Array, dt: float) -> None:
        tau_n, inc_n = each_of(xp, self.tau_n), each_of(xp, self.inc_n)
        change = (dt / tau_n) * (inc_n * output - state["adaptation"])
        state["adaptation"] = state["adaptation"] + change


@register
@dataclass(frozen=True, eq=False)
class AdaptiveLIFRate(_Adaptive):
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
class AdaptiveLIF(_Firing, _Adaptive):
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

    def initial_values(self) -> Mapping[str, float]:
        return {"refractory_time": 0.0, "adaptation": 0.0}

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        constants = (self.tau_rc, self.tau_ref, self.min_voltage)
        fired = lif_step(xp, current - state["adaptation"], state, clock, constants)
        self._adapt(xp, state, (self.amplitude / clock.dt) * fired, clock.dt)
        return fired
