"""Records as tables: rows of plain values first, text second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from spikewright._base.amounts import (
    POINTS,
    bare_percent,
    joules,
    loss_unit,
    number,
    percent,
    points,
)
from spikewright.records import OWN_NETWORKS, SCORE, Record, Worth, own_energies, select, worths

Value = str | int | float | None
Place = Mapping[str, Any]
"""The settings that distinguish the records of a row: a part of their `how`."""


@dataclass(frozen=True)
class Column:
    """A column: its key in plain data, its heading, and the `format` of a value as text or markup.

    `common` holds for all values of the column, by the keys that it has in plain data. Columns with
    a `rank` are left out where lines of text are too short for all, the lowest first.
    """

    key: str
    heading: str
    format: Callable[[Any], Any] = str
    common: Mapping[str, Value] = field(default_factory=dict)
    rank: int | None = None


@dataclass(frozen=True)
class Table:
    """Columns and rows of plain values; None is a value that does not exist."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]

    @classmethod
    def of(
        cls,
        title: str,
        places: Iterable[Any],
        columns: Iterable[tuple[Column, Callable[[Any], Value]]],
    ) -> Table:
        """A row for each place, with the value that each column's function gives for it."""
        known = list(columns)
        rows = (tuple(value(place) for _, value in known) for place in places)
        return cls(title, tuple(column for column, _ in known), tuple(rows))

    def as_dicts(self) -> list[dict[str, Value]]:
        """One `{key: value}` a row, ready for JSON, also with what a whole column has in common."""
        pairs = (zip(self.columns, row, strict=True) for row in self.rows)
        return [{k: v for c, value in row for k, v in {c.key: value, **c.common}.items()}
                for row in pairs]  # fmt: skip

    def as_texts(self) -> list[tuple[str, ...]]:
        """The headings and the rows, as formatted text."""
        headings = tuple(column.heading.replace("\n", " ") for column in self.columns)
        return [headings, *(tuple(map(_format_cell, row, self.columns)) for row in self.rows)]

    def is_text(self, place: int) -> bool:
        """Whether a column holds texts alone, which stand to the left."""
        found = [row[place] for row in self.rows if row[place] is not None]
        return bool(found) and all(isinstance(value, str) for value in found)


def _format_cell(value: Value, column: Column) -> str:
    return "" if value is None else column.format(value)


def value_format(worth: Worth) -> Callable[[float], str]:
    """The format of a measure's values: fractions as percent, others as numbers."""
    return percent if worth.fraction else number


def energy_column(key: str, heading: str, table: str | None, rank: int | None = None) -> Column:
    """A column of joules under a cost table, which its heading and the plain data name."""
    return Column(key, f"{heading}\n({table})", joules, {"energy_table": table}, rank)


def network_text(network: str) -> str:
    """The kind of a network whose energy was measured, in words."""
    return {"rate": "rate network"}.get(network, network)


def powers_of_two(steps: int) -> list[int]:
    """1, 2, 4, ... below a number of steps, and that number."""
    found = [1 << n for n in range(steps.bit_length()) if 1 << n < steps]
    return [*found, steps]


def value_of(records: Iterable[Record], name: str, **how: Any) -> float | None:
    """The value of the first record of that name and settings, or None."""
    found = select(records, name, **how)
    return found[0].value if found else None


def _measured(
    records: Iterable[Record], name: str, end: int | None = None, **how: Any
) -> Callable[[Place], Value]:
    """The value of a measure at a place, and in other settings; or an end of its interval."""
    found = select(records, name, **how)

    def value(place: Place) -> Value:
        (record, *_) = [*select(found, name, **place), None]
        if record is None or end is None:
            return None if record is None else record.value
        return None if record.interval is None else record.interval[end]

    return value


def _head(*columns: Column) -> list[tuple[Column, Callable[[Place], Value]]]:
    """Columns of the settings themselves."""
    return [(column, itemgetter(column.key)) for column in columns]


_LAYER = Column("layer", "layer")


def _layers(records: Iterable[Record]) -> list[Place]:
    names = dict.fromkeys(record.how["layer"] for record in records if "layer" in record.how)
    return [{"layer": name} for name in names]


