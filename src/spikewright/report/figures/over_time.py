"""Scores of the answers at every step, with intervals, beside the source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from spikewright._base.amounts import capital, number, percent
from spikewright.records import Record, Worth, select, worths
from spikewright.report.figures import charts
from spikewright.report.figures.saving import Cell, Row
from spikewright.report.figures.scale import step_ticks

Point = tuple[int, float, float, float]
"""Step, value and its 95 % interval."""

_MOST = 400  # steps that are shown
_MARKED = 16  # steps up to which each gets a mark


@dataclass(frozen=True)
class OverTimeInfo:
    """One measure of one output by step: `lines` by readout; it is a `fraction`, or any number.

    `source` is the source model's own value, None where there is none or it says nothing; `n` is
    the number of samples, `dt` the length of a step in seconds.
    """

    measure: str
    lines: Mapping[str, tuple[Point, ...]]
    source: float | None
    dt: float
    n: int
    output: str | None = None
    fraction: bool = True

    @property
    def last(self) -> dict[str, Point]:
        """The end of each line."""
        return {name: line[-1] for name, line in self.lines.items()}

    def rows(self) -> list[Row]:
        """One row a readout and step, header first."""
        key = self.measure.replace(" ", "_")
        source: Cell = "" if self.source is None else self.source
        header = ("readout", "steps", "time_ms", key, f"{key}_low", f"{key}_high", "source")
        body = [
            (name, step, step * self.dt * 1000, value, low, high, source)
            for name, line in self.lines.items()
            for step, value, low, high in line
        ]
        return [header, *body]

    def chart(self) -> charts.Chart:
        """A line and its band for each readout, the source's value dashed."""
        unit = 100 if self.fraction else 1
        points = [v for line in self.lines.values() for _, *point in line for v in point]
        source = [] if self.source is None else [self.source]
        y = charts.measure_axis(self.measure, [*points, *source], self.fraction, whole=True)
        last = max(line[-1][0] for line in self.lines.values())
        heading = f"steps of {self.dt * 1000:g} ms"
        x = charts.Axis(heading, 1, max(last, 2), number, (9, 9), log=True, ticks_of=step_ticks)
        bands = [
            charts.Band([(t, unit * a, unit * b) for t, _, a, b in line], charts.colour(index))
            for index, line in enumerate(self.lines.values())
        ]
        values = {name: [(p[0], unit * p[1]) for p in line] for name, line in self.lines.items()}
        lines, ends = charts.series(values, _MARKED)
        ends += [(unit * value, "source", "muted") for value in source]
        marks = [*bands, *lines, *(charts.Guide(unit * value, "source") for value in source)]
        of = "" if self.output is None else f", output {self.output}"
        return charts.Chart(
            "accuracy_over_time",
            f"{capital(self.measure)} against steps{of}",
            [charts.Panel(x, y, marks, 262, ends=ends)],
            self._words(),
            note=f"{self.n:,} samples; bands are 95 % intervals.",
        )

    def _words(self) -> str:
        show = percent if self.fraction else number
        n = max(line[-1][0] for line in self.lines.values())
        ends = "; ".join(
            f"{name} readout from {show(line[0][1])} at step {line[0][0]} to {show(line[-1][1])} "
            f"({show(line[-1][2])} to {show(line[-1][3])}) at step {n}"
            for name, line in self.lines.items()
        )
        source = "" if self.source is None else f" The source: {show(self.source)}."
        return f"A line for each readout over {n} steps, with 95 % intervals: {ends}.{source}"


def over_time_infos(records: Iterable[Record]) -> list[OverTimeInfo]:
    """One for each output of which something was measured at more than one step.

    The first there is of a metric, accuracy, relative error, agreement with the source and
    difference from it. Of more than 400 steps so many are kept, closer to each other at the
    beginning.
    """
    found = [r for r in records if "steps" in r.how or r.name.startswith("source ")]
    for worth in worths(found):
        measured = [r for r in select(found, worth.name) if "readout" in r.how]
        outputs = dict.fromkeys(r.how.get("output") for r in measured)
        infos = [_info(found, worth, output) for output in outputs]
        infos = [i for i in infos if max(map(len, i.lines.values())) > 1]
        if infos:
            return infos
    return []


def _info(records: list[Record], worth: Worth, output: str | None) -> OverTimeInfo:
    measured = [r for r in select(records, worth.name, output=output) if "readout" in r.how]
    source = select(records, f"source {worth.name}", output=output)
    lines: dict[str, list[Record]] = {}
    for record in measured:
        lines.setdefault(str(record.how["readout"]), []).append(record)
    return OverTimeInfo(
        worth.name,
        {name: _thinned(line) for name, line in lines.items()},
        source[0].value if source else None,
        float(measured[0].how.get("dt", 0.001)),
        measured[0].n,
        output,
        worth.fraction,
    )


def _thinned(records: list[Record]) -> tuple[Point, ...]:
    ordered = sorted(records, key=lambda r: int(r.how["steps"]))
    if len(ordered) > _MOST:
        places = np.geomspace(1, len(ordered), _MOST).round().astype(int) - 1
        ordered = [ordered[i] for i in np.unique(places)]
    return tuple((int(r.how["steps"]), *with_interval(r)) for r in ordered)


def with_interval(record: Record) -> tuple[float, float, float]:
    """A value and its interval, the value itself where it has none."""
    low, high = record.interval or (record.value, record.value)
    return record.value, low, high
