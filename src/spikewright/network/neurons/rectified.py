"""Rectified linear neurons: the rate function and its spiking forms, that of chips among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import EqualByValue, frozen, is_number, is_whole, numbers_or_nan
from spikewright.errors import NetworkError
from spikewright.network.neurons.base import (
    NeuronType,
    RateFunction,
    Scaling,
    State,
    check_gain,
    register,
)
from spikewright.network.neurons.namespace import (
    Array,
    ArrayNamespace,
    Clock,
    either_sign,
    integrated,
)


class LinearResponse(NeuronType):
    """Piecewise linear above threshold: `f(s J) = s f(J)`, so a scale acts on the gain."""

    scaling: Scaling = "gain"

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return xp.maximum(current, 0.0)

    def voltage_unit(self, threshold: Array) -> Array:
        return threshold

    def gain_bias(self, max_rates: NDArray, intercepts: NDArray) -> tuple[NDArray, NDArray]:
        """`gain = M / (1 - c)`, `bias = -c gain`; `M` in Hz, `c` the intercept."""
        with np.errstate(all="ignore"):
            gain = max_rates / (1.0 - intercepts)
        check_gain(self, gain, intercepts, "max rates must be above 0 and intercepts below 1")
        return gain, -intercepts * gain


@register
@dataclass(frozen=True)
class RectifiedLinear(RateFunction, LinearResponse):
    """`y = max(0, J)`, in Hz."""

    amplitude: float = 1.0


@register
@dataclass(frozen=True)
class SpikingRectifiedLinear(LinearResponse):
    """Integrates `max(J, 0)`: several spikes a step, the remainder stays in the voltage.

    Negative current is discarded at every step. So a neuron fires whose input arrives in spikes of
    either sign and is zero on average; `IntegrateAndFire` does not.
    """

    amplitude: float = 1.0
    spiking = True
    nonconvergence_reason = "negative current is thrown away at every step"

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        return integrated(xp, state, xp.maximum(current, 0.0), clock)


@register
@dataclass(frozen=True)
class IntegrateAndFire(LinearResponse):
    """Integrates `J` with its sign: several spikes a step, remainder kept (Cao 2015, Han 2020).

    The voltage may be negative, down to `-voltage_floor` spikes where that is given. A neuron sends
    at most `max_spikes_per_step` spikes a step where that is given (1: one-spike hardware).
    """

    amplitude: float = 1.0
    voltage_floor: float | None = None
    max_spikes_per_step: int | None = None
    spiking = True
    nonconvergence_reason = "charge below the voltage's floor is lost"

    @property
    def rate_consistent(self) -> bool:  # type: ignore[override]
        """True unless a floor of the voltage discards charge."""
        return self.voltage_floor is None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_floor(self, self.voltage_floor)

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        bounds = {"floor": self.voltage_floor, "cap": self.max_spikes_per_step}
        return integrated(xp, state, current, clock, **bounds)


@register
@dataclass(frozen=True)
class SignedIntegrateAndFire(LinearResponse):
    """Integrates `J` and sends spikes of either sign: `v += J; k = floor(v); v -= k`.

    The sum of its spikes differs from the integral of its input by at most one, so it carries
    negative values too. It sends at most `max_spikes_per_step` of either sign a step where that is
    given; the rest stays in the voltage.
    """

    amplitude: float = 1.0
    max_spikes_per_step: int | None = None
    spiking = True
    negative = True
    rate_consistent = True
    order_independent = True

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return current

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        return integrated(xp, state, current, clock, **either_sign(self.max_spikes_per_step))


class _Leaky(LinearResponse):
    """`f(J) = J` where `J >= 0`, else `negative_slope J`."""

    negative_slope: float
    negative = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_slope(self, self.negative_slope)

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return xp.where(current >= 0, current, self.negative_slope * current)


@register
@dataclass(frozen=True)
class LeakyReLU(RateFunction, _Leaky):
    """`y = J` where `J >= 0`, else `negative_slope J`, in Hz."""

    negative_slope: float = 0.3
    amplitude: float = 1.0


@register
@dataclass(frozen=True)
class SpikingLeakyReLU(_Leaky):
    """Integrates the leaky current; spikes may be negative, counted towards zero."""

    negative_slope: float = 0.3
    amplitude: float = 1.0
    spiking = True

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        rates = self.rates(xp, current)
        return integrated(xp, state, rates, clock, least=None, rounding="truncate")


def check_floor(owner: NeuronType, floor: float | None) -> None:
    """Raise `NetworkError` unless a floor of the voltage is None or a number of spikes from 0."""
    if floor is not None and not (is_number(floor) and floor >= 0):
        raise NetworkError(
            f"{type(owner).__name__}.voltage_floor is how many spikes the voltage may fall below "
            f"zero: it must be 0 or more, got {floor!r}"
        )


def _check_slope(owner: NeuronType, slope: float) -> None:
    if not is_number(slope):
        raise NetworkError(f"{type(owner).__name__}.negative_slope must be finite, got {slope!r}")


ROUNDING = 2.0**-12 + 2.0**-16
"""Share of a whole number by which a charge below a half is rounded up too.

