"""The parts of a page: what it is made from, and sections, figures and tables as markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypedDict
from urllib.parse import quote

from numpy.typing import ArrayLike

from spikewright._base.amounts import counted
from spikewright._base.markup import Child, Markup, clean, el
from spikewright._base.options import Option
from spikewright.records import Record
from spikewright.report.figures import Info, RasterInfo, Row, csv_text
from spikewright.report.figures.charts import NARROW, WIDE, Chart
from spikewright.report.page.svg import drawing, legend
from spikewright.report.tables import Column, Table

_MOST_ROWS = 400
_OF_SEARCH = (
    'Records of settings that were tried, each of which names its own in `how["setting"]`; the one '
    'that was chosen has `how["chosen"]`.'
)
_OF_SWEEP = "Records of a sweep (`Sweep.records`), at firing-rate scales that are in their `how`."


class PartOptions(TypedDict, total=False):
    """Parts of a page; what is left out has no section."""

    trace: Annotated[Iterable[Any], Option((), "The trace of a conversion.")]
    diagnosis: Annotated[Sequence[Record], Option((), "Records of `Conversion.diagnose`.")]
    search: Annotated[Sequence[Record], Option((), _OF_SEARCH)]
    sweep: Annotated[Sequence[Record], Option((), _OF_SWEEP)]
    training: Annotated[Sequence[Record], Option((), "Records of a training.")]
    rates: Annotated[
        Mapping[str, ArrayLike] | None,
        Option(None, "Firing rates in Hz by neuron, `{layer: (*shape)}`."),
    ]
    raster: Annotated[RasterInfo | None, Option(None, "A sample, spike by spike.")]
    reproduce: Annotated[Iterable[str], Option((), "Commands or lines of Python.")]
    facts: Annotated[Mapping[str, Any] | None, Option(None, "Settings by name.")]


class PageContents(PartOptions, total=False):
    """The parts of a page, and the records of a run or an evaluation."""

    records: Sequence[Record]


def section(key: str, title: str, *children: Child) -> Markup | None:
    """A section of the page, None where it would be empty."""
    if all(child is None or child == [] for child in children):
        return None
    return el("section", el("h2", title, id=key), children, aria_labelledby=key)


def figure(info: Info, chart: Chart | None = None, **changes: Any) -> Markup:
    """The drawing of plain data at two widths, its legend, its data as CSV and as a table.

    It is drawn by its own chart unless another is given. `changes` are other values of the chart's
    fields, such as its `name`.
    """
    shown = replace(chart or info.chart(), **changes)
    return el(
        "figure",
        el("figcaption", el("h3", shown.title)),
        legend(shown.keys),
        [drawing(shown, width) for width in (WIDE, NARROW)],
        None if shown.note is None else el("p", shown.note, class_="note"),
        _data(shown.name, info.rows()),
    )


def _data(name: str, rows: list[Row]) -> Markup:
    """A link that gives rows as CSV, and a table of the first of them behind a button."""
    header, *body = rows
    csv = quote(clean(csv_text(rows)), safe=",;:/!*()-._~'=?@$")
    told = counted(len(body), "row")
    if len(body) > _MOST_ROWS:
        told = f"the first {_MOST_ROWS:,} of {told}"
    columns = tuple(Column(str(name), str(name), _text) for name in header)
    shown = Table("", columns, tuple(map(tuple, body[:_MOST_ROWS])))
    file, place = f"{name}.csv", f"data:text/csv;charset=utf-8,{csv}"
    return el(
        "div",
        el("a", f"Download {file}", download=file, href=place),
        el("details", el("summary", f"Data as a table, {told}"), table(shown, name)),
        class_="data",
    )


def _text(value: str | float | int) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def table(found: Table, label: str) -> Markup:
    """A table with its title as caption, in a box that scrolls sideways by itself.

    The first cell of a row is its heading. There is no line of headings where all are empty.
    """
    kinds = [None if found.is_text(place) else "number" for place in range(len(found.columns))]
    columns = list(zip(found.columns, kinds, strict=True))
    head = [el("th", _heading(c), scope="col", class_=kind) for c, kind in columns]
    body = []
    for row in found.rows:
        cells = [el("td", "\u2013" if value is None else column.show(value), class_=kind)
                 for value, (column, kind) in zip(row, columns, strict=True)]  # fmt: skip
        cells[0].tag = "th"
        cells[0].set("scope", "row")
        body.append(el("tr", cells))
    drawn = el(
        "table",
        el("caption", found.title) if found.title else None,
        el("thead", el("tr", head)) if any(c.heading for c in found.columns) else None,
        el("tbody", body),
    )
    return el("div", drawn, class_="scroll", role="region", aria_label=label, tabindex="0")


def _heading(column: Column) -> list[str | Markup]:
    """A heading with its line breaks."""
    lines = column.heading.split("\n")
    return [part for line in lines for part in (el("br"), line)][1:]
