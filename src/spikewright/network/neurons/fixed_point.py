"""Integrate-and-fire in whole numbers, as chips without floating point compute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole, numbers_or_nan
from spikewright._base.arrays import EqualByValue, frozen
from spikewright.errors import NetworkError
from spikewright.network.neurons.base import Array, ArrayNamespace, Clock, State, register
from spikewright.network.neurons.rectified import LinearResponse, check_floor

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
    departs = "charge is lost in a reset, a leak, or at the bounds of the voltage"
    rounds_charge = True
    above_zero = ("amplitude",)

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
    def follows_mean(self) -> bool:  # type: ignore[override]
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

    @property
    def most_spikes(self) -> int | None:
        return self.max_spikes_per_step

    def voltage_unit(self, threshold: Array) -> Array:
        return self.threshold

    def rates(self, xp: ArrayNamespace, current: Array) -> Array:
        return xp.maximum(current, 0.0)

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
