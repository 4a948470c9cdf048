"""The code of a neuron for a value that arrives evenly: its error, and its number of spikes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.histogram import Histogram

_EARLY = 2.0**-16  # spikes by which a neuron may fire early


def coding_error(
    values: Histogram, thresholds: NDArray, steps: float, cap: float | None, start: float | None
) -> NDArray:
    """`E[(sent - a)^2]` of each channel, for one threshold a channel.

    `sent` is the mean value that a neuron sends in `steps` steps at a constant input `a`: a
    multiple of theta / steps of the sign of `a`, at most `cap` theta. `start` in spikes; None:
    drawn uniformly.
    """
    unit, arrived = _arrived(values, thresholds, steps)
    most = np.inf if cap is None else cap * steps
    if start is not None:
        return values.squared_error(unit * _within(np.floor(arrived + start + _EARLY), most))
    below = np.floor(arrived)
    share = arrived - below  # how often the uniform start makes it one spike more
    low, high = (_within(below + extra, most) * unit for extra in (0, 1))
    squared = (1 - share) * (values.means - low) ** 2 + share * (values.means - high) ** 2
    return values.expectation(squared + values.spreads)


def expected_spikes(
    values: Histogram,
    thresholds: NDArray,
    steps: float,
    cap: float | None,
    start: float | None,
    assumed: float = 0.0,
) -> NDArray:
    """The mean number of spikes of each channel's neurons, of either sign, as in `coding_error`.

    `assumed` are those that receivers take as sent: neurons send what differs from them.
    """
    _, arrived = _arrived(values, thresholds, steps)
    most = np.inf if cap is None else cap * steps
    counts = arrived if start is None else np.floor(arrived + start + _EARLY)
    return values.expectation(np.abs(_within(counts, most) - assumed))


def _within(counts: NDArray, most: float) -> NDArray:
    """Counts of either sign, as many as can be sent."""
    return np.clip(counts, -most, most)


def _arrived(values: Histogram, thresholds: NDArray, steps: float) -> tuple[NDArray, NDArray]:
    """The share of a spike in the mean, and the number of spikes that arrive, for every bin."""
    unit = np.where(thresholds > 0, thresholds, 1.0)[values.channel] / steps
    return unit, values.means / unit
