"""Values as spikes at equal distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.running.encoders.base import Encoder, Shape, check_rate

_TOLERANCE = 2.0**-16  # of a spike: what rounding may take from a sum that is whole


@dataclass(frozen=True)
class Regular(Encoder):
    """Spikes at equal distances, several a step where there must be, negative ones below zero.

    A value x spikes `rate |x|` times a second, starting from half a spike, and a spike is
    `1 / (rate dt)` high. Over T seconds the mean is within `1 / (2 rate T)` of x. `rate` is in Hz
    for a value of 1.
    """

    rate: float = 1000.0

    def __post_init__(self) -> None:
        check_rate(self, self.rate)

    def spike_height(self, dt: float) -> float | None:
        return 1.0 / (self.rate * dt)

    def encode(
        self, samples: Sequence[Any], shape: Shape, steps: int, dt: float, key: tuple[int, ...]
    ) -> NDArray:
        x = np.asarray(samples, np.float64)[:, None]
        times = np.arange(steps + 1).reshape(1, -1, *(1,) * len(shape))
        sent = np.floor(times * (np.abs(x) * (self.rate * dt)) + (0.5 + _TOLERANCE))
        return np.sign(x) * np.diff(sent, axis=1) / (self.rate * dt)
