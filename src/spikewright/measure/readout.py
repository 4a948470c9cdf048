"""Readouts: how the values of an output over time become one value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import is_number
from spikewright.errors import SimulationError


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


@dataclass(frozen=True)
class After:
    """The mean from `start` (s) to the end, however long the run: a delayed readout (Bu 2024).

    It leaves out the steps in which spikes were still on their way through the layers
    (`measure.readout_delay` says how many those are). Of a run, or up to a step, that ends before
    `start` is over, it is the mean of all steps so far. Raises `SimulationError` for a start that
    is no number, or below 0.
    """

    start: float

    def __post_init__(self) -> None:
        if not (is_number(self.start) and self.start >= 0):
            raise SimulationError(f"a readout starts at 0 s or later, got {self}")

    def steps(self, dt: float) -> int:
        """The number of steps of `dt` seconds that it leaves out."""
        return round(self.start / dt)


EveryStep = Literal["last", "mean"] | After
"""Readouts that a run has at every step."""

Readout = EveryStep | Window


def readout_name(readout: EveryStep) -> str:
    """A readout as text, as records have it: "last", "mean", "After(start=0.01)"."""
    return str(readout)


def read_out(values: NDArray, readout: Readout, dt: float) -> NDArray:
    """Read `(batch, steps, *out)` out as `(batch, *out)`.

    "last" is the last step, "mean" the mean over the run, a `Window` the mean over a part of it,
    `After` that of the steps after a time. Raises `SimulationError` for an unknown readout or a
    window that no step lies in.
    """
    return (
        values[:, -1] if readout == "last" else values[:, _span(values, readout, dt)].mean(axis=1)
    )


def _span(values: NDArray, readout: Readout, dt: float) -> slice:
    steps = values.shape[1]
    if readout == "mean":
        return slice(0, steps)
    if isinstance(readout, After):
        left_out = readout.steps(dt)
        return slice(left_out if left_out < steps else 0, steps)
    if not isinstance(readout, Window):
        raise SimulationError(
            f'a readout is "last", "mean", a Window or After(seconds), got {readout!r}'
        )
    count = max(1, round(readout.seconds / dt))
    start = steps - count if readout.start is None else round(readout.start / dt)
    if start < 0 or start + count > steps:
        raise SimulationError(
            f"{readout} does not lie within the {steps} steps of {dt} s that were run"
        )
    return slice(start, start + count)


def read_out_at_every_step(values: NDArray, readout: EveryStep, dt: float = 0.001) -> NDArray:
    """The readout of the run had it ended at each step, `(batch, steps, *out)`.

    `dt` is the length of a step in seconds, which `After` needs. Raises `SimulationError` for other
    readouts.
    """
    if readout == "last":
        return values
    if readout != "mean" and not isinstance(readout, After):
        raise SimulationError(
            f'readouts at every step are "last", "mean" or After(seconds), got {readout!r}'
        )
    numbers = np.arange(1, values.shape[1] + 1)
    left_out = readout.steps(dt) if isinstance(readout, After) else 0
    counts = np.where(numbers > left_out, numbers - left_out, numbers)
    sums = np.cumsum(values, axis=1, dtype=np.float64)
    if 0 < left_out < len(numbers):
        sums[:, left_out:] -= sums[:, left_out - 1 : left_out].copy()
    return sums / counts.reshape(1, -1, *(1,) * (values.ndim - 2))


def readout_delay(
    scales: Sequence[ArrayLike], starts: Sequence[ArrayLike], means: Iterable[ArrayLike]
) -> float:
    """Seconds until spikes have come through all layers, for `After`: Bu et al. 2024, eq. 19.

    A layer's first spike comes once `v0 + s t mean(relu(z))` reaches one spike in its quickest
    neuron. The next layer waits for it, so the delays `(1 - v0) / (s mean(relu(z)))` of those
    neurons add up. With the threshold `theta = 1 / (s dt)` that is `(theta - v0 theta) / max
    mean(relu(z))` steps, as published. For each layer, numbers or arrays that broadcast: `scales`
    are firing-rate scales `s`, `starts` initial voltages in spikes, `means` time and sample means
    of the positive part of each neuron's current. Raises `SimulationError` for a layer in which no
    current is ever positive.
    """
    total = 0.0
    for number, (scale, start, mean) in enumerate(zip(scales, starts, means, strict=True)):
        current = np.asarray(mean, np.float64) * np.asarray(scale, np.float64)
        if not np.any(current > 0):
            raise SimulationError(
                f"layer {number}: no mean current is above 0, so no spike ever comes through; got "
                f"at most {current.max(initial=-np.inf):g}"
            )
        missing = np.maximum(1.0 - np.asarray(start, np.float64), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            delays = np.where(current > 0, missing / current, np.inf)
        total += float(delays.min())
    return total
