"""Measures step by step of a run, or epoch by epoch of a training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spikewright._base.amounts import capital, number, percent
from spikewright.records import Record, Worth, select, worths
from spikewright.report.figures import charts
from spikewright.report.figures.picture import Cell, ChartInfo, Row
from spikewright.report.figures.scale import step_ticks, whole_ticks

_MOST = 400  # steps that are shown
_MARKED = 16  # steps up to which each gets a mark
_MARKED_EPOCHS = 40
_BY_EPOCH = ("loss", "accuracy", "score", "spikes per sample")


def over_time_infos(records: Iterable[Record]) -> list[ChartInfo]:
    """One for each output of which something was measured at more than one step.

    A line and its band for each readout, the source's value dashed. The measure is the first there
    is of a metric, accuracy, relative error, agreement with the source and difference from it. Of
    more than 400 steps so many are kept, closer to each other at the beginning.
    """
    found = [r for r in records if "steps" in r.how or r.name.startswith("source ")]
    for worth in worths(found):
        outputs: dict[str | None, dict[str, list[Record]]] = {}
        for record in select(found, worth.name):
            if "readout" in record.how:
                lines = outputs.setdefault(record.how.get("output"), {})
                lines.setdefault(str(record.how["readout"]), []).append(record)
        figures = [
            _over_time(worth, output, lines, select(found, f"source {worth.name}", output=output))
            for output, lines in outputs.items()
            if max(map(len, lines.values())) > 1
        ]
        if figures:
            return figures
    return []


def _over_time(
    worth: Worth, output: str | None, measured: dict[str, list[Record]], source: list[Record]
) -> ChartInfo:
    """A measure of one output by step, its lines by readout, beside that of the source."""
    first, unit = next(iter(measured.values()))[0], 100 if worth.fraction else 1
    lines = {name: _thinned(line) for name, line in measured.items()}
    own, dt = [record.value for record in source[:1]], float(first.how.get("dt", 0.001))
    points = [v for line in lines.values() for _, *point in line for v in point]
    y = charts.measure_axis(worth.name, [*points, *own], worth.fraction, whole=True)
    last = max(line[-1][0] for line in lines.values())
    heading = f"steps of {dt * 1000:g} ms"
    x = charts.Axis(heading, 1, max(last, 2), number, (9, 9), log=True, ticks_of=step_ticks)
    bands = [
        charts.Band([(t, unit * a, unit * b) for t, _, a, b in line], charts.colour(index))
        for index, line in enumerate(lines.values())
    ]
    values = {name: [(p[0], unit * p[1]) for p in line] for name, line in lines.items()}
    marks, ends = charts.series(values, _MARKED)
    ends += [(unit * value, "source", "muted") for value in own]
    marks = [*bands, *marks, *(charts.Guide(unit * value, "source") for value in own)]
    of = "" if output is None else f", output {output}"
    text_of = percent if worth.fraction else number
    curves = "; ".join(
        f"{name} readout from {text_of(line[0][1])} at step {line[0][0]} to {text_of(line[-1][1])} "
        f"({text_of(line[-1][2])} to {text_of(line[-1][3])}) at step {last}"
        for name, line in lines.items()
    )
    words = f"A line for each readout over {last} steps, with 95 % intervals: {curves}."
    chart = charts.Chart(
        "accuracy_over_time",
        f"{capital(worth.name)} against steps{of}",
        [charts.Panel(x, y, marks, 262, ends=ends)],
        words + "".join(f" The source: {text_of(value)}." for value in own),
        note=f"{first.n:,} samples; bands are 95 % intervals.",
    )
    key = worth.name.replace(" ", "_")
    header = ("readout", "steps", "time_ms", key, f"{key}_low", f"{key}_high", "source")
    value: Cell = own[0] if own else ""
    rows: list[Row] = [
        (name, step, step * dt * 1000, *point, value)
        for name, line in lines.items()
        for step, *point in line
    ]
    return ChartInfo(chart, [header, *rows])


def _thinned(records: list[Record]) -> list[tuple[int, float, float, float]]:
    """Step, value and its interval, in order."""
    ordered = sorted(records, key=lambda r: int(r.how["steps"]))
    if len(ordered) > _MOST:
        places = np.geomspace(1, len(ordered), _MOST).round().astype(int) - 1
        ordered = [ordered[i] for i in np.unique(places)]
    return [(int(r.how["steps"]), *with_interval(r)) for r in ordered]


def with_interval(record: Record) -> tuple[float, float, float]:
    """A value and its interval, the value itself where it has none."""
    low, high = record.interval or (record.value, record.value)
    return record.value, low, high


def epochs_infos(records: Iterable[Record]) -> list[ChartInfo]:
    """One for each measure of the records of a training (`Training.records`).

    A line for each kind of samples, the epoch that was kept dashed.
    """
    found = [record for record in records if "epoch" in record.how]
    kept = next((int(r.how["epoch"]) for r in found if r.how.get("kept")), None)
    measured = [select(found, measure) for measure in _BY_EPOCH]
    return [_by_epoch(of_it, kept) for of_it in measured if of_it]


def _by_epoch(records: list[Record], kept: int | None) -> ChartInfo:
    """One measure by epoch."""
    first, fraction = records[0], records[0].name == "accuracy"
    name = first.name
    lines: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        line = lines.setdefault(str(record.how["samples"]), [])
        line.append((int(record.how["epoch"]), record.value))
    lines = {samples: sorted(line) for samples, line in lines.items()}
    y = charts.measure_axis(name, [r.value for r in records], fraction)
    last = max(line[-1][0] for line in lines.values())
    x = charts.Axis("epoch", 1, max(last, 2), most=(9, 9), ticks_of=whole_ticks)
    unit = 100 if fraction else 1
    shown = {samples: [(at, unit * v) for at, v in line] for samples, line in lines.items()}
    marks, ends = charts.series(shown, _MARKED_EPOCHS)
    if kept is not None:
        marks.insert(0, charts.Guide(kept, "source", upright=True))
    text_of = percent if fraction else number
    curves = "; ".join(
        f"of samples {samples} from {text_of(line[0][1])} in epoch {line[0][0]} to "
        f"{text_of(line[-1][1])} in epoch {line[-1][0]}"
        for samples, line in lines.items()
    )
    choice = f"epoch {kept} was kept" if kept is not None else "no epoch was kept"
    key = name.replace(" ", "_")
    chart = charts.Chart(
        f"training_{key}",
        f"{capital(name)} by epoch",
        [charts.Panel(x, y, marks, 182, ends=ends)],
        f"{capital(name)} {curves}; {choice}.",
        note=None if kept is None else f"Dashed: epoch {kept}, which was kept.",
    )
    rows = [(samples, *point) for samples, line in lines.items() for point in line]
    return ChartInfo(chart, [("samples", "epoch", key), *rows])
