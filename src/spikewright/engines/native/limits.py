"""The least voltages at which neurons spike, so that firing is a comparison and no division."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.network.neurons import TOLERANCE


def least_voltage(threshold: NDArray, spikes: int) -> NDArray:
    """The least float64 `v` with `floor(v / threshold + TOLERANCE) >= spikes`, per neuron.

    The left side is a rounded division and a rounded sum, each monotone in `v`, so that this
    voltage exists; it is found by bisection over the float64 numbers between two that bracket it.
    With `spikes` above 0 it is positive, else negative.
    """
    threshold = np.asarray(threshold, np.float64)
    sign = 1.0 if spikes > 0 else -1.0
    near = sign * (spikes - TOLERANCE) * threshold
    low = (near * (1.0 - 1e-12)).view(np.int64)
    high = (near * (1.0 + 1e-12)).view(np.int64)
    while np.any(high - low > 1):  # doubles above 0 are ordered as their bits are
        middle = low + (high - low) // 2
        reached = np.floor(sign * middle.view(np.float64) / threshold + TOLERANCE) >= spikes
        lower = reached == (sign > 0)  # the one that is looked for lies at or below the middle
        low, high = np.where(lower, low, middle), np.where(lower, middle, high)
    return high.view(np.float64) if sign > 0 else -low.view(np.float64)
