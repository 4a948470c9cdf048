"""Steps that a probe keeps where its period is not a whole number of steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.network import Probe


def kept_steps(steps: NDArray, period: float) -> NDArray:
    """Whether each of the steps, counted from 1, is kept: those at which `n mod period < 1`."""
    return np.asarray(steps % period < 1)


class Sampling(NamedTuple):
    """The recorded steps that a probe keeps: all, or those of a period in steps."""

    period: float | None

    @classmethod
    def of(cls, theirs: Any, ours: Probe, dt: float) -> Sampling:
        """Have a probe record at its period, or every step where that is no whole number."""
        every = theirs.sample_every
        if every is None:
            return cls(None)
        period = float(every) / dt
        whole = abs(period - round(period)) < 1e-9 * period
        ours.sample_every = float(every) if whole and period >= 1 else None
        return cls(None if whole or period < 1 else period)

    def kept(self, samples: NDArray, first: int) -> NDArray:
        """The kept samples among those of every step after step `first`."""
        if self.period is None:
            return samples
        return samples[kept_steps(first + np.arange(1, len(samples) + 1), self.period)]
