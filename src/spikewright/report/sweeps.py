"""A sweep as tables: score and cost of each setting, and the firing rates of its layers.

Settings are told apart by "neurons", "synapse" and "scale" in the `how` of their records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from spikewright._base.amounts import bare_percent, number, percent
from spikewright.records import DEFAULT_TABLE, Record, Worth, own_energies, select, worths
from spikewright.report.tables import Column, Table, Value, energy_column, value_format, value_of

_MOST = 12  # settings beside each other
REFERENCE = "default"
"""The scale of the setting that is what `convert` chooses for a number of steps."""


class Key(NamedTuple):
    """The key of a setting: numbers, or text."""

    neurons: Any
    synapse: Any
    scale: Any

    @classmethod
    def of(cls, how: Mapping[str, Any]) -> Key:
        """The setting of a record."""
        return cls(how.get("neurons", "default"), how.get("synapse"), how.get("scale"))

    @property
    def line(self) -> str:
        """All but the scale, in words; empty for the default."""
        parts = [] if self.neurons == "default" else [str(self.neurons)]
        parts += [] if self.synapse is None else [f"synapse {synapse_text(self.synapse)}"]
        return ", ".join(parts)


def by_setting(records: Iterable[Record]) -> dict[Key, list[Record]]:
    """Records of each setting, in order."""
    found: dict[Key, list[Record]] = {}
    for record in records:
        if "scale" in record.how:
            found.setdefault(Key.of(record.how), []).append(record)
    return found


def steps_of_spikes(records: Iterable[Record]) -> list[int]:
    """The numbers of steps after which rates were recorded, in order."""
    return sorted({r.how["steps"] for r in records if r.name == "firing rate"})


def scale_text(scale: Any) -> str:
    """A scale in words."""
    return f"{scale:g}" if isinstance(scale, int | float) else str(scale)


def synapse_text(synapse: Any) -> str:
    """A synapse in words: seconds as milliseconds."""
    if synapse is None:
        return "none"
    return f"{1000 * synapse:g} ms" if isinstance(synapse, int | float) else str(synapse)


def sweep_table(
    records: Iterable[Record],
    steps: Sequence[int],
    title: str = "",
    tried: Iterable[Mapping[str, Any]] = (),
    energies: str = DEFAULT_TABLE,
) -> Table:
    """One row a setting and number of steps.

    Columns are the scores of answers under each readout with 95 % intervals, the mean rate of all
    neurons, spikes and energy a sample, under the cost table `energies`;
    those of synapses and neurons only where they tell settings apart. `tried` are the settings, in
    order: one without records has a row without values. There is no row for steps after which
    spikes of other settings alone were counted.
    """
    found = by_setting(records)
    keys = list(dict.fromkeys([*map(Key.of, tried), *found]))
    measured = [r for some in found.values() for r in some if "readout" in r.how]
    judged = _judged(measured)
    rows: list[dict[str, Value]] = []
    for key in keys:
        whole = [r for r in found.get(key, []) if "layer" not in r.how]
        counted = {r.how["steps"] for r in select(whole, "spikes per sample")}
        for count in [n for n in steps if n in counted or not counted] if whole else [None]:
            at = [r for r in whole if r.how.get("steps") == count]
            rows.append({**_setting(key, count, at), **_worth(at, judged), **_costs(at, energies)})
    costs = *_COSTS, energy_column("energy_j", "energy\nper sample", energies, rank=4)
    columns = [c for c in (*_SETTING, *judged.columns, *costs) if _tells(c.key, rows)]
    return Table(title, tuple(columns), tuple(tuple(row[c.key] for c in columns) for row in rows))


_SETTING = (
    Column("neurons", "neurons"),
    Column("scale", "scale", scale_text),
    Column("synapse", "synapse", synapse_text),
    Column("steps", "steps"),
    Column("latency_ms", "time\n(ms)", lambda value: f"{value:g}", rank=1),
    Column("chosen", "", lambda value: "chosen" if value else ""),
)
_COSTS = (
    Column("rate_hz", "mean rate\n(Hz)", number, rank=2),
    Column("spikes_per_sample", "spikes\nper sample", number),
)
_ALIKE = {"chosen": False, "neurons": "default", "synapse": "none"}
"""Columns that are left out where every row has this."""


def _tells(key: str, rows: Sequence[Mapping[str, Value]]) -> bool:
    return key not in _ALIKE or any(row[key] != _ALIKE[key] for row in rows)


class _Judged(NamedTuple):
    """Readouts, outputs and their measures, and the columns for these."""

    places: Sequence[tuple[str, str | None, Worth]]
    columns: Sequence[Column]


def _judged(measured: Sequence[Record]) -> _Judged:
    """All readouts of the first measure of each output."""
    places: dict[tuple[str, str | None], Worth] = {}
    for worth in worths(measured):
        for record in select(measured, worth.name):
            places.setdefault((record.how["readout"], record.how.get("output")), worth)
    columns: list[Column] = []
    for (readout, output), worth in places.items():
        of = "" if output is None else f"{output}\n"
        key = _key(readout, output, worth)
        short = bare_percent if worth.fraction else number
        rank = 3 if columns else None  # the intervals of all but the first
        columns += [
            Column(key, f"{of}{worth.name},\n{readout}", value_format(worth)),
            Column(f"{key}_low", "95 %\nfrom", short, rank=rank),
            Column(f"{key}_high", "to", short, rank=rank),
        ]
    return _Judged([(r, o, worth) for (r, o), worth in places.items()], columns)


def _key(readout: str, output: str | None, worth: Worth) -> str:
    return "_".join(filter(None, [output, worth.name, readout])).replace(" ", "_")


def _setting(key: Key, steps: int | None, at: Sequence[Record]) -> dict[str, Value]:
    dt = next((r.how["dt"] for r in at if "dt" in r.how), None)
    whole = next((r.how["network_steps"] for r in at if "network_steps" in r.how), steps)
    return {
        "chosen": any(r.how.get("chosen") for r in at),
        "neurons": key.neurons,
        "scale": key.scale,
        "synapse": "none" if key.synapse is None else key.synapse,
        "steps": steps,
        "latency_ms": None if dt is None or whole is None else 1000 * dt * whole,
    }


def _worth(at: Sequence[Record], judged: _Judged) -> dict[str, Value]:
    row: dict[str, Value] = {}
    for readout, output, worth in judged.places:
        (record, *_) = [*select(at, worth.name, readout=readout, output=output), None]
        key = _key(readout, output, worth)
        low, high = (None, None) if record is None else record.interval or (None, None)
        row |= {key: None if record is None else record.value, f"{key}_low": low}
        row[f"{key}_high"] = high
    return row


def _costs(at: Sequence[Record], energies: str) -> dict[str, Value]:
    rate = None
    for record in select(at, "spikes per neuron"):
        rate = record.value / (record.how["steps"] * record.how["dt"])
    own = own_energies(at, table=energies)
    return {
        "rate_hz": rate,
        "spikes_per_sample": value_of(at, "spikes per sample"),
        "energy_j": None if rate is None or not own else own[0].value,
    }


def scale_table(records: Iterable[Record], title: str = "") -> Table:
    """One row a scale, or rule, after the last of its steps: the short form of `sweep_table`.

    Takes records of a sweep over scales alone, whose answers were judged by labels and read out as
    "mean" and "last".
    """
    found = list(records)
    (source,) = select(found, "source accuracy")
    rows = []
    for key, some in by_setting(found).items():
        steps = max(steps_of_spikes(some))
        at = [r for r in some if r.how.get("steps") == steps and "layer" not in r.how]
        costs = _costs(at, DEFAULT_TABLE)
        rows.append(
            (
                "by rule" if isinstance(key.scale, str) else key.scale,
                steps,
                source.value,
                value_of(at, "accuracy", readout="last"),
                value_of(at, "accuracy", readout="mean"),
                costs["rate_hz"],
                costs["spikes_per_sample"],
            )
        )
    columns = (
        Column("scale_firing_rates", "scale", scale_text),
        Column("steps", "steps"),
        Column("source_accuracy", "source\naccuracy", percent),
        Column("accuracy_last", "spiking,\nlast step", percent),
        Column("accuracy_mean", "spiking,\nmean", percent),
        Column("rate_hz", "mean rate\n(Hz)", number),
        Column("spikes_per_image", "spikes\nper image", number),
    )
    return Table(title, columns, tuple(rows))


def rates_table(records: Iterable[Record], steps: int, title: str = "") -> Table | None:
    """One row a layer, one column a setting: mean firing rates in Hz after a number of steps.

    Those of a setting that ends before are after its last, of one that is read later after its
    first. None of more than twelve settings, which do not fit beside each other.
    """
    found = by_setting(r for r in records if r.name == "firing rate" and "layer" in r.how)
    if not 0 < len(found) <= _MOST:
        return None
    counted = {key: steps_of_spikes(some) for key, some in found.items()}
    last = {key: max([n for n in at if n <= steps] or at[:1]) for key, at in counted.items()}
    rates = {
        key: {r.how["layer"]: r.value for r in some if r.how.get("steps") == last[key]}
        for key, some in found.items()
    }
    layers = dict.fromkeys(layer for layers in rates.values() for layer in layers)
    columns = [Column("layer", "layer")]
    for key in rates:
        heading = f"scale {scale_text(key.scale)}" + (f",\n{key.line}" if key.line else "")
        columns.append(Column(heading.replace("\n", " "), heading, number))
    rows = [(layer, *(of.get(layer) for of in rates.values())) for layer in layers]
    return Table(title, tuple(columns), tuple(rows))
