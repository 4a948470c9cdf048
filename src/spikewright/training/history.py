"""The course of a training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Way = Literal["rounding", "time"]


@dataclass(frozen=True)
class Measured:
    """The spiking network on samples that were held back, run through all its steps.

    `accuracy` is the share of right answers, None without labels; `score` a metric's mean.
    `spikes` and `joules` are a sample's, `rates` those of a neuron of each layer in Hz, on average;
    joules are counted where they have a budget, under the cost table `energy_table`.
    """

    loss: float
    accuracy: float | None
    spikes: float
    rates: Mapping[str, float] = field(default_factory=dict)
    joules: float | None = None
    score: float | None = None
    energy_table: str | None = None


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
