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

    def rounded(self, xp: Any, held: Any, x: Any, threshold: Any, share: Any) -> Any:
        """`theta/L min(max(floor(L x / theta + start), 0), L)`, with gradients straight through.

        `xp` has the framework's array functions, `held` lets no gradient through. `share` is that
        of the threshold's gradient which is passed on, None for all.
        """
        theta = xp.abs(threshold)
        if share is not None:
            theta = theta * share + held(theta * (1.0 - share))
        number = xp.clip(x * (self.levels / theta), 0.0, float(self.levels)) + self.start
        whole = number + held(xp.floor(number) - number)
        return whole * (theta / self.levels)


@dataclass(frozen=True)
class ArgumentRange:
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

    def penalty(self, xp: Any, x: Any) -> Any:
        """The weighted mean square by which values, as rates, lie outside."""
        rates = x * self.scale
        outside = xp.relu(rates - self.high) + xp.relu(self.low - rates)
        return self.weight * xp.mean(xp.square(outside))


def range_of(hz: Any, weight: float, scale: float) -> ArgumentRange:
    """A range as a user gave it, `(low, high)` or one number; raises `TrainingError`."""
    bounds = tuple(hz) if isinstance(hz, Sequence) and not isinstance(hz, str) else (hz, hz)
    if len(bounds) != 2 or not all(is_real_number(bound) and bound >= 0 for bound in bounds):
        raise TrainingError(
            f"RateRange.hz must be one rate from 0 in Hz, or (low, high), got {hz!r}"
        )
    return ArgumentRange(float(bounds[0]), float(bounds[1]), weight, scale)
