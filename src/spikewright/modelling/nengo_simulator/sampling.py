"""Recordings of a probe as Nengo has them: the steps that it keeps, and their shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.network import Probe


def kept_steps(steps: NDArray, period: float) -> NDArray:
    """Whether each of the steps, counted from 1, is kept: those at which `n mod period < 1`."""
    return np.asarray(steps % period < 1)


class Sampling(NamedTuple):
    """The recorded steps that a probe keeps: all, or those of a period in steps.

    `form` gives them another shape (None: they stay as they are).
    """

    period: float | None
    form: Callable[[NDArray], NDArray] | None = None

    @classmethod
    def of(
        cls, theirs: Any, ours: Probe, dt: float, form: Callable[[NDArray], NDArray] | None
    ) -> Sampling:
        """Have a probe record at its period, or every step where that is no whole number."""
        every = theirs.sample_every
        if every is None:
            return cls(None, form)
        period = float(every) / dt
        whole = abs(period - round(period)) < 1e-9 * period
        ours.sample_every = float(every) if whole and period >= 1 else None
        return cls(None if whole or period < 1 else period, form)

    def kept(self, samples: NDArray, first: int) -> NDArray:
        """The kept samples among those of every step after step `first`."""
        if self.period is not None:
            samples = samples[kept_steps(first + np.arange(1, len(samples) + 1), self.period)]
        return samples if self.form is None else self.form(samples)
