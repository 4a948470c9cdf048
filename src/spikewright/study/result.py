"""The result of a study: the one class that `sweep`, `best_rule` and `tune` return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any

from spikewright._base.amounts import steps_text
from spikewright._base.markup import RichRepr, Rows
from spikewright.errors import printable
from spikewright.records import Record, plain, select, worths
from spikewright.report import figures
from spikewright.report.printed import Part, as_text
from spikewright.report.sweeps import rates_table
from spikewright.report.tables import Table, value_format
from spikewright.study.point import Minimise, OperatingPoint, front

ONE_STEP = "One step has no order of spikes: this is a quantised rate network."
"""The sentence about a choice of one step."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class StudyResult(RichRepr):
    """The settings that a study measured, and the best of them; print it for its conclusion.

    `points` are all that were measured, those that failed included; `best` is the chosen one, None
    where none keeps the `limit` of what may be lost, and `closest` the one that loses least.
    `minimised` names the cost that chose, `table` shows a row a point or setting, and `records` is
    all that was measured. `facts` are plain data about the study: its samples, engine, trials.
    """

    points: tuple[OperatingPoint, ...]
    best: OperatingPoint | None
    closest: OperatingPoint
    conclusion: str
    table: Table
    records: tuple[Record, ...]
    minimised: Minimise = "spikes"
    limit: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def best_or_closest(self) -> OperatingPoint:
        """The best point, or the closest where none is near enough."""
        return self.best or self.closest

    @property
    def call(self) -> str:
        """The program that makes the best network and runs it; empty where there is none."""
        return "" if self.best is None else self.best.call

    @property
    def failed(self) -> dict[str, str]:
        """The reasons of settings that could not be measured, by their names."""
        return {point.setting.name: point.failed for point in self.points if point.failed}

    @cached_property
    def curve(self) -> tuple[OperatingPoint, ...]:
        """The points that none other beats in both loss and cost, the cheapest first."""
        measured = (point for point in self.points if not point.failed)
        return tuple(front(measured, lambda p: p.price(self.minimised), lambda p: p.lost))

    @property
    def trade_off(self) -> tuple[Record, ...]:
        """The score and the cost of each setting after each of the steps.

        Of several readouts the one that loses least. The records name their point in
        `how["setting"]`, as `report.write_html` takes them for `search`.
        """
        return (*_of_source(self.records), *self._of_points())

    def _of_points(self) -> Iterator[Record]:
        measured = [point for point in self.points if not point.failed]
        for _, several in groupby(measured, key=lambda p: (id(p.setting), p.steps, p.on)):
            points = list(several)
            point = self.best if self.best in points else nearest(points, self.minimised)
            how = {**point.how, "setting": point.name, "chosen": point is self.best}
            for record in (*(score.value for score in point.scores[:1]), *point.costs):
                yield replace(record, how={**record.how, **how})

    def _summary(self) -> tuple[str, Rows]:
        return self.conclusion, self.table.as_texts()

    def _figure(self) -> Any:
        if any("scale" in record.how for record in self.records):
            return figures.draw(figures.sweep_info(self.records))
        measured = {p.name for p in self.points if any(score.drop for score in p.scores)}
        if len(measured) > 1:
            return figures.draw(figures.trade_off_info(self.trade_off))
        return None

    def __str__(self) -> str:
        return as_text([*self.parts(), self.call])

    def parts(self) -> Iterator[Part]:
        """The tables and paragraphs that `print` and commands show, in order, but for the call."""
        yield replace(self.table, title=self._title)
        rates = self._rates
        if rates is not None:
            yield rates
        yield from (f"failed: {name}: {reason}" for name, reason in self.failed.items())
        yield self.facts.get("reference", "")
        yield self.conclusion
        failures = self.facts.get("failures", {})
        yield from (f"{count} x failed: {reason}" for reason, count in failures.items())
        if "trials" in self.facts:
            searched = f"Searched on {self.facts['searched_on']} samples; trials: {self.trials}."
            yield f"{searched} To make the network again:"

    @property
    def trials(self) -> str:
        """The trials of a search by state, in words."""
        return ", ".join(f"{n} {state.lower()}" for state, n in self.facts["trials"].items())

    @property
    def _title(self) -> str:
        given = self.facts
        if "held_back" in given:
            best, lost = self.best_or_closest, 100 * (self.limit or 0.0)
            lasts = steps_text(best.steps, best.latency or best.steps, f"{best.dt * 1000:g} ms")
            return (
                f"{given['held_back']} held-back samples, at most {lost:g} points may be lost; "
                f"the best runs {lasts}"
            )
        source = [
            f"source {r.name.removeprefix('source ')} {value_format(worth)(r.value)}"
            for worth in worths(self.records)[:1]
            for r in select(self.records, f"source {worth.name}")
        ]
        if "samples" not in given:
            return self.table.title
        samples = f"{given['samples']} samples, steps of {1000 * given['dt']:g} ms"
        return ", ".join([samples, *source])

    @property
    def _rates(self) -> Table | None:
        """Firing rates of each layer under each setting of a sweep."""
        if "at" not in self.facts:
            return None
        steps = max(self.facts["at"])
        ends = {point.evaluation.settings["steps"] for point in self.points if point.evaluation}
        after = f"after {steps} steps" if len(ends) == 1 else "after the last step of each setting"
        return rates_table(self.records, steps, f"Mean firing rates in Hz, {after}")

    def __repr__(self) -> str:
        best = "none near the source" if self.best is None else f"best: {self.best.name}"
        return printable(f"<StudyResult of {len(self.points)} points, {best}>")

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data, ready for JSON."""
        best = None if self.best is None else self.best.as_dict()
        made = {} if self.best is None else plain(self.best.arguments)
        return {
            "conclusion": self.conclusion,
            "best": None if best is None else {**best, "arguments": made},
            "closest": self.closest.name,
            "limit": self.limit,
            "minimised": self.minimised,
            "table": self.table.as_dicts(),
            "failed": self.failed,
            "call": self.call,
            **self.facts,
            "records": [record.as_dict() for record in self.records],
        }


def nearest(points: Sequence[OperatingPoint], minimise: Minimise) -> OperatingPoint:
    """The point that loses least, of equal ones the cheapest."""
    return min(points, key=lambda point: (point.lost, *point.price(minimise)))


def _of_source(records: Sequence[Record]) -> list[Record]:
    """The scores of the source, which are the same beside every setting."""
    return [record for record in records if record.name.startswith("source ")]
