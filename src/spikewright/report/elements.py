"""Elements of a page as markup: sections, tables, and figures with their data, drawn as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from spikewright._base.amounts import counted
from spikewright._base.markup import Child, Markup, clean, el
from spikewright.report.figures import Info, Row, charts, csv_text
from spikewright.report.figures.charts import NARROW, WIDE, Chart, Room
from spikewright.report.figures.scale import EACH, PixelScale, fitting, shortened, spread
from spikewright.report.tables import Column, Table

_MOST_ROWS = 400


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
    extent = counted(len(body), "row")
    if len(body) > _MOST_ROWS:
        extent = f"the first {_MOST_ROWS:,} of {extent}"
    columns = tuple(Column(str(name), str(name), _text) for name in header)
    shown = Table("", columns, tuple(map(tuple, body[:_MOST_ROWS])))
    file, place = f"{name}.csv", f"data:text/csv;charset=utf-8,{csv}"
    return el(
        "div",
        el("a", f"Download {file}", download=file, href=place),
        el("details", el("summary", f"Data as a table, {extent}"), table(shown, f"Data of {name}")),
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
        cells = [el("td", "\u2013" if value is None else column.format(value), class_=kind)
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


_LEFT, _AXIS, _HEAD, _GAP, _BESIDE = 52, 44, 22, 8, 12  # pixels around panels
_LEVELS = 8  # of a surface


def drawing(chart: charts.Chart, width: int) -> Markup:
    """The drawing at a width; screen readers read the title and the words."""
    drawn = _Drawing(width, sum(map(sum, (_heights(p, width < charts.WIDE) for p in chart.panels))))
    above = 0.0
    for panel in chart.panels:
        head, height, foot = _heights(panel, drawn.narrow)
        _panel(drawn, panel, above + head, above + head + height)
        above += head + height + foot
    return el(
        "svg",
        el("title", chart.title),
        el("desc", chart.words),
        drawn.shapes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {drawn.height:g}",
        width=width,
        height=f"{drawn.height:g}",
        class_=f"drawing {'narrow' if drawn.narrow else 'wide'}",
        role="img",
        aria_label=". ".join(filter(None, (chart.title, chart.words))),
    )


def legend(keys: Iterable[charts.LegendEntry]) -> Markup | None:
    """Keys with their meanings, to stand above a drawing; None without keys."""
    entries = [el("li", _key(key), key.text) for key in keys]
    return el("ul", entries, class_="legend") if entries else None


def _key(key: charts.LegendEntry) -> Markup:
    drawn = _Drawing(24 if key.kind == "line" else 14, 14)
    if key.kind == "line":
        drawn.line(1, 7, 23, 7, _line_class(key.style))
    elif key.kind == "box":
        drawn.box(1, 1, 12, 12, f"fill {key.style}")
    else:
        drawn.mark(7, 7, key.style if key.style == "ring" else f"mark {key.style}", key.shape)
    return el(
        "svg",
        drawn.shapes,
        viewBox=f"0 0 {drawn.width} {drawn.height:g}",
        width=drawn.width,
        height=f"{drawn.height:g}",
        class_="key",
        aria_hidden="true",
    )


def _line_class(style: str) -> str:
    """The class of a line; a source's, and kinds of strokes of their own, have a rule alone."""
    own = ("source", "whisker", "median", "dots", "sent", "axis", "grid")
    return style if style.split()[0] in own else f"line {style}"


def _heights(panel: charts.Panel, narrow: bool) -> tuple[float, float, float]:
    """Pixels above a panel's marks, of them, and below."""
    head = _HEAD if panel.title or panel.remark else _GAP if panel.rows else 14
    return head, panel.height_at(narrow), _AXIS if panel.x.heading else _GAP