def layer_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a layer of a run: firing rate, spikes per sample, silent and saturated neurons.

    Where a spike has several levels its bits stand beside the number of spikes.
    """
    known = {
        "firing rate": Column("rate_hz", "mean rate\n(Hz)", number),
        "spikes per sample": Column("spikes_per_sample", "spikes\nper sample", number),
        "bits per graded spike": Column("bits_per_spike", "bits of a\nspike", number),
        "silent neurons": Column("silent", "silent\nneurons", percent),
        "saturated neurons": Column("saturated", "saturated\nneurons", percent),
    }
    found = [record for record in records if record.name in known and "layer" in record.how]
    if not select(found, "bits per graded spike"):
        del known["bits per graded spike"]
    columns = ((column, _measured(found, name)) for name, column in known.items())
    return Table.of(title, _layers(found), [*_head(_LAYER), *columns])


def changes_table(records: Iterable[Record], title: str) -> Table:
    """A row a layer that was trained, with the columns that some layer has."""
    found = [record for record in records if "layer" in record.how]
    known = (
        Column("change of weights", "weights,\nchange", percent),
        Column("change of biases", "biases,\nchange", percent),
        Column("threshold, after over before", "threshold,\nafter / before", number),
        Column("change of start", "start,\nchange in spikes", number),
    )
    columns = [(c, _measured(found, c.key)) for c in known if select(found, c.key)]
    return Table.of(title, _layers(found), [*_head(_LAYER), *columns])


def loss_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a layer of a diagnosis, the one that costs most first."""
    found = [record for record in records if "layer" in record.how]
    drops = select(found, "drop of the layer alone")
    lost = number if drops and drops[0].unit == SCORE else points
    known = {
        "drop of the layer alone": ("alone\ncosts", lost),
        "change of the layer alone": ("alone changes\nthe output by", percent),
        "dead neurons": ("dead\nneurons", percent),
        "saturated neurons": ("saturated\nneurons", percent),
        "unresolved values": ("values below\na spike", percent),
        "late neurons": ("late\nneurons", lambda share: f"{100 * share:.2f} %"),
    }
    gaps = select(found, "gap", part="whole")
    columns = [
        *_head(_LAYER),
        (Column("gap", "gap", percent), _measured(gaps, "gap")),
        *(
            (Column(name.replace(" ", "_"), *shape), _measured(found, name))
            for name, shape in known.items()
            if select(found, name)
        ),
        (Column("spikes", "spikes\nper sample", number), _measured(found, "spikes per sample")),
    ]
    return Table.of(title, _layers(gaps), columns)


def proposals_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a proposed change, the best first: its gain and its price in spikes a sample."""
    found = list(records)
    proposed = select(found, "predicted gain")
    text_of = points if select(found, "accuracy drop") else percent
    if any(record.unit == SCORE for record in proposed):
        text_of = number
    known = {
        "predicted gain": Column("gain", "gain", text_of),
        "predicted price": Column("price", "more spikes\na sample", number),
        "measured gain": Column("gain_run", "gain,\nrun", text_of),
        "measured price": Column("price_run", "more spikes,\nrun", number),
    }
    run = bool(select(found, "measured gain"))
    columns = [(c, _measured(found, n)) for n, c in known.items() if run or "predicted" in n]
    places = [{name: record.how[name] for name in ("change", "steps")} for record in proposed]
    settings = _head(Column("change", "change"), Column("steps", "steps"))
    return Table.of(title, places, [*settings, *columns])


def accuracy_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a readout: accuracy with its 95 % interval, and the number of samples."""
    rows = [
        (str(record.how.get("readout", "")), record.value, *(record.interval or (None, None)),
         record.n)
        for record in select(records, "accuracy")
    ]  # fmt: skip
    columns = (
        Column("readout", "readout"),
        Column("accuracy", "accuracy", percent),
        Column("low", "95 % from", percent),
        Column("high", "to", percent),
        Column("n", "samples"),
    )
    return Table(title, columns, tuple(rows))


def operations_table(records: Iterable[Record], title: str = "", steps: int | None = None) -> Table:
    """One row a layer and one for all: operations a sample; of the last step unless one is named.

    A layer's operations are those that arrive at it.
    """
    found = list(records)
    known = {
        "accumulates": Column("accumulates", "accumulates", number),
        "multiply-accumulates": Column("multiply_accumulates", "multiply-\naccumulates", number),
        "dense operations": Column("dense", "dense\noperations", number),
        "neuron updates": Column("neuron_updates", "neuron\nupdates", number),
    }
    steps = _last(found, "accumulates") if steps is None else steps
    at = [r for r in found if r.name in known and r.how.get("steps") == steps]
    columns = [
        (_LAYER, lambda place: place["layer"] or "all"),
        *((column, _measured(at, name)) for name, column in known.items()),
    ]
    return Table.of(title, [*_layers(at), {"layer": None}], columns)


def energy_table(records: Iterable[Record], title: str = "", steps: int | None = None) -> Table:
    """One row a cost table: joules a sample of the network, spiking or not, and of its rivals.

    Of the last step unless one is named.
    """
    found = list(records)
    steps = _last(found, "energy") if steps is None else steps
    at = [r for r in select(found, "energy", steps=steps) if "network" in r.how]
    places = [{"table": name} for name in dict.fromkeys(r.how["table"] for r in at)]
    network = next((r.how["network"] for r in own_energies(at)), OWN_NETWORKS[0])
    twins = dict.fromkeys(r.how["precision"] for r in at if r.how["network"] == "quantised twin")

    def of(key: str, heading: str, **how: Any) -> tuple[Column, Callable[[Place], Value]]:
        return Column(key, heading, joules), _measured(at, "energy", **how)

    columns = [
        *_head(Column("table", "cost table")),
        of(network, network_text(network), network=network),
        of("source_fp32", "source,\nfp32", network="source", precision="fp32"),
        of("source_int8", "source,\nint8", network="source", precision="int8"),
        of("twin", f"quantised twin,\n{', '.join(twins)}", network="quantised twin"),
    ]
    return Table.of(title, places, columns)