It absorbs the rounding of sums whose exact value is a half, so that engines agree. Multiples of
2^-15 are not this far from a half.
"""

MOST_BITS = 32
Reset = Literal["subtract", "zero"]


@register
@dataclass(frozen=True, eq=False)
class FixedPointIntegrateAndFire(EqualByValue, LinearResponse):
    """Integrates whole numbers: a spike is worth `threshold` of them, one number or one a channel.

    With theta = 1 / (s dt) a current `J` is the charge `q = J threshold / theta`, which is a whole
    number where weights and biases are whole numbers of `theta / threshold`. A step is
    `v -= v >> decay`; `v = round(v + q)`, halves up; `v` kept within `state_bits` bits, sign
    included; `k = floor(v / threshold)` spikes, at least 0 and at most `max_spikes_per_step`; then
    `v -= k threshold`, or with `reset="zero"` `v = 0` behind a spike; and `v` kept above
    `-voltage_floor threshold`. What is None is left out. A start that is no whole number is rounded
    with the first charge. The state `voltage` counts whole numbers.
    """

    threshold: NDArray
    amplitude: float = 1.0
    voltage_floor: float | None = None
    max_spikes_per_step: int | None = None
    state_bits: int | None = None
    decay: int | None = None
    reset: Reset = "subtract"
    spiking = True
    nonconvergence_reason = "charge is lost in a reset, a leak, or at the bounds of the voltage"
    integer_charge = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "threshold", _whole_threshold(self.threshold))
        check_floor(self, self.voltage_floor)
        for name, least in (("state_bits", 2), ("decay", 0)):
            value = getattr(self, name)
            if value is not None and not (is_whole(value) and least <= value <= MOST_BITS):
                raise NetworkError(
                    f"{type(self).__name__}.{name} must be None or a whole number from {least} to "
                    f"{MOST_BITS}, got {value!r}"
                )
        if self.reset not in ("subtract", "zero"):
            raise NetworkError(
                f'{type(self).__name__}.reset is "subtract" or "zero", got {self.reset!r}'
            )

    @property
    def rate_consistent(self) -> bool:  # type: ignore[override]
        """True, up to the rounding of charges, where nothing discards charge."""
        bounds = (self.voltage_floor, self.state_bits, self.decay)
        return not self.hard_reset and all(bound is None for bound in bounds)

    @property
    def leaks(self) -> bool:  # type: ignore[override]
        """True with a decay."""
        return self.decay is not None

    @property
    def hard_reset(self) -> bool:  # type: ignore[override]
        """True with a reset to zero."""
        return self.reset == "zero"

    def voltage_unit(self, threshold: Array) -> Array:
        return self.threshold

    def step(self, xp: ArrayNamespace, current: Array, state: State, clock: Clock) -> Array:
        threshold, voltage = xp.constant(self.threshold), state["voltage"]
        if self.decay is not None:
            voltage = voltage - xp.floor(voltage * 2.0**-self.decay)
        voltage = xp.floor(voltage + current * (threshold / clock.threshold) + (0.5 + ROUNDING))
        if self.state_bits is not None:
            limit = 2.0 ** (self.state_bits - 1)
            voltage = xp.minimum(xp.maximum(voltage, -limit), limit - 1.0)
        counts = xp.maximum(xp.floor(voltage / threshold), 0.0)
        if self.max_spikes_per_step is not None:
            counts = xp.minimum(counts, float(self.max_spikes_per_step))
        if self.reset == "subtract":
            voltage = voltage - counts * threshold
        else:
            voltage = xp.where(counts > 0.0, 0.0, voltage)
        if self.voltage_floor is not None:
            voltage = xp.maximum(voltage, xp.floor(-self.voltage_floor * threshold) + 0.0)  # not -0
        state["voltage"] = voltage
        return counts


def _whole_threshold(given: object) -> NDArray:
    """The threshold as an array that cannot be changed; raises `NetworkError`."""
    threshold = numbers_or_nan(given)
    if not np.all((threshold >= 1) & (threshold < 2**MOST_BITS) & (threshold == threshold // 1)):
        raise NetworkError(
            "FixedPointIntegrateAndFire.threshold is a whole number from 1, or one for each "
            f"channel, below 2^{MOST_BITS}; got {given!r}"
        )
    return frozen(threshold)
