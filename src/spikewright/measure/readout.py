"""Readouts: how the values of an output over time become one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError
from spikewright.network.shapes import is_number


@dataclass(frozen=True)
class Window:
    """The mean over a stretch of time: `seconds` long, the last ones or from `start` (s) on.

    Raises `SimulationError` for times that are no numbers, or below 0.
    """

    seconds: float
    start: float | None = None

    def __post_init__(self) -> None:
        lasts = is_number(self.seconds) and self.seconds > 0
        starts = self.start is None or (is_number(self.start) and self.start >= 0)
        if not (lasts and starts):
            raise SimulationError(
                f"a readout window lasts more than 0 s and starts at 0 s or later, got {self}"
            )


Readout = Literal["last", "mean"] | Window


def read_out(values: NDArray, readout: Readout, dt: float) -> NDArray:
    """Read `(batch, steps, *out)` out as `(batch, *out)`.

    "last" is the last step, "mean" the mean over the run, a `Window` the mean over a part of it.
    Raises `SimulationError` for an unknown readout or a window that no step lies in.
    """
    return (
        values[:, -1] if readout == "last" else values[:, _span(values, readout, dt)].mean(axis=1)
    )


def _span(values: NDArray, readout: Readout, dt: float) -> slice:
    steps = values.shape[1]
    if readout == "mean":
        return slice(0, steps)
    if not isinstance(readout, Window):
        raise SimulationError(f'a readout is "last", "mean" or a Window, got {readout!r}')
    count = max(1, round(readout.seconds / dt))
    start = steps - count if readout.start is None else round(readout.start / dt)
    if start < 0 or start + count > steps:
        raise SimulationError(
            f"{readout} does not lie within the {steps} steps of {dt} s that were run"
        )
    return slice(start, start + count)


def read_out_at_every_step(values: NDArray, readout: Literal["last", "mean"]) -> NDArray:
    """What the readout would give had the run ended at each step, `(batch, steps, *out)`."""
    if readout == "last":
        return values
    if readout != "mean":
        raise SimulationError(f'readouts at every step are "last" or "mean", got {readout!r}')
    counts = np.arange(1, values.shape[1] + 1).reshape(1, -1, *(1,) * (values.ndim - 2))
    return np.cumsum(values, axis=1, dtype=np.float64) / counts
