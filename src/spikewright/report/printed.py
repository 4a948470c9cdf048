"""Results as they are printed: tables and sentences, the same for `print` and for commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import TextWrapper

from spikewright._base.amounts import number
from spikewright._base.formatting import format_table
from spikewright.errors import printable
from spikewright.records import Record, select
from spikewright.report.layout import TextTable, fitted
from spikewright.report.tables import (
    Table,
    early_exit_table,
    energy_table,
    layer_table,
    over_time_table,
    powers_of_two,
)

_LINE = 80  # characters
Part = Table | str
"""A table, or a paragraph."""


def as_text(parts: Iterable[Part], line: int = _LINE) -> str:
    """Tables and paragraphs as text; tables in lines of at most so many characters."""
    return "\n\n".join(text for part in parts for text in _texts(part, line) if text)


def left_out(table: TextTable) -> str:
    """The sentence on columns that were left out for lack of space."""
    names = ", ".join(table.left_out)
    return f"Left out of lines so short: {names}. Files and --json have them." if names else ""


def _texts(part: Part, line: int) -> Iterator[str]:
    if isinstance(part, str):
        yield printable(part)
        return
    for table in fitted(part, line):
        rows = _rows(table, line)
        numbers = [place for place, column in enumerate(table.columns) if not column.left]
        yield "\n".join(filter(None, [printable(table.title), format_table(rows, numbers)]))
        yield left_out(table)


def _rows(table: TextTable, line: int) -> list[list[str]]:
    """Headings and rows in lines; what is wider than its column goes on in the next."""
    widths = table.widths(line)
    columns = [
        [_wrapped(c.heading, w, c.left), *(_wrapped(cell, w, c.left) for cell in c.cells)]
        for c, w in zip(table.columns, widths, strict=True)
    ]
    rows = []
    for place, row in enumerate(zip(*columns, strict=True)):
        high = max(map(len, row))
        empty = [[""] * (high - len(lines)) for lines in row]
        padded = [e + r if place == 0 else r + e for r, e in zip(row, empty, strict=True)]
        rows += [list(line) for line in zip(*padded, strict=True)]
    return rows


def _wrapped(text: str, width: int, left: bool) -> list[str]:
    lines = text.split("\n")
    if max(map(len, lines)) <= width or not (left or len(lines) > 1 or " " in text):
        return lines
    how = TextWrapper(max(1, width), break_long_words=False, break_on_hyphens=False)
    return how.wrap(" ".join(lines))


def parts_of_evaluation(records: Iterable[Record], steps: int, title: str) -> Iterator[Part]:
    """Scores over time, layers after the last of so many steps, totals and energy."""
    found = list(records)
    last = [record for record in found if record.how.get("steps") == steps]
    yield over_time_table(found, powers_of_two(steps), title)
    if select(found, "early exit steps"):
        yield early_exit_table(found, "Leaving early")
    yield layer_table(last, f"Layers after step {steps}")
    yield "\n".join(_totals(found, steps))
    if select(last, "energy"):
        yield energy_table(last, "Energy per sample")


def _totals(records: list[Record], steps: int) -> list[str]:
    """A line for each figure of the whole: those of the source and the twin, and spikes."""
    lines = []
    for record in records:
        ends = record.how.get("steps", steps) == steps
        if ends and record.name.startswith(("source ", "rounded ")):
            output = f" of {record.how['output']}" if "output" in record.how else ""
            value = f"{record.value:.2%}" if record.unit == "fraction" else number(record.value)
            lines.append(f"{record.name}{output} {value}")
    for name in ("spikes per sample", "spikes per active neuron", "bits per graded spike"):
        for record in select(records, name, layer=None, steps=steps):
            lines.append(f"{number(record.value)} {name}")
    return lines
