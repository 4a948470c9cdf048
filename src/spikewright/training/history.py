"""The course of a training, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["rounding", "time"]


@dataclass(frozen=True)
class Measured:
    """The spiking network on samples that were held back: loss, accuracy, spikes a sample.

    Of samples without labels there is no accuracy.
    """

    loss: float
    accuracy: float | None
    spikes: float


@dataclass(frozen=True)
class Epoch:
    """One epoch: its mean loss, what was measured after it, and how long it took in seconds.

    `way` says how it went: through the rounded network alone, or with spikes run through time.
    """

    number: int
    way: Way
    loss: float
    held_back: Measured | None
    seconds: float
