"""The rows of `conversion_quality.py`, kept as a table beside the page that is written from them.

So hours of measuring can be done in parts, by several processes and on several machines.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar


@dataclass(frozen=True)
class Setting:
    """What is measured: a rule on a network, under a cap, after some steps, on so many images."""

    network: str
    rule: str
    cap: str
    steps: int
    images: int

    @property
    def key(self) -> tuple[str | int, ...]:
        """The same as a tuple, of a row too."""
        return self.network, self.rule, self.cap, self.steps, self.images


@dataclass(frozen=True)
class Row(Setting):
    """One setting's accuracies and drop, fractions; `how` says what was chosen.

    `rounded` is the accuracy of the rounded twin, and `per_active` are spikes of a neuron that is
    active in the source. None where they were not measured.
    """

    source: float
    spiking: float
    drop: float
    low: float
    high: float
    spikes: float
    how: str
    seconds: float
    rounded: float | None = None
    per_active: float | None = None


KINDS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "float | None": lambda text: float(text) if text else None,
}
Kind = TypeVar("Kind")


def read_rows(path: Path, kind: type[Kind]) -> list[Kind]:
    """Rows of a data class of texts and numbers; none where there is no file."""
    if not path.exists():
        return []
    kinds = {field.name: KINDS[str(field.type)] for field in fields(kind)}  # type: ignore[arg-type]
    with path.open(encoding="utf-8", newline="") as file:
        return [kind(**{n: kinds[n](v) for n, v in line.items()}) for line in csv.DictReader(file)]


def append_row(path: Path, row: Any) -> None:
    """Append a row of a data class, in one write: several processes may add theirs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        writer.writerow(field.name for field in fields(row))
    writer.writerow(astuple(row))
    with path.open("a", encoding="utf-8") as file:
        file.write(text.getvalue())


@dataclass(frozen=True)
class Table:
    """A file of rows, one a line; of those with one key the last one holds."""

    path: Path

    def rows(self) -> list[Row]:
        """Those of each network's last training: accuracies of others are not to be compared."""
        found = read_rows(self.path, Row)
        trained = {row.network: row.source for row in found}
        latest = {row.key: row for row in found if row.source == trained[row.network]}
        return list(latest.values())

    def add(self, row: Row) -> None:
        """Append a row."""
        append_row(self.path, row)
