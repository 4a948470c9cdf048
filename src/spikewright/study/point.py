"""A setting, and its results: scores and costs after some steps, under a readout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright._base.amounts import format_energy
from spikewright.conversion import Conversion
from spikewright.measure import Evaluation, EveryStep
from spikewright.measure.intervals import Interval, mean_interval
from spikewright.records import Record, Worth, own_energies, select
from spikewright.study.programs import MODEL, ModelReference, program

Plain = str | float | None


@dataclass(frozen=True, eq=False)
class StudySetting:
    """A setting of a study: how a model is converted, and how its network is read out.

    `arguments` are those of `convert` but its model; where they look at data and name no
    `calibration`, the study's own samples are looked at. The network runs for `steps` steps (None:
    as many as the study says) and is read by each of `readouts`. `how` tells the setting from
    others in records: numbers as they are, anything else as text.
    """

    name: str
    arguments: Mapping[str, Any]
    readouts: Sequence[EveryStep] = ("mean",)
    steps: int | None = None
    how: Mapping[str, Plain] = field(default_factory=dict)


NETWORK_STEPS = "network steps"
"""The record, among the costs, of the steps of a network whose layers start one after the other."""

T = TypeVar("T")

Minimise = Literal["spikes", "energy", "latency"]


class OutputScore(NamedTuple):
    """The score of an output: the measure, its record, and that of the source.

    `drop` is the record of the loss, where it was measured on the same samples; it is `value` too
    where nothing else was. `source` is None where the score is relative to the source.
    """

    worth: Worth
    value: Record
    drop: Record | None = None
    source: Record | None = None

    @property
    def lost(self) -> float:
        """The loss against the source."""
        if self.drop is not None:
            return self.drop.value
        own = float(self.worth.rising) if self.source is None else self.source.value
        return self.worth.sign * (own - self.value.value)


class Certificate(NamedTuple):
    """The result of a certificate: whether samples that were held back show that a limit holds.

    `needed` is about how many of them would, None where the estimate itself does not hold it.
    """

    certified: bool
    needed: int | None


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class OperatingPoint:
    """A setting after `steps` steps of `dt` seconds under a readout, measured on some samples.

    `scores` are those of each output, `costs` records of spikes and energy a sample, and of all
    else that was counted; `on` names the samples that they were measured on. `failed` is the reason
    where the setting could not be measured: then there is nothing else. `losses` are those of each
    sample, and `different` the share of outputs whose answer is not the source's, `(samples,)`,
    where they are kept; `evaluation` is where a point of a sweep was read from. `check` says what
    held-back samples show, `rule` which rule the scales began with, and `training` is what
    `Conversion.train` gave where the network was trained.
    """

    setting: StudySetting
    steps: int
    dt: float
    readout: EveryStep = "mean"
    scores: tuple[OutputScore, ...] = ()
    costs: tuple[Record, ...] = ()
    on: str = ""
    failed: str = ""
    losses: NDArray = field(default_factory=lambda: np.zeros(0))
    different: NDArray | None = None
    evaluation: Evaluation | None = None
    check: Certificate | None = None
    rule: Any = None
    training: Any = None
    make: Callable[[], Conversion] | None = None
    origin: ModelReference = MODEL

    @property
    def latency(self) -> int:
        """The steps of the network until the answer is there."""
        return int(self.cost(NETWORK_STEPS) or self.steps)

    @property
    def lost(self) -> float:
        """The loss against the source, of several outputs the largest; infinite where it failed."""
        return max((score.lost for score in self.scores), default=float("inf"))

    @property
    def spikes(self) -> float | None:
        """Spikes a sample; None of a network that does not spike."""
        return self.cost("spikes per sample")

    @property
    def energy(self) -> float | None:
        """Joules a sample, where energy was counted."""
        return self.cost("energy")

    def cost(self, name: str) -> float | None:
        """The value of a record among the costs."""
        found = select(self.costs, name)
        return found[0].value if found else None

    @property
    def disagreement(self) -> float | None:
        """The share of samples whose answer is not the source's, where that was compared."""
        return None if self.different is None else float(self.different.mean())

    @property
    def n(self) -> int:
        """The number of samples that the point was measured on."""
        return max((record.n for record in self.records), default=0)

    @property
    def records(self) -> tuple[Record, ...]:
        """All records of the point, without the source's scores."""
        values = [score.value for score in self.scores]
        drops = [s.drop for s in self.scores if s.drop is not None and s.drop is not s.value]
        return (*values, *drops, *self.costs)

    @property
    def name(self) -> str:
        """The setting, the steps, and the readout where it is not the mean, in words."""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        readout = "" if self.readout == "mean" else f", {self.readout!s} readout"
        return f"{self.setting.name}, {steps}{readout}"

    @property
    def how(self) -> dict[str, Any]:
        """What distinguishes the point from others, in records."""
        read = {"steps": self.steps, "readout": str(self.readout)}
        return {**self.setting.how, **read}

    @property
    def costs_text(self) -> str:
        """Spikes and energy a sample, in words."""
        costs = [] if self.spikes is None else [f"{self.spikes:.4g} spikes a sample"]
        costs += [format_energy(r.value, r.how["table"]) for r in own_energies(self.costs)]
        return ", ".join(costs)

    def price(self, minimise: Minimise) -> tuple[float, ...]:
        """The cost to minimise, and the values that decide among equals."""
        spikes, energy = (float("inf") if c is None else c for c in (self.spikes, self.energy))
        first = {"spikes": spikes, "energy": energy, "latency": float(self.latency)}[minimise]
        return (first, spikes, float(self.latency), self.lost)

    def behind(self, other: OperatingPoint, confidence: float = 0.95) -> Interval | None:
        """The interval of how much more this one loses than another, for paired samples.

        On the samples that both were compared on; None where no losses are kept, or of one sample.
        """
        n = min(len(self.losses), len(other.losses))
        return mean_interval(self.losses[:n] - other.losses[:n], confidence)

    @cached_property
    def conversion(self) -> Conversion:
        """The network, as it was measured; a trained one where it was trained.

        Raises as `convert` does where the setting cannot be converted.
        """
        if self.training is not None:
            trained: Conversion = self.training.conversion
            return trained
        assert self.make is not None
        return self.make()

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `sw.convert` that make the network without data; no steps and no readout.

        Of a trained network they go with the trained weights.
        """
        example = {} if self.origin.example is None else {"example_input": self.origin.example}
        return {**self.conversion.resolved, **example}

    @property
    def run(self) -> dict[str, Any]:
        """Arguments of `run`."""
        return {"steps": self.steps, "dt": self.dt}

    @property
    def call(self) -> str:
        """A program that makes the network of `model` and runs it on `x`."""
        return program(
            self.origin if self.training is None else None,
            self.conversion.resolved,
            self.setting.arguments,
            (self.steps, self.dt, self.readout),
        )

    def __repr__(self) -> str:
        return f"<OperatingPoint {self.name}; {self.failed or f'lost {self.lost:.4g}'}>"

    def as_dict(self) -> dict[str, Any]:
        """The point as plain data, ready for JSON."""
        return {
            "name": self.name,
            **self.how,
            "network_steps": self.latency,
            "dt": self.dt,
            "failed": self.failed or None,
            "lost": None if self.failed else self.lost,
            "spikes": self.spikes,
            "energy": self.energy,
            "energy_table": next((r.how["table"] for r in own_energies(self.costs)), None),
            "certified": None if self.check is None else self.check.certified,
            "needed": None if self.check is None else self.check.needed,
            "rule": None if self.rule is None else str(self.rule),
            "trained": self.training is not None,
            "records": [record.as_dict() for record in self.records],
        }


def front(points: Iterable[T], price: Callable[[T], Any], lost: Callable[[T], float]) -> list[T]:
    """The points that none other beats in both loss and price, the cheapest first."""
    found: list[T] = []
    for point in sorted(points, key=price):
        if not found or lost(point) < lost(found[-1]):
            found.append(point)
    return found
