"""The measured results of one setting, and the criterion by which a search compares two of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spikewright._base.schema import Finite, Positive, check_types
from spikewright.study.point import front
from spikewright.study.search.certificate import PairedLoss
from spikewright.study.search.space import Values

_MEASURED = ("steps", "readout", "cost", "costs", "risk")


@dataclass(frozen=True)
class Measurement:
    """A setting read out after `steps` steps: its loss, and its cost a sample.

    `costs` are means a sample by name ("spikes", "energy"); `cost` is the one that is minimised.
    `risk` goes with the drop, and says more where few samples are lost: answers that become less
    sure raise it. `network_steps` are those of the network, where layers start one after the other.

    `values` are those of the setting's parameters, `trial` its number in the study and `origin`
    says how the search came to it. `training` is of its network, where it was trained. Settings
    whose `alike` is the same object, not None, differ by a factor of all scales alone. `held` was
    measured on held-back samples, and `certified` says whether these show that the limit holds.
    """

    steps: Positive
    readout: str
    paired: PairedLoss
    cost: Finite
    costs: Mapping[str, Finite]
    risk: Finite = 0.0
    network_steps: Positive | None = None
    values: Values = field(default_factory=dict, compare=False)
    trial: int = field(default=0, compare=False)
    origin: str = field(default="", compare=False)
    training: Any = field(default=None, compare=False)
    alike: Any = field(default=None, compare=False)
    held: Measurement | None = field(default=None, compare=False)
    certified: bool = field(default=False, compare=False)

    @property
    def where(self) -> tuple[int, str]:
        """Steps and readout."""
        return self.steps, self.readout

    @property
    def drop(self) -> float:
        """Estimate of the mean loss."""
        return self.paired.drop

    @property
    def checked(self) -> Measurement:
        """What held-back samples gave, or the search where there is none."""
        return self.held or self

    def as_dict(self) -> dict[str, Any]:
        """What was measured as plain data, ready for JSON."""
        whole = {} if self.network_steps is None else {"network_steps": self.network_steps}
        measured = {name: getattr(self, name) for name in _MEASURED}
        return {"paired": vars(self.paired), **measured, **whole}

    @classmethod
    def of(cls, entry: Mapping[str, Any], **setting: Any) -> Measurement:
        """From plain data, and the setting that was measured; raises as the types do for others."""
        counts = "lost" in entry["paired"]  # as earlier versions wrote them
        paired = (PairedLoss.counts if counts else PairedLoss)(**entry["paired"])
        names = [*_MEASURED, *(["network_steps"] if "network_steps" in entry else [])]
        found = cls(paired=paired, **{name: entry[name] for name in names}, **setting)
        check_types(found)
        return found


def joined(parts: Sequence[Sequence[Measurement]]) -> list[Measurement]:
    """Points of several parts of the samples, as those of all: counts add, means are weighted."""
    by_place: dict[tuple[int, str], list[Measurement]] = {}
    for part in parts:
        for point in part:
            by_place.setdefault(point.where, []).append(point)
    return [_joined(points) for points in by_place.values()]


def _joined(points: Sequence[Measurement]) -> Measurement:
    first, *others = points
    weights = [point.paired.n for point in points]

    def mean(values: Iterable[float]) -> float:
        return sum(v * n for v, n in zip(values, weights, strict=True)) / sum(weights)

    return replace(
        first,
        paired=sum((point.paired for point in others), first.paired),
        cost=mean(point.cost for point in points),
        costs={name: mean(point.costs[name] for point in points) for name in first.costs},
        risk=mean(point.risk for point in points),
    )


def unbeaten(points: Iterable[Measurement]) -> list[Measurement]:
    """The points that none other beats in both drop and cost, the cheapest first."""
    return front(points, lambda p: (p.cost, p.drop, p.steps), lambda p: p.drop)


_BELOW, _ABOVE = 0.3, 1.5
_PATIENCE = 2.3  # standard errors
_FAR = 20.0  # times what may be lost: beyond, only the drop counts
_NEAR = 4.0  # times what may be lost: there drop and risk are compared
_ENOUGH = 10.0  # times that in all tell their ratio; farther points count until there is so much
_LEAST_RATIO = 0.02
_LEAST = 0.25  # of what may be lost: certificates for less are not worth their price


@dataclass(frozen=True)
class PenalizedCost:
    """The criterion of a search: least cost with a drop of at most `limit`, as a penalty function.

    `value` is smaller for better points. It is the logarithm of the cost, plus the distance of the
    drop from the limit in units of the loss allowed, times 0.3 below the limit and 1.5 above. Drops
    fall about with the third power of the spikes, so that a whole unit is worth a third of the
    cost. Far above the limit, and where nothing spikes and nothing costs, the drop alone counts.
    The drop is the mean of the counted one and the one that the risk lets expect, so that luck with
    few samples counts less; `ratio` is how much drop goes with a risk.
    """

    limit: float
    unit: float
    ratio: float = 1.0

    @classmethod
    def of(cls, limit: float, max_drop: float, n: int, size: float = 1.0) -> PenalizedCost:
        """The criterion for a limit where `max_drop` is asked for, as measured on `n` samples.

        `size` is the largest loss of one sample: of right answers one.
        """
        return cls(limit, max(max_drop, 2.0 * size / n))

    def fitted(self, points: Iterable[Measurement]) -> PenalizedCost:
        """The same criterion, with the ratio of drop and risk that points near the limit have.

        Few near points say little about it: then those farther off count too, the nearest first.
        """
        drop, risk, seen = 0.0, 0.0, 0.0
        for point in sorted(points, key=lambda p: abs(p.drop)):
            away = abs(point.drop) / self.unit
            if away >= _FAR or (away >= _NEAR and seen >= _ENOUGH):
                break
            if point.risk > 0:
                drop, risk = drop + point.drop, risk + point.risk
                seen += away
        return replace(self, ratio=max(drop / risk, 0.0)) if risk > 0 else self

    @property
    def exchange(self) -> float:
        """The worth of a rise of the risk, as a logarithm of the cost."""
        return max(self.ratio, _LEAST_RATIO) / self.unit

    def value(self, point: Measurement) -> float:
        """The penalised cost of a point; smaller is better."""
        return self._merit(point.cost, self.expected(point))

    def lower_bound(self, point: Measurement) -> float:
        """The least `value` that more samples may show for a point that was measured on few."""
        return self._merit(point.cost, self.expected(point) - _PATIENCE * point.paired.error)

    def best(self, points: Iterable[Measurement]) -> Measurement:
        """The best of some points, of equal ones that of the earliest trial."""
        return min(points, key=lambda p: (self.value(p), p.trial, p.steps))

    def expected(self, point: Measurement) -> float:
        """The drop to be expected on other samples."""
        return (point.drop + self.ratio * max(point.risk, 0.0)) / 2

    def _merit(self, cost: float, drop: float) -> float:
        distance = (drop - self.limit) / self.unit
        if distance > _FAR or (distance > 0 and cost <= 0):
            return 1000.0 * (1.0 + drop)
        return math.log(max(cost, 1e-300)) + (_ABOVE if distance > 0 else _BELOW) * distance


def certifiable(n: int, max_drop: float, confidence: float, size: float = 1.0) -> float | None:
    """The largest drop that `n` held-back samples will probably show to be at most `max_drop`.

    Supposing that two samples are gained where five are lost, `size` by each of them. None where
    that is less than a quarter of `max_drop`: so few samples certify hardly anything.
    """

    def certifies(lost: int) -> bool:
        return PairedLoss.counts(n, lost, 2 * lost // 5).p_value(max_drop / size) <= 1 - confidence

    low, high = 0, n // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if certifies(middle) else (low, middle)
    drop = size * (low - 2 * low // 5) / n
    return drop if drop > 0 and drop >= _LEAST * max_drop else None
