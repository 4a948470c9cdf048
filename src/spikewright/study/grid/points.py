"""Readings of a setting: after a number of steps, under a readout, with their loss and cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from spikewright.measure import EveryStep
from spikewright.measure.readout import readout_name
from spikewright.records import Record, Worth, own_energies, select, worths
from spikewright.study.grid.measuring import Tried
from spikewright.study.search.choice import Minimise

_OF_TRUTH = ("accuracy", "relative error")
_EQUAL = 1e-12  # losses that differ by less are the same: means are rounded


class Judged(NamedTuple):
    """The score of an output: the measure, its value, and that of the source.

    `drop` is the record of the loss, where it was measured on the same samples. `source` is None
    where the score is relative to the source.
    """

    worth: Worth
    value: Record
    drop: Record | None
    source: Record | None

    @property
    def lost(self) -> float:
        """The loss against the source."""
        if self.drop is not None:
            return self.drop.value
        own = float(self.worth.rising) if self.source is None else self.source.value
        return self.worth.sign * (own - self.value.value)


@dataclass(frozen=True, eq=False)
class Reading:
    """A setting read after `steps` steps of `dt` seconds under a readout.

    `judged` holds the score of each output. `costs` are records of spikes and energy per sample,
    none of a network that does not spike.
    """

    tried: Tried
    steps: int
    dt: float
    readout: EveryStep
    judged: tuple[Judged, ...]
    costs: tuple[Record, ...]

    @property
    def lost(self) -> float:
        """The loss against the source, of several outputs the largest."""
        return max(part.lost for part in self.judged)

    @property
    def spikes(self) -> float | None:
        """Spikes a sample."""
        return self._cost("spikes per sample")

    @property
    def energy(self) -> float | None:
        """Joules a sample, under the cost table of the sweep."""
        return self._cost("energy")

    @property
    def name(self) -> str:
        """It in words: setting, steps, and the readout where it is not the mean."""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        readout = "" if self.readout == "mean" else f", {readout_name(self.readout)} readout"
        return f"{self.tried.setting.name}, {steps}{readout}"

    @property
    def how(self) -> dict[str, Any]:
        """The details that tell it from other readings, in records."""
        read = {"steps": self.steps, "readout": readout_name(self.readout)}
        return {**self.tried.setting.how, **read}

    def price(self, minimise: Minimise) -> tuple[float, ...]:
        """The cost to minimise, and the values that decide among equals."""
        spikes, energy = (float("inf") if c is None else c for c in (self.spikes, self.energy))
        first = {"spikes": spikes, "energy": energy, "latency": float(self.steps)}[minimise]
        return (first, spikes, float(self.steps), self.lost)

    def _cost(self, name: str) -> float | None:
        found = select(self.costs, name)
        return found[0].value if found else None


def readings_of(tried: Tried, readouts: Sequence[EveryStep], table: str) -> Iterator[Reading]:
    """The readings of a setting that was measured; energies are those under a cost table."""
    if tried.evaluation is None:
        return
    found, given = tried.evaluation.records, tried.evaluation.settings
    whole = [r for r in found if "layer" not in r.how and "threshold" not in r.how]
    measures = _measures(whole)
    for steps in given["at"]:
        at = [r for r in whole if r.how.get("steps") == steps]
        costs = select(at, "spikes per sample")
        costs += own_energies(at, table=table) if costs else []
        for readout in readouts:
            read = [r for r in at if r.how.get("readout") == readout_name(readout)]
            judged = tuple(_judged(w, output, read, whole) for output, w in measures.items())
            yield Reading(tried, steps, given["dt"], readout, judged, tuple(costs))


def _measures(records: Sequence[Record]) -> dict[str | None, Worth]:
    """The measure of each output; a metric judges all of them together.

    Outputs without truth are left out; where none has truth, all are compared with the source.
    """
    known = worths(records)
    if not known[0].fraction:
        return {None: known[0]}
    found: dict[str | None, Worth] = {}
    for worth in [worth for worth in known if worth.name in _OF_TRUTH] or known:
        for record in select(records, worth.name):
            found.setdefault(record.how.get("output"), worth)
    return found


def _judged(
    worth: Worth, output: str | None, read: Sequence[Record], whole: Sequence[Record]
) -> Judged:
    of_output = {} if output is None else {"output": output}
    (value,) = select(read, worth.name, **of_output)
    drop = select(read, f"{worth.name} drop", **of_output)
    source = select(whole, f"source {worth.name}", **of_output)
    return Judged(worth, value, next(iter(drop), None), next(iter(source), None))


def cheapest(readings: Iterable[Reading], within: float, minimise: Minimise) -> Reading | None:
    """The cheapest reading that spikes and loses at most so much; None where there is none."""
    good = [r for r in readings if r.spikes is not None and r.lost <= within + _EQUAL]
    return min(good, key=lambda reading: reading.price(minimise), default=None)


def nearest(readings: Iterable[Reading], minimise: Minimise) -> Reading:
    """The reading that loses least, of equal ones the cheapest."""
    return min(readings, key=lambda reading: (reading.lost, *reading.price(minimise)))
