"""Scores of the answers at every step, with intervals, beside the source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikewright._base.amounts import number
from spikewright.records import Record, Worth, select, worths
from spikewright.report.figures.base import BLACK, PALETTE, Cell, Row, clean, new_figure

Point = tuple[int, float, float, float]
"""Step, value and its 95 % interval."""

_MOST = 400  # steps that are shown


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


def draw_over_time(info: OverTimeInfo) -> Any:
    """A `matplotlib.figure.Figure`: a line and its band for each readout, the source dashed."""
    figure = new_figure(7.0, 4.0)
    axes = figure.subplots()
    unit = 100 if info.fraction else 1
    if info.source is not None:
        axes.axhline(unit * info.source, color=BLACK, linestyle="--", linewidth=1.4, label="source")
    for (name, line), colour in zip(info.lines.items(), PALETTE * len(info.lines), strict=False):
        steps, values, low, high = np.array(line).T
        axes.fill_between(steps, unit * low, unit * high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(steps, unit * values, color=colour, linewidth=1.8, label=f"{name} readout")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda step, _: number(step))
    axes.set_xlabel(f"steps of {info.dt * 1000:g} ms")
    axes.set_ylabel(f"{info.measure} (%)" if info.fraction else info.measure)
    axes.legend(frameon=False)
    clean(axes)
    return figure
