"""Values as spikes at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError
from spikewright.running.encoders.base import Encoder, Shape, check_rate, generator_of

_MOST = 1e9  # expected spikes a step: beyond, counts are no longer whole numbers that can be drawn


@dataclass(frozen=True)
class Poisson(Encoder):
    """A Poisson number of spikes at every step, independent of all others, negative below zero.

    A value x spikes `rate |x|` times a second on average, and a spike is `1 / (rate dt)` high. Over
    T seconds the mean is x with a standard deviation of `sqrt(|x| / (rate T))`. `rate` is in Hz for
    a value of 1. Draws follow from the seed of the run, the name of the input and the sample's own
    values: not from the batch that it is in, nor from its place there.
    """

    rate: float = 1000.0

    def __post_init__(self) -> None:
        check_rate(self, self.rate)

    def spike_height(self, dt: float) -> float | None:
        return 1.0 / (self.rate * dt)

    def encode(
        self, samples: Sequence[Any], shape: Shape, steps: int, dt: float, key: tuple[int, ...]
    ) -> NDArray:
        x = np.asarray(samples, np.float64)
        expected = np.abs(x) * (self.rate * dt)
        if expected.size and expected.max() > _MOST:
            raise SimulationError(
                f"{self!r}: a value of {np.abs(x).max():g} makes {expected.max():g} spikes a step, "
                f"and {_MOST:g} are the limit; scale the input down, or lower the rate"
            )
        counts = np.empty((len(x), steps, *shape))
        for sample, mean, row in zip(x, expected, counts, strict=True):
            row[...] = generator_of(sample, key).poisson(mean, row.shape)
        return np.sign(x)[:, None] * counts / (self.rate * dt)
