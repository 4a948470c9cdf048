"""Neuron types in the terms of `cpp/cells.hpp`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from numpy.typing import NDArray

from spikewright.network.neurons import (
    LIF,
    AdaptiveLIF,
    AdaptiveLIFRate,
    BipolarIntegrateAndFire,
    ClippedReLU,
    IntegrateAndFire,
    Izhikevich,
    LeakyReLU,
    LIFRate,
    NeuronType,
    ParametricReLU,
    RectifiedLinear,
    RegularSpiking,
    RunningMeanSpiking,
    Sigmoid,
    SignedIntegrateAndFire,
    SoftLIFRate,
    Softplus,
    SpikingLeakyReLU,
    SpikingRectifiedLinear,
    Tanh,
)

(  # Cell in cpp/parts.hpp
    RATE,
    INTEGRATE,
    RUNNING_MEAN,
    LEAKY,
    BIPOLAR,
    ADAPTIVE_LEAKY,
    ADAPTIVE_RATE,
    QUADRATIC,
) = range(8)
(
    IDENTITY,
    RECTIFIED,
    LEAKY_RELU,
    CLIPPED,
    SIGMOID,
    TANH,
    SOFTPLUS,
    LIF_RATE,
    PARAMETRIC,
    SOFT_LIF,
) = range(10)  # Rate in cpp/parts.hpp


@dataclass(frozen=True)
class Description:
    """A type's parameters for the kernel; `second` and `third` name its state beside the voltage.

    `slopes` broadcast to the population's shape.
    """

    cell: int
    rate: int = IDENTITY
    slope: float = 0.0
    most: float = 0.0
    tau_ref: float = 0.0
    tau_rc: float = 0.0
    amplitude: float = 1.0
    negative: bool = False
    truncate: bool = False
    floor: float = math.nan
    cap: float = 0.0
    min_voltage: float = 0.0
    tau_n: float = 1.0
    inc_n: float = 0.0
    sigma: float = 0.0
    quadratic: Izhikevich | None = None
    second: str | None = None
    third: str | None = None
    slopes: NDArray | None = field(default=None, compare=False)

    def numbers(self, dt: float) -> list[float]:
        """In the kernel's order."""
        leaky = self.cell in (LEAKY, ADAPTIVE_LEAKY)
        most_share = -math.expm1(-dt / self.tau_rc) if leaky else 0.0
        spike = self.amplitude / dt if self.cell == ADAPTIVE_LEAKY else 1.0
        return [
            self.slope,
            self.most,
            self.tau_ref,
            self.tau_rc,
            self.amplitude,
            self.floor,
            self.cap,
            dt,
            self.min_voltage,
            most_share,
            dt / self.tau_n,
            self.inc_n * spike,
            self.sigma,
            *_quadratic(self.quadratic, dt),
        ]


def _quadratic(kind: Izhikevich | None, dt: float) -> list[float]:
    if kind is None:
        return [0.0] * 5
    pace = 1000.0 * dt  # its time is in milliseconds
    numbers = (kind.coupling, kind.reset_voltage, kind.reset_recovery)
    return [pace, pace * kind.tau_recovery, *map(float, numbers)]


def described(kind: NeuronType) -> Description | None:
    """A type's description, or None where it has no kernel (a class of its own, or random)."""
    if type(kind) is LIF:
        return Description(
            LEAKY,
            tau_ref=kind.tau_ref,
            tau_rc=kind.tau_rc,
            min_voltage=kind.min_voltage,
            second="refractory_time",
        )
    if type(kind) is AdaptiveLIF:
        return Description(
            ADAPTIVE_LEAKY,
            tau_ref=kind.tau_ref,
            tau_rc=kind.tau_rc,
            min_voltage=kind.min_voltage,
            amplitude=kind.amplitude,
            tau_n=kind.tau_n,
            inc_n=kind.inc_n,
            second="refractory_time",
            third="adaptation",
        )
    if type(kind) is AdaptiveLIFRate:
        return Description(
            ADAPTIVE_RATE,
            LIF_RATE,
            tau_ref=kind.tau_ref,
            tau_rc=kind.tau_rc,
            amplitude=kind.amplitude,
            tau_n=kind.tau_n,
            inc_n=kind.inc_n,
            third="adaptation",
        )
    if type(kind) is Izhikevich:
        return Description(QUADRATIC, quadratic=kind, second="recovery")
    if type(kind) in (RegularSpiking, RunningMeanSpiking):
        base = _rate(kind.base_type)  # type: ignore[attr-defined]
        if base is None:
            return None
        base = replace(
            base,
            amplitude=kind.base_type.amplitude,  # type: ignore[attr-defined]
            negative=kind.negative,
        )
        if type(kind) is RegularSpiking:
            return replace(base, cell=INTEGRATE)
        cap = float(kind.most_spikes or 0)
        return replace(base, cell=RUNNING_MEAN, cap=cap, second="total_current", third="sent")
    if type(kind) is IntegrateAndFire:
        floor = math.nan if kind.voltage_floor is None else float(kind.voltage_floor)
        return Description(INTEGRATE, floor=floor, cap=float(kind.max_spikes_per_step or 0))
    if type(kind) is BipolarIntegrateAndFire:
        return Description(BIPOLAR, cap=float(kind.max_spikes_per_step or 0), second="sent")
    if type(kind) is SignedIntegrateAndFire:
        return Description(INTEGRATE, negative=True, cap=float(kind.max_spikes_per_step or 0))
    if type(kind) is SpikingRectifiedLinear:
        return Description(INTEGRATE, RECTIFIED)
    if type(kind) is SpikingLeakyReLU:
        return Description(
            INTEGRATE, LEAKY_RELU, slope=kind.negative_slope, negative=True, truncate=True
        )
    return _rate(kind)


def _rate(kind: NeuronType) -> Description | None:
    """A rate function."""
    if type(kind) is RectifiedLinear:
        return Description(RATE, RECTIFIED)
    if type(kind) is LeakyReLU:
        return Description(RATE, LEAKY_RELU, slope=kind.negative_slope)
    if type(kind) is ParametricReLU:
        return Description(RATE, PARAMETRIC, slopes=kind.slope)
    if type(kind) is ClippedReLU:
        return Description(RATE, CLIPPED, most=kind.max_value)
    if type(kind) is Sigmoid:
        return Description(RATE, SIGMOID, tau_ref=kind.tau_ref)
    if type(kind) is Tanh:
        return Description(RATE, TANH, tau_ref=kind.tau_ref)
    if type(kind) is Softplus:
        return Description(RATE, SOFTPLUS)
    if type(kind) is LIFRate:
        return Description(RATE, LIF_RATE, tau_ref=kind.tau_ref, tau_rc=kind.tau_rc)
    if type(kind) is SoftLIFRate:
        return Description(
            RATE,
            SOFT_LIF,
            most=math.log(kind.sigma),
            tau_ref=kind.tau_ref,
            tau_rc=kind.tau_rc,
            sigma=kind.sigma,
        )
    return None