def _panel(drawn: _Drawing, panel: charts.Panel, top: float, bottom: float) -> None:
    left = _row_names(drawn, panel, top, bottom) if panel.rows else _LEFT
    right = drawn.width - panel.room_at(drawn.narrow)
    left, right = (left, right) if panel.width is None else (0, panel.width)
    if panel.alike:
        spans = (panel.x.high - panel.x.low) / (panel.y.high - panel.y.low)
        right = min(right, left + spans * (bottom - top))
    x, y = _scale(panel.x, left, right), _scale(panel.y, bottom, top)
    _titles(drawn, panel, top)
    if panel.ground:
        drawn.box(left, top, right - left, bottom - top, "ground")
    elif not panel.rows:
        for value, text in panel.y.ticks(drawn.narrow):
            drawn.line(left, y(value), right, y(value), "grid")
            drawn.text(left - 6, y(value) + 4, text, "end", "tick")
    if panel.x.heading:
        _x_axis(drawn, panel.x, x, top, bottom)
    for mark in panel.marks:
        _mark(drawn, mark, x, y)
    drawn.room.keep_line([(left, top), (left, bottom), (right, bottom)])
    for label, text, place in drawn.room.labels(panel, x, y, charts.LABEL[drawn.narrow]):
        dx, dy, anchor = place
        at = x(label.point[0]) + dx, y(label.point[1]) + dy
        drawn.text(*at, text, anchor, label.style or None)
    _ends(drawn, panel, y, right, (top, bottom))
    if panel.beside is not None:
        _beside(drawn, panel.beside, right + _BESIDE, top, bottom)


def _scale(axis: charts.Axis, start: float, end: float) -> PixelScale:
    ends = (end, start) if axis.down else (start, end)
    return PixelScale(axis.low, axis.high, *ends, axis.log)


def _row_names(drawn: _Drawing, panel: charts.Panel, top: float, bottom: float) -> float:
    """Names to the left of rows, in at most a third of the width; where rows begin."""
    y, named = _scale(panel.y, bottom, top), panel.y.named
    room = min(0.33 * drawn.width, EACH * max((len(name) for _, name in named), default=0))
    for row, name in named:
        drawn.text(room, y(row) + 4, shortened(name, room), "end")
    return room + 8


def _titles(drawn: _Drawing, panel: charts.Panel, top: float) -> None:
    if panel.title:
        drawn.text(0, top - 8, shortened(panel.title, drawn.width), class_="strong")
    if panel.remark and not drawn.narrow:
        drawn.text(drawn.width - 4, top - 8, panel.remark, "end", "muted")


def _x_axis(drawn: _Drawing, axis: charts.Axis, x: PixelScale, top: float, bottom: float) -> None:
    """Ticks, where there is room, and a heading below; lines of a grid where it has one."""
    ticks = axis.ticks(drawn.narrow)
    if axis.named:
        room = max((x.end - x.start) / len(ticks), 6 * EACH)
        ticks = [(value, shortened(name, room)) for value, name in ticks]
    for value, _ in ticks if axis.grid else ():
        drawn.line(x(value), top, x(value), bottom, "grid")
    for place, text in fitting(ticks, x, drawn.width):
        drawn.text(place, bottom + 16, text, "middle", "tick")
    drawn.line(x.start, bottom, x.end, bottom, "axis")
    half = EACH * len(axis.heading) / 2
    place = min(max((x.start + x.end) / 2, half), drawn.width - half)
    drawn.text(place, bottom + 34, axis.heading, "middle")


def _ends(
    drawn: _Drawing, panel: charts.Panel, y: PixelScale, right: float, between: tuple[float, float]
) -> None:
    """Names beside the right end, moved apart."""
    places = spread([y(value) for value, _, _ in panel.ends], 15, *between)
    for (_, text, style), place in zip(panel.ends, places, strict=True):
        drawn.text(right + 6, place + 4, text, class_=style)


def _beside(drawn: _Drawing, panel: charts.Panel, left: float, top: float, bottom: float) -> None:
    x, y = _scale(panel.x, left, drawn.width - 4), _scale(panel.y, bottom, top)
    _titles(drawn, panel, top)
    for mark in panel.marks:
        _mark(drawn, mark, x, y)


