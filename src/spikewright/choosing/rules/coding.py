"""The code of a neuron for a value that arrives evenly: its error, and its number of spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.histogram import Histogram

_EARLY = 2.0**-16  # spikes by which a neuron may fire early


@dataclass(frozen=True)
class Code:
    """The values that a neuron can send in `steps` steps at a constant input `a`.

    There is one threshold a channel. The mean value is a multiple of theta / steps of the sign of
    `a`, at most `cap` theta; None: no cap. `start` is in spikes; None: drawn uniformly. In the
    first `assumed` steps receivers take a spike as sent, so that there it may say one more.
    """

    steps: float
    cap: float | None
    start: float | None
    assumed: float = 0.0

    @property
    def most(self) -> float:
        """The largest mean value that can be sent, in thresholds."""
        return np.inf if self.cap is None else self.cap + self.assumed / self.steps

    def error(self, values: Histogram, thresholds: NDArray) -> NDArray:
        """`E[(sent - a)^2]` of each channel, `sent` the mean value."""
        unit, arrived = self._arrived(values, thresholds)
        if self.start is not None:
            _, counts = self._counts(arrived)
            return values.squared_error(unit * counts)
        below = np.floor(arrived)
        share = arrived - below  # how often the uniform start makes it one spike more
        low, high = (self._within(below + extra) * unit for extra in (0, 1))
        squared = (1 - share) * (values.means - low) ** 2 + share * (values.means - high) ** 2
        return values.expectation(squared + values.spreads)

    def spikes(self, values: Histogram, thresholds: NDArray) -> NDArray:
        """The mean number of spikes of each channel's neurons, of either sign.

        In steps that assume a spike, neurons send what differs from it.
        """
        _, arrived = self._arrived(values, thresholds)
        before, counts = self._counts(arrived)
        return values.expectation(np.abs(before - self.assumed) + np.abs(counts - before))

    def _arrived(self, values: Histogram, thresholds: NDArray) -> tuple[NDArray, NDArray]:
        """The share of a spike in the mean, and the number of spikes that arrive, for every bin."""
        unit = np.where(thresholds > 0, thresholds, 1.0)[values.channel] / self.steps
        return unit, values.means / unit

    def _counts(self, arrived: NDArray) -> tuple[NDArray, NDArray]:
        """Spikes up to the last step that assumes one, and all; whole ones from a known start.

        Behind those steps a neuron makes up for at most its cap a step.
        """
        before, counts = (
            self._within(n if self.start is None else np.floor(n + self.start + _EARLY))
            for n in (arrived * (self.assumed / self.steps), arrived)
        )
        if not self.assumed:
            return np.zeros_like(counts), counts
        rest = np.inf if self.cap is None else self.cap * (self.steps - self.assumed)
        return before, np.minimum(counts, before + rest)

    def _within(self, counts: NDArray) -> NDArray:
        """Counts of either sign, as many as can be sent."""
        most = np.inf if self.cap is None else self.cap * self.steps + self.assumed
        return np.clip(counts, -most, most)