def _last(records: Iterable[Record], name: str) -> int:
    """The largest number of steps that something was recorded for."""
    return max((int(r.how["steps"]) for r in select(records, name) if "steps" in r.how), default=0)


_MEASURES = (  # name, heading, how it is shown, whether its interval is
    ("accuracy", "accuracy", percent, True),
    ("accuracy drop", "difference\n(points)", POINTS.format_signed, True),
    ("agreement", "agreement\nwith source", percent, False),
    ("relative error", "relative\nerror", percent, True),
    ("mean absolute error", "mean absolute\nerror", number, True),
    ("relative difference", "difference\nfrom source", percent, False),
)


def over_time_table(records: Iterable[Record], steps: Iterable[int], title: str = "") -> Table:
    """One row a readout and step (and output, of several); intervals are 95 %.

    Columns are the measures at hand: a metric, or accuracy, and the loss against the source's,
    agreement with the source, errors, difference from the source's values. Beside a score stands
    the rounded twin's, and in the end spikes per active neuron, at steps where they were measured.
    """
    found, wanted = list(records), set(steps)
    rows = dict.fromkeys(
        (r.how.get("output"), r.how["readout"], r.how["steps"])
        for r in found
        if "threshold" not in r.how and "readout" in r.how and r.how["steps"] in wanted
    )
    places = [dict(zip(("output", "readout", "steps"), row, strict=True)) for row in rows]
    several = any(place["output"] is not None for place in places)
    present = {record.name for record in found}
    if "agreement" in present:
        present.discard("relative difference")
    columns = _head(
        *([Column("output", "output")] if several else []),
        Column("readout", "readout"),
        Column("steps", "steps"),
    )
    behind = False  # an interval
    for name, heading, text_of, interval in (*_metrics(found), *_MEASURES):
        key = name.replace(" ", "_")
        if name in present:
            columns.append((Column(key, heading, text_of), _measured(found, name)))
        if name in present and interval:
            short = bare_percent if text_of is percent else text_of
            rank = 3 if behind else None  # the intervals of all but the first go in short lines
            behind = True
            ends = (
                Column(f"{key}_low", "from", short, rank=rank),
                Column(f"{key}_high", "to", short, rank=rank),
            )
            columns += [(end, _measured(found, name, place)) for place, end in enumerate(ends)]
        if name in present and f"rounded {name}" in present:
            twin = Column(f"rounded_{key}", "rounded\ntwin", text_of, rank=2)
            columns.append((twin, _at_steps(found, f"rounded {name}", "output")))
    if "spikes per active neuron" in present:
        active = Column("spikes_per_active_neuron", "spikes per\nactive neuron", number, rank=1)
        columns.append((active, _at_steps(found, "spikes per active neuron")))
    return Table.of(title, places, columns)


def _at_steps(records: Iterable[Record], name: str, *more: str) -> Callable[[Place], Value]:
    """The value of a measure that is the same for all readouts."""
    value = _measured(records, name)
    return lambda place: value({key: place[key] for key in ("steps", *more)})


def _metrics(records: list[Record]) -> list[tuple[str, str, Callable[[float], str], bool]]:
    """A metric of the user's own, and its drop."""
    return [
        measure
        for worth in worths(records)
        if not worth.fraction
        for measure in (
            (worth.name, worth.name, number, True),
            (f"{worth.name} drop", "difference", loss_unit(False).format_signed, True),
        )
    ]


def early_exit_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a threshold of early exit: a metric, accuracy or agreement, and steps on average."""
    found = [r for r in records if r.name.startswith("early exit ")]
    scored = [r for r in found if r.unit == SCORE]
    right = scored[0].name.removeprefix("early exit ") if scored else "right"
    columns = (
        Column("threshold", "leave at a\nconfidence of", lambda value: f"{value:g}"),
        Column("right", right, number if scored else percent),
        Column("steps", "steps\non average", number),
    )
    rows = []
    for record in scored or [r for r in found if r.unit == "fraction"]:
        threshold, output = record.how["threshold"], record.how.get("output")
        (steps,) = select(found, "early exit steps", threshold=threshold, output=output)
        rows.append((threshold, record.value, steps.value))
    return Table(title, columns, tuple(rows))


def table_of(title: str, items: Iterable[Any], *columns: Column) -> Table:
    """A table of one row an item: the attributes that columns have for keys; "" is no value.

    A key may name an attribute of an attribute, `held_back.loss`; that of None is no value.
    """

    def value(item: Any, key: str) -> Any:
        for name in key.split("."):
            item = None if item is None else getattr(item, name)
        return item

    rows = (tuple(value(item, column.key) for column in columns) for item in items)
    return Table(title, columns, tuple(tuple(None if v == "" else v for v in row) for row in rows))
