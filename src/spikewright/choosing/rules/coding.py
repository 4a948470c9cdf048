"""The code of a neuron for a value that arrives evenly: its error, and its number of spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.histogram import Histogram

_EARLY = 2.0**-16  # spikes by which a neuron may fire early


def coding_error(
    values: Histogram,
    thresholds: NDArray,
    steps: float,
    cap: float | None,
    start: float | None,
    assumed: float = 0.0,
) -> NDArray:
    """`E[(sent - a)^2]` of each channel, for one threshold a channel.

    `sent` is the mean value that a neuron sends in `steps` steps at a constant input `a`: a
    multiple of theta / steps of the sign of `a`, at most `cap` theta. `start` in spikes; None:
    drawn uniformly. In the first `assumed` steps receivers take a spike as sent, so that there it
    may say one more.
    """
    unit, arrived = _arrived(values, thresholds, steps)
    sent = _Sent(steps, cap, assumed)
    if start is not None:
        _, counts = sent.counts(arrived, start)
        return values.squared_error(unit * counts)
    below = np.floor(arrived)
    share = arrived - below  # how often the uniform start makes it one spike more
    low, high = (sent.within(below + extra) * unit for extra in (0, 1))
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

    In steps that assume a spike, neurons send what differs from it.
    """
    _, arrived = _arrived(values, thresholds, steps)
    before, counts = _Sent(steps, cap, assumed).counts(arrived, start)
    return values.expectation(np.abs(before - assumed) + np.abs(counts - before))


@dataclass(frozen=True)
class _Sent:
    """What neurons say in so many steps, where spikes arrive evenly."""

    steps: float
    cap: float | None
    assumed: float

    def counts(self, arrived: NDArray, start: float | None) -> tuple[NDArray, NDArray]:
        """Spikes up to the last step that assumes one, and all: whole ones, from a start in spikes.

        Behind those steps a neuron makes up for at most its cap a step.
        """
        before, counts = (
            self.within(n if start is None else np.floor(n + start + _EARLY))
            for n in (arrived * (self.assumed / self.steps), arrived)
        )
        if not self.assumed:
            return np.zeros_like(counts), counts
        rest = np.inf if self.cap is None else self.cap * (self.steps - self.assumed)
        return before, np.minimum(counts, before + rest)

    def within(self, counts: NDArray) -> NDArray:
        """Counts of either sign, as many as can be sent."""
        most = np.inf if self.cap is None else self.cap * self.steps + self.assumed
        return np.clip(counts, -most, most)


def _arrived(values: Histogram, thresholds: NDArray, steps: float) -> tuple[NDArray, NDArray]:
    """The share of a spike in the mean, and the number of spikes that arrive, for every bin."""
    unit = np.where(thresholds > 0, thresholds, 1.0)[values.channel] / steps
    return unit, values.means / unit
