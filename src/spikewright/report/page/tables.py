"""Tables of a page."""

from __future__ import annotations

from spikewright._base.markup import Markup, el
from spikewright.report.page.figure import scrolling
from spikewright.report.tables import Column, Table, Value


def table_markup(table: Table, label: str) -> Markup:
    """A table with its title as caption; the first cell of a row is its heading."""
    numeric = [_is_numeric(table, place) for place in range(len(table.columns))]
    columns = list(zip(table.columns, numeric, strict=True))
    head = (
        el("th", _heading(column), scope="col", class_="number" if right else None)
        for column, right in columns
    )
    rows = (
        el(
            "tr",
            (
                _cell(v, c, r, i == 0)
                for i, (v, (c, r)) in enumerate(zip(row, columns, strict=True))
            ),
        )
        for row in table.rows
    )
    found = el(
        "table",
        el("caption", table.title) if table.title else None,
        el("thead", el("tr", head)),
        el("tbody", rows),
    )
    return scrolling(found, label)


def _heading(column: Column) -> list[str | Markup]:
    """A heading with its line breaks."""
    first, *others = column.heading.split("\n")
    return [first, *(part for line in others for part in (el("br"), line))]


def _is_numeric(table: Table, place: int) -> bool:
    found = [row[place] for row in table.rows if row[place] is not None]
    return bool(found) and not any(isinstance(value, str) for value in found)


def _cell(value: Value, column: Column, right: bool, heading: bool) -> Markup:
    text = "\u2013" if value is None else column.show(value)
    class_ = "number" if right else None
    if heading:
        return el("th", text, scope="row", class_=class_)
    return el("td", text, class_=class_)
