"""Tables for terminals."""

from __future__ import annotations

from rich import box
from rich.console import JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from spikewright.errors import printable
from spikewright.report.tables import Table


def to_rich(table: Table) -> RichTable:
    """The table for a terminal: texts to the left, numbers to the right."""
    title = _text(table.title) if table.title else None  # Text: names are not markup
    drawn = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, column in enumerate(table.columns):
        side: JustifyMethod = "left" if table.is_text(index) else "right"
        drawn.add_column(_text(column.heading), justify=side, overflow="fold")
    for row in table.rows:
        cells = zip(row, table.columns, strict=True)
        drawn.add_row(*(_text("-" if value is None else c.show(value)) for value, c in cells))
    return drawn


def _text(text: str) -> Text:
    return Text(printable(text))
