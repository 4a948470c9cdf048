"""A figure of the page: its drawing at two widths, its keys, its data as CSV and as a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from spikewright._base.amounts import counted
from spikewright._base.markup import Markup, clean, el
from spikewright.report.figures import Info, Row, csv_text
from spikewright.report.figures.charts import NARROW, WIDE, Chart
from spikewright.report.page.svg import drawing, legend
from spikewright.report.page.tables import table_markup
from spikewright.report.tables import Column, Table

_MOST_ROWS = 400


def figure(info: Info, chart: Chart | None = None, **changes: Any) -> Markup:
    """The drawing of plain data, by its own chart unless another is given.

    `changes` are other values of the chart's fields, such as its `name`.
    """
    shown = replace(chart or info.chart(), **changes)
    return el(
        "figure",
        el("figcaption", el("h3", shown.title)),
        legend(shown.keys),
        [drawing(shown, width) for width in (WIDE, NARROW)],
        None if shown.note is None else el("p", shown.note, class_="note"),
        data(shown.name, info.rows()),
    )


def data(name: str, rows: list[Row]) -> Markup:
    """A link that gives rows as CSV, and a table of the first of them behind a button."""
    header, *body = rows
    csv = quote(clean(csv_text(rows)), safe=",;:/!*()-._~'=?@$")
    link = el(
        "a",
        f"Download {name}.csv",
        download=f"{name}.csv",
        href=f"data:text/csv;charset=utf-8,{csv}",
    )
    shown = body[:_MOST_ROWS]
    told = counted(len(body), "row")
    if len(shown) < len(body):
        told = f"the first {len(shown):,} of {told}"
    columns = tuple(Column(str(name), str(name), _text) for name in header)
    table = Table("", columns, tuple(map(tuple, shown)))
    return el(
        "div",
        link,
        el("details", el("summary", f"Data as a table, {told}"), table_markup(table, name)),
        class_="data",
    )


def _text(value: str | float | int) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
