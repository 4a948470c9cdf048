"""What a search is after, as one number: how much better one point is than another."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from spikewright.tune.measured import Point
from spikewright.tune.paired import Paired

_BELOW, _ABOVE = 0.3, 1.5
_PATIENCE = 2.3  # standard errors


@dataclass(frozen=True)
class Aim:
    """The least cost among drops of at most `limit`, as measured on `n` samples.

    `merit` is smaller for better points: the logarithm of the cost, plus the distance of the drop
    from the limit in units of it, times 0.3 below (where losing a third of what may be lost is
    worth a tenth of the cost, since drops fall about with the third power of the spikes) and times
    1.5 above.
    """

    limit: float
    unit: float

    @classmethod
    def of(cls, limit: float, max_drop: float, n: int) -> Aim:
        """Aim at a limit where `max_drop` is asked for."""
        return cls(limit, max(max_drop, 2.0 / n))

    def merit(self, point: Point) -> float:
        """How good a point is; smaller is better."""
        return self._merit(point.cost, point.paired.drop)

    def hope(self, point: Point) -> float:
        """How good a point that was measured on few samples may turn out to be."""
        return self._merit(point.cost, point.paired.drop - _PATIENCE * point.paired.error)

    def best(self, points: Iterable[Point]) -> Point:
        """The best of some points."""
        return min(points, key=lambda p: (self.merit(p), p.steps))

    def _merit(self, cost: float, drop: float) -> float:
        distance = (drop - self.limit) / self.unit
        slope = _ABOVE if distance > 0 else _BELOW
        return math.log(max(cost, 1e-300)) + slope * distance


def certifiable(n: int, max_drop: float, confidence: float) -> float | None:
    """The largest drop that `n` held-back samples will probably show to be at most `max_drop`.

    Supposing that two samples are gained where five are lost. None where they cannot show it even
    if none is lost.
    """

    def certifies(lost: int) -> bool:
        gained = 2 * lost // 5
        return Paired(n, lost, gained).p_value(max_drop) <= 1 - confidence

    if max_drop <= 0 or not certifies(0):
        return None
    low, high = 0, n // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if certifies(middle) else (low, middle)
    return (low - 2 * low // 5) / n