def _mark(drawn: _Drawing, mark: charts.Mark, x: PixelScale, y: PixelScale) -> None:
    match mark:
        case charts.Line(points, style):
            drawn.path([(x(a), y(b)) for a, b in points], f"line {style}")
        case charts.Band(points, style):
            upper = [(x(a), y(high)) for a, _, high in points]
            lower = [(x(a), y(low)) for a, low, _ in reversed(points)]
            drawn.path([*upper, *lower], f"band {style}", closed=True)
        case charts.Marks(points, style, shape, titles):
            for place, (a, b) in enumerate(points):
                title = titles[place] if titles else None
                drawn.mark(x(a), y(b), f"mark {style}", shape, title)
        case charts.Strokes(ends, style):
            for x0, y0, x1, y1 in ends:
                drawn.line(x(x0), y(y0), x(x1), y(y1), _line_class(style))
        case charts.Guide(value, style, upright):
            if upright:
                drawn.line(x(value), y.start, x(value), y.end, style)
            else:
                drawn.line(x.start, y(value), x.end, y(value), style)
        case charts.Boxes():
            _boxes(drawn, mark, x, y)
        case charts.Spikes(times, rows, _, step, style):
            spans = [(t - step, r, t, r + 1) for t, r in zip(times, rows, strict=True)]
            _boxes(drawn, charts.Boxes(spans, style, gap=(0.6, 0.3)), x, y)
        case charts.Ring((a, b)):
            at = [(x(a), y(b) - 10), (x(a) + 10, y(b)), (x(a), y(b) + 10), (x(a) - 10, y(b))]
            drawn.path(at, "ring", closed=True)
        case charts.Surface(points, values, top):
            for (a, b), value in zip(points, values, strict=True):
                level = round(_LEVELS * value / top)
                drawn.box(x(a) - 4, y(b) - 4, 8, 8, f"fill c0 p{level}")


def _boxes(drawn: _Drawing, boxes: charts.Boxes, x: PixelScale, y: PixelScale) -> None:
    """Boxes one by one where they have titles, else all as one path."""
    path = ""
    for place, (x0, y0, x1, y1) in enumerate(boxes.spans):
        left, right = sorted((x(x0), x(x1)))
        above, below = sorted((y(y0), y(y1)))
        width = max(0.8, right - left - boxes.gap[0])
        height = max(0.8, below - above - boxes.gap[1])
        if boxes.titles:
            drawn.box(left, above, width, height, f"fill {boxes.style}", boxes.titles[place])
        else:
            path += f"M{left:.1f} {above:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"
    if path:
        drawn.shapes.append(el("path", d=path, class_=f"fill {boxes.style}"))


@dataclass
class _Drawing:
    """A drawing of `width` x `height` pixels, to which shapes are added.

    Texts are 12 pixels high, at either width.
    """

    width: int
    height: float
    shapes: list[Markup] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.room = Room(self.width, self.height)

    @property
    def narrow(self) -> bool:
        """Whether it is for a phone."""
        return self.width < charts.WIDE

    def text(
        self, x: float, y: float, content: str, anchor: str = "start", class_: str | None = None
    ) -> None:
        """A text whose baseline is at y, of which labels keep clear."""
        at = {"x": _at(x), "y": _at(y)}
        self.shapes.append(el("text", content, **at, text_anchor=anchor, class_=class_))
        self.room.keep_text(x, y, content, anchor)

    def line(self, x0: float, y0: float, x1: float, y1: float, class_: str) -> None:
        """A straight line."""
        self.shapes.append(
            el("line", x1=_at(x0), y1=_at(y0), x2=_at(x1), y2=_at(y1), class_=class_)
        )

    def path(self, points: Sequence[charts.Point], class_: str, closed: bool = False) -> None:
        """A line through points, or the area that it encloses."""
        if points:
            d = "M" + "L".join(f"{_at(x)} {_at(y)}" for x, y in points) + "Z" * closed
            self.shapes.append(el("path", d=d, class_=class_))

    def box(
        self, x: float, y: float, width: float, height: float, class_: str, title: str | None = None
    ) -> None:
        """A filled rectangle; its title shows where a pointer rests on it."""
        inner = None if title is None else el("title", title)
        place = {"x": x, "y": y, "width": width, "height": height}
        at = {name: _at(value) for name, value in place.items()}
        self.shapes.append(el("rect", inner, **at, class_=class_))

    def mark(
        self, x: float, y: float, class_: str, shape: int = 0, title: str | None = None
    ) -> None:
        """A mark: a circle, a square, a diamond or a triangle."""
        d = (
            f"M{_at(x - 4)} {_at(y)}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
            f"M{_at(x - 3.6)} {_at(y - 3.6)}h7.2v7.2h-7.2Z",
            f"M{_at(x)} {_at(y - 5.4)}l5.4 5.4l-5.4 5.4l-5.4 -5.4Z",
            f"M{_at(x)} {_at(y - 4.8)}l5 8.6h-10Z",
        )[shape % 4]
        inner = None if title is None else el("title", title)
        self.shapes.append(el("path", inner, d=d, class_=class_))


def _at(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text
