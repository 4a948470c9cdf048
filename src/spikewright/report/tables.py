"""Records as tables: rows of plain values first, text second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spikewright._base.amounts import joules, number, percent
from spikewright.records import OWN_NETWORKS, Record, Worth, own_energies, select

Value = str | int | float | None


@dataclass(frozen=True)
class Column:
    """A column: its key in plain data, its heading, and how a value is shown, as text or markup.

    `common` holds for all values of the column, by the keys that it has in plain data.
    """

    key: str
    heading: str
    show: Callable[[Any], Any] = str
    common: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Columns and rows of plain values; None is a value that does not exist."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]

    def as_dicts(self) -> list[dict[str, Value]]:
        """One `{key: value}` a row, ready for JSON, also with what a whole column has in common."""
        rows = (zip(self.columns, row, strict=True) for row in self.rows)
        return [{k: v for c, value in row for k, v in _plain(c, value)} for row in rows]

    def as_texts(self) -> list[tuple[str, ...]]:
        """Headings, and the rows as they are shown."""
        headings = tuple(column.heading.replace("\n", " ") for column in self.columns)
        return [headings, *(tuple(map(_shown, row, self.columns)) for row in self.rows)]

    def is_text(self, place: int) -> bool:
        """Whether a column holds texts alone, which stand to the left."""
        found = [row[place] for row in self.rows if row[place] is not None]
        return bool(found) and all(isinstance(value, str) for value in found)


def _plain(column: Column, value: Value) -> Iterable[tuple[str, Value]]:
    return (column.key, value), *column.common.items()


def _shown(value: Value, column: Column) -> str:
    return "" if value is None else column.show(value)


def shown(worth: Worth) -> Callable[[float], str]:
    """The format of a measure's values: fractions as percent, others as numbers."""
    return percent if worth.fraction else number


def energy_column(key: str, heading: str, table: str | None) -> Column:
    """A column of joules under a cost table, which its heading and the plain data name."""
    return Column(key, f"{heading}\n({table})", joules, {"energy_table": table})


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
    layers = list(dict.fromkeys(record.how["layer"] for record in found))
    rows = [(layer, *(value_of(found, m, layer=layer) for m in known)) for layer in layers]
    return Table(title, (Column("layer", "layer"), *known.values()), tuple(rows))


def accuracy_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a readout: accuracy with its 95 % interval, and the number of samples."""
    rows = [
        (str(record.how.get("readout", "")), record.value, *_interval(record), record.n)
        for record in select(records, "accuracy")
    ]
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
    names = ("accumulates", "multiply-accumulates", "dense operations", "neuron updates")
    steps = _last(found, "accumulates") if steps is None else steps
    at = [r for r in found if r.name in names and r.how.get("steps") == steps]
    layers = dict.fromkeys(r.how["layer"] for r in at if "layer" in r.how)
    rows = [(layer, *(value_of(at, n, layer=layer) for n in names)) for layer in (*layers, None)]
    columns = (
        Column("layer", "layer"),
        Column("accumulates", "accumulates", number),
        Column("multiply_accumulates", "multiply-\naccumulates", number),
        Column("dense", "dense\noperations", number),
        Column("neuron_updates", "neuron\nupdates", number),
    )
    return Table(title, columns, tuple(("all" if r[0] is None else r[0], *r[1:]) for r in rows))


def energy_table(records: Iterable[Record], title: str = "", steps: int | None = None) -> Table:
    """One row a cost table: joules a sample of the network, spiking or not, and of its rivals.

    Of the last step unless one is named.
    """
    found = list(records)
    steps = _last(found, "energy") if steps is None else steps
    at = [r for r in select(found, "energy", steps=steps) if "network" in r.how]
    tables = dict.fromkeys(r.how["table"] for r in at)
    network = next((r.how["network"] for r in own_energies(at)), OWN_NETWORKS[0])
    rivals = (
        {"network": network},
        {"network": "source", "precision": "fp32"},
        {"network": "source", "precision": "int8"},
        {"network": "quantised twin"},
    )
    rows = [(name, *(value_of(at, "energy", table=name, **r) for r in rivals)) for name in tables]
    twins = dict.fromkeys(r.how["precision"] for r in at if r.how["network"] == "quantised twin")
    columns = (
        Column("table", "cost table"),
        Column(network, network_text(network), joules),
        Column("source_fp32", "source,\nfp32", joules),
        Column("source_int8", "source,\nint8", joules),
        Column("twin", f"quantised twin,\n{', '.join(twins)}", joules),
    )
    return Table(title, columns, tuple(rows))


def network_text(network: str) -> str:
    """The kind of a network whose energy was measured, in words."""
    return {"rate": "rate network"}.get(network, network)


def value_of(records: Iterable[Record], name: str, **how: Any) -> float | None:
    """The value of the first record of that name and settings, or None."""
    found = select(records, name, **how)
    return found[0].value if found else None


def _last(records: Iterable[Record], name: str) -> int:
    """The largest number of steps that something was recorded for."""
    return max((int(r.how["steps"]) for r in select(records, name) if "steps" in r.how), default=0)


def _interval(record: Record) -> Sequence[float | None]:
    return (None, None) if record.interval is None else record.interval
