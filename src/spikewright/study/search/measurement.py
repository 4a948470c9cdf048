"""The measured results of one setting: its loss and its cost, at each number of steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from spikewright._base.schema import Finite, Natural, Positive, check
from spikewright.errors import TuningError
from spikewright.study.search.certificate import Paired, PairedScores


@dataclass(frozen=True)
class Measurement:
    """A setting read out after `steps` steps: its loss, and its cost a sample.

    `costs` are means a sample by name ("spikes", "energy"); `cost` is the one that is minimised.
    `risk` goes with the drop, and says more where few samples are lost: answers that become less
    sure raise it.
    """

    steps: int
    readout: str
    paired: Paired | PairedScores
    cost: float
    costs: Mapping[str, float]
    risk: float = 0.0

    @property
    def where(self) -> tuple[int, str]:
        """Steps and readout."""
        return self.steps, self.readout

    def as_dict(self) -> dict[str, Any]:
        """The point as plain data, ready for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Measurement:
        """A point from plain data; raises `TuningError` for other data."""
        try:
            check(entry, _Entry)
            kind = Paired if "lost" in entry["paired"] else PairedScores
            return cls(**{**entry, "paired": kind(**entry["paired"])})
        except TypeError as error:
            raise TuningError(
                f"the study holds a measurement that cannot be read ({error}). Begin a new study"
            ) from error


class _Counts(TypedDict):
    """Plain data of `Paired`."""

    n: Positive
    lost: Natural
    gained: Natural


class _Sums(TypedDict):
    """Plain data of `PairedScores`."""

    n: Positive
    total: Finite
    squares: Finite
    low: Finite
    high: Finite


class _Entry(TypedDict):
    """Plain data of a point."""

    steps: Positive
    readout: str
    paired: _Counts | _Sums
    cost: Finite
    costs: dict[str, Finite]
    risk: Finite


def joined(parts: Sequence[Sequence[Measurement]]) -> list[Measurement]:
    """Points of several parts of the samples, as those of all: counts add, means are weighted."""
    by_place: dict[tuple[int, str], list[Measurement]] = {}
    for part in parts:
        for point in part:
            by_place.setdefault(point.where, []).append(point)
    return [_joined(points) for points in by_place.values()]


def _joined(points: Sequence[Measurement]) -> Measurement:
    paired = points[0].paired
    for point in points[1:]:
        paired = paired + point.paired
    names = points[0].costs
    costs = {name: _mean([p.costs[name] for p in points], points) for name in names}
    cost = _mean([p.cost for p in points], points)
    risk = _mean([p.risk for p in points], points)
    return Measurement(points[0].steps, points[0].readout, paired, cost, costs, risk)


def _mean(values: Sequence[float], points: Sequence[Measurement]) -> float:
    return sum(v * p.paired.n for v, p in zip(values, points, strict=True)) / sum(
        p.paired.n for p in points
    )


def front(points: Iterable[Measurement]) -> list[Measurement]:
    """The points that none other beats in both drop and cost, the cheapest first."""
    found: list[Measurement] = []
    for point in sorted(points, key=lambda p: (p.cost, p.paired.drop, p.steps)):
        if not found or point.paired.drop < found[-1].paired.drop:
            found.append(point)
    return found
