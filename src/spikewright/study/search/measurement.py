"""The measured results of one setting: its loss and its cost, at each number of steps."""

from __future__ import annotations

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
    sure raise it.

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
        return {"paired": vars(self.paired), **{name: getattr(self, name) for name in _MEASURED}}

    @classmethod
    def of(cls, entry: Mapping[str, Any], **setting: Any) -> Measurement:
        """From plain data, and the setting that was measured; raises as the types do for others."""
        counts = "lost" in entry["paired"]  # as earlier versions wrote them
        paired = (PairedLoss.counts if counts else PairedLoss)(**entry["paired"])
        found = cls(paired=paired, **{name: entry[name] for name in _MEASURED}, **setting)
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
