"""A figure of the page: its drawing at two widths, its keys, its data as CSV and as a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from spikewright._base.markup import Child, Markup, clean, el
from spikewright.report.figures import Info, Row, csv_text
from spikewright.report.page.drawing import NARROW, WIDE, Drawing

_MOST_ROWS = 400


@dataclass(frozen=True)
class Figure:
    """A drawing of plain data.

    `name` is the file name of its CSV; `draw(info, width)` draws, `describe(info)` says it in
    words, `keys` explain the marks and `note` is a remark for readers.
    """

    name: str
    title: str
    info: Info
    draw: Callable[[Any, int], Drawing]
    describe: Callable[[Any], str]
    keys: Markup | None = None
    note: Child = None

    def markup(self) -> Markup:
        """The figure."""
        words = self.describe(self.info)
        drawings = [self.draw(self.info, w).svg(self.title, words) for w in (WIDE, NARROW)]
        rows = self.info.rows()
        return el(
            "figure",
            el("figcaption", el("h3", self.title)),
            self.keys,
            drawings,
            None if self.note is None else el("p", self.note, class_="note"),
            data(self.name, rows),
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
    counted = f"{len(body):,} row{'s' * (len(body) != 1)}"
    if len(shown) < len(body):
        counted = f"the first {len(shown):,} of {counted}"
    table = el(
        "table",
        el("thead", el("tr", (el("th", cell, scope="col") for cell in header))),
        el("tbody", (el("tr", map(_cell, row)) for row in shown)),
    )
    return el(
        "div",
        link,
        el("details", el("summary", f"Data as a table, {counted}"), scrolling(table, name)),
        class_="data",
    )


def _cell(value: str | float | int) -> Markup:
    if isinstance(value, str):
        return el("td", value)
    return el("td", f"{value:.6g}" if isinstance(value, float) else value, class_="number")


def scrolling(content: Markup, label: str) -> Markup:
    """A box that scrolls sideways by itself, with a finger or with the arrow keys."""
    return el("div", content, class_="scroll", role="region", aria_label=label, tabindex="0")
