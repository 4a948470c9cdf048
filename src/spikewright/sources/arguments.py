"""Arguments of layers and regularisers, checked alike for every framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spikewright._base.arguments import is_number, is_real_number, is_whole
from spikewright.errors import TrainingError


@dataclass(frozen=True)
class Rounding:
    """`levels` steps to a threshold, of which the first is `1 - start` steps from zero."""

    levels: int
    threshold: float
    start: float

    def __post_init__(self) -> None:
        if not (is_whole(self.levels) and self.levels >= 1):
            raise TrainingError(
                f"RoundedReLU.levels must be a whole number from 1, got {self.levels!r}: it is the "
                "number of steps that the spiking network takes"
            )
        if not (is_number(self.threshold) and self.threshold > 0):
            raise TrainingError(
                f"RoundedReLU.threshold must be a number above 0, got {self.threshold!r}: give the "
                "size that the layer's large values have"
            )
        if not (is_number(self.start) and 0 <= self.start < 1):
            raise TrainingError(
                f"RoundedReLU.start must be from 0, below 1, got {self.start!r}: 0.5 rounds to the "
                "nearest level, 0 down"
            )


@dataclass(frozen=True)
class Range:
    """Rates from `low` to `high` Hz, and the weight of what lies outside."""

    low: float
    high: float
    weight: float
    scale: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise TrainingError(f"RateRange.hz must rise, got {(self.low, self.high)!r}")
        for name in ("weight", "scale"):
            value = getattr(self, name)
            if not (is_number(value) and value > 0):
                raise TrainingError(f"RateRange.{name} must be a number above 0, got {value!r}")


def range_of(hz: Any, weight: float, scale: float) -> Range:
    """A range as a user gave it, `(low, high)` or one number; raises `TrainingError`."""
    bounds = tuple(hz) if isinstance(hz, Sequence) and not isinstance(hz, str) else (hz, hz)
    if len(bounds) != 2 or not all(is_real_number(bound) and bound >= 0 for bound in bounds):
        raise TrainingError(
            f"RateRange.hz must be one rate from 0 in Hz, or (low, high), got {hz!r}"
        )
    return Range(float(bounds[0]), float(bounds[1]), weight, scale)
