"""An evaluation as tables: scores of the answers at some of the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from spikewright._base.amounts import POINTS, loss_unit, number, percent
from spikewright.records import SCORE, Record, select, worths
from spikewright.report.tables import Column, Table, Value, value_of

Measure = tuple[str, str, Callable[[float], str], bool]
_PER_ACTIVE = "spikes per active neuron"
_TWIN, _ACTIVE = "if spikes were\non time", "spikes per\nactive neuron"
_MEASURES: tuple[Measure, ...] = (  # name, heading, how it is shown, whether its interval is
    ("accuracy", "accuracy", percent, True),
    ("accuracy drop", "difference\n(points)", POINTS.format_signed, True),
    ("agreement", "agreement\nwith source", percent, False),
    ("relative error", "relative\nerror", percent, True),
    ("mean absolute error", "mean absolute\nerror", number, True),
    ("relative difference", "difference\nfrom source", percent, False),
)


def powers_of_two(steps: int) -> list[int]:
    """1, 2, 4, ... below a number of steps, and that number."""
    found = [1 << n for n in range(steps.bit_length()) if 1 << n < steps]
    return [*found, steps]


def over_time_table(records: Iterable[Record], steps: Iterable[int], title: str = "") -> Table:
    """One row a readout and step (and output, of several); intervals are 95 %.

    Columns are the measures at hand: a metric, or accuracy, and the loss against the source's,
    agreement with the source, errors, difference from the source's values. Beside a score stands
    the rounded twin's, and in the end spikes per active neuron, at steps where they were measured.
    """
    found = list(records)
    wanted = set(steps)
    places = dict.fromkeys(
        (r.how.get("output"), r.how["readout"], r.how["steps"])
        for r in found
        if "threshold" not in r.how and "readout" in r.how and r.how["steps"] in wanted
    )
    present = {record.name for record in found}
    measures = [measure for measure in (*_metrics(found), *_MEASURES) if measure[0] in present]
    if "agreement" in present:
        measures = [measure for measure in measures if measure[0] != "relative difference"]
    several = any(output is not None for output, _, _ in places)
    columns = [Column("output", "output")] if several else []
    columns += [Column("readout", "readout"), Column("steps", "steps")]
    for name, heading, show, interval in measures:
        key = name.replace(" ", "_")
        columns.append(Column(key, heading, show))
        if interval:
            columns += [Column(f"{key}_low", "from", show), Column(f"{key}_high", "to", show)]
        if f"rounded {name}" in present:
            columns.append(Column(f"rounded_{key}", _TWIN, show))
    if _PER_ACTIVE in present:
        columns.append(Column("spikes_per_active_neuron", _ACTIVE, number))
    rows = [_row(found, place, measures, several) for place in places]
    return Table(title, tuple(columns), tuple(rows))


def _metrics(records: list[Record]) -> list[Measure]:
    """A metric of the user's own, and its drop."""
    names = [worth.name for worth in worths(records) if not worth.fraction]
    return [
        measure
        for name in names
        for measure in (
            (name, name, number, True),
            (f"{name} drop", "difference", loss_unit(False).format_signed, True),
        )
    ]


def _row(
    records: list[Record],
    place: tuple[str | None, str, int],
    measures: list[Measure],
    several: bool,
) -> tuple[Value, ...]:
    output, readout, steps = place
    row: list[Value] = [output] if several else []
    row += [readout, steps]
    for name, _, _, interval in measures:
        found = select(records, name, readout=readout, steps=steps, output=output)
        row.append(found[0].value if found else None)
        if interval:
            row += (found[0].interval if found else None) or (None, None)
        if any(record.name == f"rounded {name}" for record in records):
            row.append(value_of(records, f"rounded {name}", steps=steps, output=output))
    if any(record.name == _PER_ACTIVE for record in records):
        row.append(value_of(records, _PER_ACTIVE, steps=steps))
    return tuple(row)


def early_exit_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a threshold of early exit: a metric, accuracy or agreement, and steps on average."""
    found = [r for r in records if r.name.startswith("early exit ")]
    scored = [r for r in found if r.unit == SCORE]
    rows = []
    for record in scored or [r for r in found if r.unit == "fraction"]:
        threshold, output = record.how["threshold"], record.how.get("output")
        (steps,) = select(found, "early exit steps", threshold=threshold, output=output)
        rows.append((threshold, record.value, steps.value))
    right = scored[0].name.removeprefix("early exit ") if scored else "right"
    columns = (
        Column("threshold", "leave at a\nconfidence of", lambda value: f"{value:g}"),
        Column("right", right, number if scored else percent),
        Column("steps", "steps\non average", number),
    )
    return Table(title, columns, tuple(rows))
