"""The soft-reset integrator in NumPy, as every engine must compute it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 2.0**-16
"""Share of a spike by which an integrator may fire early.

It absorbs the rounding of sums whose exact value is a whole number of spikes; charge is conserved,
because the remainder (then minutely negative) is carried.
"""


def integrate(
    voltage: NDArray,
    charge: NDArray,
    threshold: NDArray,
    *,
    least: NDArray | float | None = 0.0,
    rounding: Literal["down", "truncate"] = "down",
    floor: float | None = None,
    cap: int | None = None,
) -> tuple[NDArray, NDArray]:
    """Counts and the voltage that is left (see `spikewright.network.neurons.base.Integrate`)."""
    voltage = voltage + charge
    spikes = voltage / threshold
    if rounding == "down":
        counts = np.floor(spikes + TOLERANCE)
    else:
        counts = np.sign(spikes) * np.floor(np.abs(spikes) + TOLERANCE)
    if least is not None:
        counts = np.maximum(counts, least)
    if cap is not None:
        counts = np.minimum(counts, float(cap))
    voltage = voltage - counts * threshold
    if floor is not None:
        voltage = np.maximum(voltage, -floor * threshold)
    return counts, voltage
