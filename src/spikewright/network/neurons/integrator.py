"""The soft-reset integrator, as every engine must compute it."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

TOLERANCE = 2.0**-16
"""Share of a spike by which an integrator may fire early.

It absorbs the rounding of sums whose exact value is a whole number of spikes; charge is conserved,
because the remainder (then minutely negative) is carried.
"""


def integrate(
    voltage: Any,
    charge: Any,
    threshold: Any,
    *,
    least: Any = 0.0,
    rounding: Literal["down", "truncate"] = "down",
    floor: float | None = None,
    cap: float | Any | None = None,
    xp: Any = np,
) -> tuple[Any, Any]:
    """Counts and the voltage that is left (see `spikewright.network.neurons.base.Integrate`).

    `xp` has the array functions.
    """
    voltage = voltage + charge
    spikes = voltage / threshold
    if rounding == "down":
        counts = xp.floor(spikes + TOLERANCE)
    else:
        counts = xp.sign(spikes) * xp.floor(xp.abs(spikes) + TOLERANCE)
    if least is not None:
        counts = xp.maximum(counts, least)
    if cap is not None:
        counts = xp.minimum(counts, cap)
    voltage = voltage - counts * threshold
    if floor is not None:
        voltage = xp.maximum(voltage, -floor * threshold)
    return counts, voltage
