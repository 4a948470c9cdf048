"""The least voltages at which neurons spike, so that firing is a comparison and no division."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.network.neurons import TOLERANCE


def least_voltage(threshold: NDArray, spikes: int) -> NDArray:
    """The least float64 `v` with `floor(v / threshold + TOLERANCE) >= spikes`, per neuron.

    The left side is a rounded division and a rounded sum, each monotone in `v`, so there is one;
    it is found by bisection over the float64 numbers between two that bracket it.
    """
    threshold = np.asarray(threshold, np.float64)
    near = (spikes - TOLERANCE) * threshold
    low = (near * (1.0 - 1e-12)).view(np.int64)
    high = (near * (1.0 + 1e-12)).view(np.int64)
    while np.any(high - low > 1):  # doubles above 0 are ordered as their bits are
        middle = low + (high - low) // 2
        reached = np.floor(middle.view(np.float64) / threshold + TOLERANCE) >= spikes
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return high.view(np.float64)
