"""The result of a check: a row a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from spikewright._base.amounts import number, percent
from spikewright._base.notebooks import Rows, Shown
from spikewright.report.tables import Column, Table

Outcome = Literal["ran", "linted", "refused", "failed", "missing"]


@dataclass(frozen=True)
class Layer:
    """Spikes a sample of a layer here and there, and the share of neurons that send as many."""

    name: str
    here: float
    there: float
    same: float


@dataclass(frozen=True)
class Row:
    """The outcome of a file in one reader.

    `reason` says why it did not run. `why` says why its spikes are others than ours. `reproduced`
    is the share of neurons whose every spike these reasons give again, None where nothing was
    simulated. `deviation` is the largest difference of a mean output, as a share of the
    largest output here. `notes` are what else a user of the reader should know.
    """

    reader: str
    outcome: Outcome
    reason: str = ""
    versions: Mapping[str, str] | None = None
    layers: tuple[Layer, ...] = ()
    deviation: float | None = None
    accuracy: float | None = None
    why: tuple[str, ...] = ()
    reproduced: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The version of the reader, where it is known."""
        return next(iter((self.versions or {}).values()), "")

    @property
    def spikes(self) -> float | None:
        """All spikes a sample, where the reader ran."""
        return sum(layer.there for layer in self.layers) if self.outcome == "ran" else None

    @property
    def same(self) -> bool:
        """True where every neuron sends as many spikes as here."""
        return self.outcome == "ran" and all(layer.same == 1.0 for layer in self.layers)

    def told(self) -> str:
        """The reason why it differs or did not run, in one sentence."""
        if self.reason:
            return self.reason
        if self.outcome == "linted":
            return "; ".join(self.notes) or "nothing blocks it"
        if not self.why and not self.same:
            return "same spikes in the samples that were followed step by step"
        return "; ".join(self.why) or "same spikes"


@dataclass(frozen=True)
class Check(Shown):
    """A file in other readers, a row each, beside this project's own run of it."""

    path: Path
    samples: int
    steps: int
    here: Mapping[str, float]
    accuracy: float | None
    rows: tuple[Row, ...]

    def __getitem__(self, reader: str) -> Row:
        """The row of a reader; raises `KeyError` where it was not asked."""
        for row in self.rows:
            if row.reader == reader:
                return row
        raise KeyError(reader)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        rows = [{**asdict(row), "told": row.told()} for row in self.rows]
        return {
            "path": str(self.path),
            "samples": self.samples,
            "steps": self.steps,
            "here": {"spikes": dict(self.here), "accuracy": self.accuracy},
            "readers": rows,
        }

    def table(self) -> Table:
        """One row a reader, this project's own first."""
        total = sum(self.here.values())
        ours = ("spikewright", "", "ran", total, 1.0, 0.0, self.accuracy, "")
        rows = [
            (
                row.reader,
                row.version,
                row.outcome,
                row.spikes,
                _mean_same(row),
                row.deviation,
                row.accuracy,
                row.told(),
            )
            for row in self.rows
        ]
        columns = (
            Column("reader", "reader"),
            Column("version", "version"),
            Column("outcome", "outcome"),
            Column("spikes", "spikes\nper sample", number),
            Column("same", "layers' neurons\nwith as many", percent),
            Column("deviation", "outputs\ndiffer by", percent),
            Column("accuracy", "accuracy", percent),
            Column("why", "why"),
        )
        title = f"{self.path.name}: {self.samples} samples, {self.steps} steps"
        return Table(title, columns, (ours, *rows))

    def _told(self) -> tuple[str, Rows]:
        table = self.table()
        return f"{table.title}.", table.as_texts()

    def layer_table(self) -> Table:
        """One row a layer and reader that ran: spikes a sample here and there."""
        rows = [
            (layer.name, row.reader, layer.here, layer.there, layer.same)
            for row in self.rows
            for layer in row.layers
        ]
        columns = (
            Column("layer", "layer"),
            Column("reader", "reader"),
            Column("here", "spikes\nhere", number),
            Column("there", "spikes\nthere", number),
            Column("same", "neurons\nwith as many", percent),
        )
        return Table("layer by layer", columns, tuple(rows))

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {self.samples} samples, {self.steps} steps"]
        for row in self.rows:
            spikes = "" if row.spikes is None else f", {number(row.spikes)} spikes per sample"
            lines.append(f"{row.reader} {row.version}: {row.outcome}{spikes}: {row.told()}")
        return "\n".join(lines)


def _mean_same(row: Row) -> float | None:
    """The mean over layers of the share of neurons with as many spikes."""
    found = [layer.same for layer in row.layers]
    return sum(found) / len(found) if found else None
