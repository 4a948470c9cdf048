"""The rows of `conversion_quality.py`, kept as a table beside the page that is written from them.

So hours of measuring can be done in parts, by several processes and on several machines.
"""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, dataclass, fields
from pathlib import Path


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
    """One setting's accuracies and drop, fractions; `how` says what was chosen."""

    source: float
    spiking: float
    drop: float
    low: float
    high: float
    spikes: float
    how: str
    seconds: float


NAMES = tuple(field.name for field in fields(Row))
KINDS = {"str": str, "int": int, "float": float}


@dataclass(frozen=True)
class Table:
    """A file of rows, one a line; of those with one key the last one holds."""

    path: Path

    def rows(self) -> list[Row]:
        """Those of each network's last training: accuracies of others are not to be compared."""
        found = self._read()
        trained = {row.network: row.source for row in found}
        latest = {row.key: row for row in found if row.source == trained[row.network]}
        return list(latest.values())

    def add(self, row: Row) -> None:
        """Append a row, in one write: several processes may add theirs."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            writer.writerow(NAMES)
        writer.writerow(astuple(row))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text.getvalue())

    def _read(self) -> list[Row]:
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return [_row(line) for line in csv.DictReader(file)]


def _row(line: dict[str, str]) -> Row:
    """A row from its texts."""
    return Row(**{field.name: KINDS[str(field.type)](line[field.name]) for field in fields(Row)})
