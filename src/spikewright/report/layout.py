"""Tables as lines of text: what stands in a line, and what goes where a line is short.

Intervals stand behind their values. Where a line is too short, columns that have a `rank` go, the
lowest first; where it still is, the table is cut into several, each with the first columns, which
tell its rows apart. Words and numbers are never broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spikewright.report.tables import Column, Table

_FRAME, _BETWEEN = 1, 2
"""Characters in front of the first column, and behind each."""


@dataclass(frozen=True)
class TextColumn:
    """A column as text: its heading, its cells, and whether they stand to the left."""

    heading: str
    cells: tuple[str, ...]
    left: bool

    @property
    def least(self) -> int:
        """Characters that it needs: headings and texts break at spaces, numbers nowhere."""
        words = self.heading.split()
        for cell in self.cells:
            words += cell.split() if self.left else [cell]
        return max(map(len, words), default=0)

    @property
    def most(self) -> int:
        """Characters with which nothing breaks."""
        return max(map(len, [*self.heading.split("\n"), *self.cells]))


@dataclass(frozen=True)
class TextTable:
    """Columns of text, and the headings of those that were left out."""

    title: str
    columns: tuple[TextColumn, ...]
    left_out: tuple[str, ...]

    def widths(self, line: int) -> list[int]:
        """The width of each column; what is over goes to the first columns that can use it."""
        found = [column.least for column in self.columns]
        for place, column in enumerate(self.columns):
            found[place] += max(0, min(column.most - column.least, line - _length(found)))
        return found


def fitted(table: Table, line: int) -> Iterator[TextTable]:
    """The table, or several in its place, in lines of so many characters."""
    kept, left_out = list(table.columns), list[str]()
    ranks = sorted({column.rank for column in kept if column.rank is not None})
    while ranks and not _fits(_texts(table, kept), line):
        rank = ranks.pop(0)
        left_out += [_in_line(c.heading) for c in kept if c.rank == rank and _is_value(c, kept)]
        kept = [column for column in kept if column.rank != rank]
    titles, texts = [table.title], _texts(table, kept)
    for columns in _cut(texts, line):
        yield TextTable(titles.pop() if titles else "", columns, tuple(left_out))
        left_out = []


def _texts(table: Table, kept: Sequence[Column]) -> list[TextColumn]:
    """The columns that are kept, as text: ends of an interval behind the value between them."""
    place = {column.key: table.columns.index(column) for column in kept}
    found = []
    for column in kept:
        ends = f"{column.key}_low", f"{column.key}_high"
        heading, several = column.heading, [column.key]
        if set(ends) <= place.keys():
            heading, several = f"{heading}\n95 % interval", [column.key, *ends]
        elif not _is_value(column, kept):
            continue
        cells = tuple(
            _cell([_format_cell(table, row, place[key]) for key in several]) for row in table.rows
        )
        found.append(TextColumn(heading, cells, table.is_text(place[column.key])))
    return found


def _is_value(column: Column, among: Sequence[Column]) -> bool:
    """False for an end of an interval."""
    stem = column.key.removesuffix("_low").removesuffix("_high")
    return stem == column.key or all(other.key != stem for other in among)


def _format_cell(table: Table, row: Sequence[object], place: int) -> str:
    return "-" if row[place] is None else table.columns[place].format(row[place])


def _cell(texts: Sequence[str]) -> str:
    value, *ends = texts
    return value if not ends or "-" in ends else f"{value} ({' to '.join(ends)})"


def _in_line(heading: str) -> str:
    return heading.replace("\n", " ")


def _length(widths: Sequence[int]) -> int:
    return _FRAME + sum(width + _BETWEEN for width in widths)


def _fits(columns: Sequence[TextColumn], line: int) -> bool:
    return _length([column.least for column in columns]) <= line


def _cut(columns: Sequence[TextColumn], line: int) -> Iterator[tuple[TextColumn, ...]]:
    """As many columns at a time as fit, behind those that tell rows apart; one at least."""
    first = 1
    while first < len(columns) and not _apart(columns[:first]):
        first += 1
    keys, rest = list(columns[:first]), list(columns[first:])
    while True:
        count = 1
        while count < len(rest) and _fits([*keys, *rest[: count + 1]], line):
            count += 1
        yield (*keys, *rest[:count])
        rest = rest[count:]
        if not rest:
            return


def _apart(columns: Sequence[TextColumn]) -> bool:
    rows = list(zip(*(column.cells for column in columns), strict=True))
    return len(set(rows)) == len(rows)
