"""Tables of a page."""

from __future__ import annotations

from spikewright._base.markup import Markup, el
from spikewright.report.tables import Column, Table, Value


def table_markup(table: Table, label: str) -> Markup:
    """A table with its title as caption, in a box that scrolls sideways by itself.

    The first cell of a row is its heading. There is no line of headings where all are empty.
    """
    classes = [None if table.is_text(place) else "number" for place in range(len(table.columns))]
    columns = list(zip(table.columns, classes, strict=True))
    head = [el("th", _heading(c), scope="col", class_=class_) for c, class_ in columns]
    rows = ([_cell(v, c, k) for v, (c, k) in zip(row, columns, strict=True)] for row in table.rows)
    found = el(
        "table",
        el("caption", table.title) if table.title else None,
        el("thead", el("tr", head)) if any(c.heading for c in table.columns) else None,
        el("tbody", (el("tr", _as_heading(first), others) for first, *others in rows)),
    )
    return el("div", found, class_="scroll", role="region", aria_label=label, tabindex="0")


def _heading(column: Column) -> list[str | Markup]:
    """A heading with its line breaks."""
    first, *others = column.heading.split("\n")
    return [first, *(part for line in others for part in (el("br"), line))]


def _cell(value: Value, column: Column, class_: str | None) -> Markup:
    return el("td", "\u2013" if value is None else column.show(value), class_=class_)


def _as_heading(cell: Markup) -> Markup:
    cell.tag = "th"
    cell.set("scope", "row")
    return cell
