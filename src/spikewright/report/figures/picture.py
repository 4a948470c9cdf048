"""Data of figures as rows and as CSV, and charts as pictures, drawn with matplotlib beside them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from spikewright._base.files import (
    FileKind,
    check_target,
    file_kind,
    head_and_tail,
    path_of,
    write_file,
)
from spikewright._base.markup import STYLE
from spikewright._base.optional import require
from spikewright.report.figures import charts
from spikewright.report.figures.charts import Chart, Room
from spikewright.report.figures.scale import EACH, PixelScale, fitting, shortened, spread

Cell = str | float | int
Row = Sequence[Cell]

_MADE_BY = "Spikewright"
_MARKS: dict[str, dict[str, str | None]] = {
    "png": {"Software": _MADE_BY},
    "svg": {"Creator": _MADE_BY, "Date": None},
    "pdf": {"Creator": _MADE_BY, "CreationDate": None},
}
"""The marks by which pictures are recognised, by their format."""
_COLUMNS = 3  # columns by which the data of a picture are known
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def is_picture(path: Path) -> bool:
    """True for a picture that `save` wrote."""
    head, tail = head_and_tail(path)
    if head.startswith(b"\x89PNG"):
        return b"tEXtSoftware\0" + _MADE_BY.encode() in head
    if head.startswith(b"%PDF"):
        return f"/Creator ({_MADE_BY})".encode() in tail
    return b"<svg" in head and f"<dc:title>{_MADE_BY}</dc:title>".encode() in head


PICTURE = file_kind("a picture that Spikewright drew", is_picture)
"""The kind of file that a picture is; what others draw is never replaced unasked."""


class Info(Protocol):
    """The data of a figure."""

    def rows(self) -> list[Row]:
        """The data as a table, its header first."""
        ...

    def chart(self) -> Chart:
        """The figure, described."""
        ...


@dataclass(frozen=True, eq=False)
class ChartInfo:
    """A figure: its chart, and its data as rows, header first."""

    described: Chart
    data: list[Row]

    def rows(self) -> list[Row]:
        return self.data

    def chart(self) -> Chart:
        return self.described


def csv_text(rows: Sequence[Row]) -> str:
    """Rows as CSV.

    A text that a spreadsheet would take for a formula gets an apostrophe before it: names come from
    model files, and opening their data must compute nothing.
    """
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(map(_harmless, rows))
    return stream.getvalue()


def _harmless(row: Row) -> list[Cell]:
    return [f"'{c}" if isinstance(c, str) and c.startswith(_FORMULA) else c for c in row]


def save(
    figure: Any, info: Info, path: str | Path, *, overwrite: bool = False
) -> tuple[Path, Path]:
    """Write the picture to `path` (`.png`, `.svg`, `.pdf`), its data beside it as CSV.

    Returns both paths. In an SVG texts stay texts, and it is the same file every time. An older
    picture of this package and its data are replaced, any other file only with `overwrite`. Raises
    `ExistingFileError` where one is not replaced, and `FileError` where either cannot be written;
    then it writes neither.
    """
    matplotlib = require("matplotlib")
    picture = path_of(path)
    data = picture.with_suffix(".csv")
    rows, content = info.rows(), io.BytesIO()
    columns = [str(cell) for cell in rows[0]]
    check_picture(picture, columns, overwrite=overwrite)
    _settle(figure)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "spikewright"}):
        form = picture.suffix.lower().removeprefix(".") or "png"
        figure.savefig(content, dpi=150, metadata=_MARKS.get(form), format=form)
    write_file(picture, content.getvalue(), PICTURE, overwrite=overwrite)
    kind = _data_of(picture, columns)
    write_file(data, csv_text(rows).encode(), kind, overwrite=overwrite)
    return picture, data


def _settle(figure: Any) -> None:
    """Lay out a figure, on rounded places: those of the solver differ in their last digits."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(float(v), 6) for v in axes.get_position(original=True).bounds])


def check_picture(path: str | Path, columns: Sequence[str], *, overwrite: bool = False) -> Path:
    """The path, if `save` may write a picture there, and beside it data that begin with columns.

    Raises as `save` does.
    """
    picture = path_of(path)
    check_target(picture, PICTURE, overwrite=overwrite)
    data = _data_of(picture, columns)
    check_target(picture.with_suffix(".csv"), data, overwrite=overwrite)
    return picture


def _data_of(picture: Path, columns: Sequence[str]) -> FileKind:
    """The kind of CSV beside a picture of ours, of any format; its first columns tell it."""
    known = list(columns[:_COLUMNS])
    pictures = [picture.with_suffix(f".{form}") for form in ("png", "svg", "pdf")]

    def recognises(path: Path) -> bool:
        line = head_and_tail(path)[0].decode(errors="replace").partition("\n")[0]
        drawn = any(one.is_file() and is_picture(one) for one in (picture, *pictures))
        return drawn and next(csv.reader([line]), [])[:_COLUMNS] == known

    return FileKind("the data of a picture", recognises)


# Colours and strokes by the words of a style: those of the light page, which come first.
_SHEET = STYLE.read_text(encoding="utf-8")
_COLOURS = dict(reversed(re.findall(r"--(\w+): (#\w+)", _SHEET)))
LOOKS: dict[str, dict[str, Any]] = {
    **{word: {"color": colour} for word, colour in _COLOURS.items()},
    **{f"p{level}": {"alpha": level / 8} for level in range(9)},
    "pixel": {"color": _COLOURS["text"]},
    "source": {"color": _COLOURS["text"], "linewidth": 1.0, "linestyle": (0, (6, 4))},
    "strong": {"fontweight": "bold"},
    "axis": {"color": _COLOURS["muted"], "linewidth": 0.8},
    "grid": {"color": _COLOURS["grid"], "linewidth": 0.8},
    "dash1": {"linestyle": (0, (5, 2))},
    "dash2": {"linestyle": (0, (1, 1.5))},
    "dots": {"linewidth": 1.0, "linestyle": (0, (1, 2.5))},
    "thin": {"linewidth": 0.7},
    "whisker": {"linewidth": 0.9},
    "median": {"linewidth": 2.1},
    "sent": {"linewidth": 1.1},
    "soft": {"alpha": 0.62},
}
_SHAPES = "osD^"
_INCH = 100.0  # pixels
_FONT = 9

_on_screen: ContextVar[bool] = ContextVar("on_screen", default=False)


@contextmanager
def on_screen() -> Iterator[None]:
    """Figures that are made inside belong to pyplot: notebooks and `pyplot.show()` show them."""
    token = _on_screen.set(True)
    try:
        yield
    finally:
        _on_screen.reset(token)


def draw(info: Info) -> Any:
    """The figure of some data, as a `matplotlib.figure.Figure`; raises `MissingExtraError`."""
    chart = info.chart()
    with require("matplotlib").rc_context({"font.size": _FONT}):
        return _figure(chart)


def _figure(chart: charts.Chart) -> Any:
    rows = -(-len(chart.panels) // chart.columns)
    heights = [chart.panels[row * chart.columns].height for row in range(rows)]
    around = 46 + 44 * rows + 26 * bool(chart.title) + 8 * len(chart.keys)
    size = (chart.width / _INCH, (sum(heights) + around) / _INCH)
    figure = _empty(size)
    if any(panel.beside for panel in chart.panels):
        figure.get_layout_engine().set(rect=(0, 0, 0.77, 1))
        whole = require("matplotlib.patches").Rectangle(
            (0, 0), 1, 1, transform=figure.transFigure, fill=False, linewidth=0
        )
        figure.add_artist(whole)  # notebooks crop to what the layout knows, which is not `beside`
    panels = figure.subplots(rows, chart.columns, height_ratios=heights, squeeze=False).ravel()
    for place, panel in enumerate(chart.panels):
        width = chart.width / chart.columns - 80
        _panel(panels[place], panel, width, first=place % chart.columns == 0)
    for axes in panels[len(chart.panels) :]:
        axes.set_visible(False)
    if chart.title:
        figure.suptitle(chart.title, x=0.01, ha="left", fontsize=_FONT + 2)
    if chart.keys:
        widest = EACH * max(len(key.text) for key in chart.keys) + 50
        columns = max(1, int(chart.width / widest))
        handles = [_key(key) for key in chart.keys]
        figure.legend(handles=handles, loc="outside lower left", ncols=columns, frameon=False)
    figure.align_ylabels()
    return figure


def _empty(size: tuple[float, float]) -> Any:
    """An empty figure, white, in inches; no window shows it, but inside `on_screen`."""
    if _on_screen.get():
        make = require("matplotlib.pyplot").figure
    else:
        make = require("matplotlib.figure").Figure
    return make(figsize=size, layout="constrained", facecolor="white")


def _look(style: str, **default: Any) -> dict[str, Any]:
    """The arguments of matplotlib for a style."""
    for word in style.split():
        default |= LOOKS.get(word, {})
    return default


def _panel(axes: Any, panel: charts.Panel, width: float, first: bool) -> None:
    """Draw a panel of a width in pixels; the first of a row has the y axis."""
    for place, mark in enumerate(panel.marks):
        _mark(axes, mark, 2 + place / 1000)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both" if panel.x.grid and not panel.rows else "x" if panel.x.grid else "y",
              **_look("grid"))  # fmt: skip
    axes.set_axisbelow(True)
    axes.set_title(panel.title, loc="left", fontsize=_FONT)
    axes.set_title(panel.remark, loc="right", fontsize=_FONT, color=_COLOURS["muted"])
    _axis(axes.xaxis, panel.x, width)
    _axis(axes.yaxis, panel.y, None)
    axes.set(xlim=(panel.x.low, panel.x.high), ylim=_ends_of(panel))
    if not panel.x.heading:
        axes.tick_params(labelbottom=False)
    if not first:
        axes.tick_params(labelleft=False)
        axes.set_ylabel("")
    _names_beside(axes, panel)
    _labels(axes, panel, width)
    if panel.alike:
        axes.set_aspect("equal")
    if panel.width is not None:
        axes.set_box_aspect(panel.height / panel.width)
        axes.set(anchor="W", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    if panel.beside is not None:
        beside = axes.inset_axes((1.03, 0, 0.3, 1))
        beside.set_in_layout(False)
        _panel(beside, panel.beside, 0.3 * width, first=False)
        beside.tick_params(left=False, bottom=False)


def _ends_of(panel: charts.Panel) -> tuple[float, float]:
    low, high = panel.y.low, panel.y.high
    if any(isinstance(mark, charts.Spikes) for mark in panel.marks):
        low -= 1  # dots of the first row stand above the axis
    return (high, low) if panel.y.down else (low, high)


def _axis(found: Any, axis: charts.Axis, width: float | None) -> None:
    """Scale, ticks and heading, as described; below a panel ticks that have no room are empty."""
    if axis.log:
        getattr(found.axes, f"set_{found.axis_name}scale")("log")
    ticks = [(value, shortened(text, charts.WIDE / 3)) for value, text in axis.ticks()]
    texts = [text for _, text in ticks]
    if width is not None:
        scale = PixelScale(axis.low, axis.high, 0, width, axis.log)
        fits = {text for _, text in fitting(ticks, scale, width)}
        texts = [text if text in fits else "" for text in texts]
    found.set_ticks([value for value, _ in ticks], texts)
    found.set_ticks([], minor=True)
    found.set_label_text(axis.heading)


def _names_beside(axes: Any, panel: charts.Panel) -> None:
    """Names beside the right end, moved apart."""
    height = panel.height
    y = PixelScale(panel.y.low, panel.y.high, 0, height, panel.y.log)
    places = spread([y(value) for value, _, _ in panel.ends], 15, 0, height)
    for (_, text, style), place in zip(panel.ends, places, strict=True):
        axes.annotate(text, (1, place / height), (6, 0), "axes fraction", "offset points",
                      va="center", annotation_clip=False, in_layout=panel.right is None,
                      **_look(style))  # fmt: skip


def _labels(axes: Any, panel: charts.Panel, width: float) -> None:
    """Names near their points, where there is room."""
    height = panel.height
    x = PixelScale(panel.x.low, panel.x.high, 0, width, panel.x.log)
    y = PixelScale(panel.y.low, panel.y.high, height, 0, panel.y.log)
    sides = {"start": "left", "middle": "center", "end": "right"}
    for label, text, place in Room(width, height).labels(panel, x, y, charts.LABEL[0]):
        dx, dy, anchor = place
        axes.annotate(text, label.point, (0.72 * dx, -0.72 * dy), ha=sides[anchor],
                      textcoords="offset points", **_look(label.style))  # fmt: skip


def _mark(axes: Any, mark: charts.Mark, order: float) -> None:
    match mark:
        case charts.Line(points, style):
            axes.plot(*_columns(points), **_look(style, linewidth=1.6), zorder=order)
        case charts.Band(points, style):
            look = {**_look(style), "alpha": 0.18}
            axes.fill_between(*_columns(points), **look, linewidth=0, zorder=order)
        case charts.Marks(points, style, shape):
            axes.plot(*_columns(points), _SHAPES[shape % 4], **_look(style), markersize=5.5,
                      markeredgecolor="white", markeredgewidth=0.6, zorder=order,
                      clip_on=False)  # fmt: skip
        case charts.Strokes(ends, style):
            lines = [((x0, y0), (x1, y1)) for x0, y0, x1, y1 in ends]
            make = require("matplotlib.collections").LineCollection
            axes.add_collection(make(lines, **_look(style), zorder=order))
        case charts.Boxes(spans, style):
            corners = [((a, b), (c, b), (c, d), (a, d)) for a, b, c, d in spans]
            make = require("matplotlib.collections").PolyCollection
            axes.add_collection(make(corners, **_look(style), linewidths=0, zorder=order))
        case charts.Spikes(times, rows, counts, _, style):
            axes.scatter(times, rows, 6.0 * np.abs(counts), **_look(style), linewidths=0,
                         rasterized=True, zorder=order, clip_on=False)  # fmt: skip
        case charts.Guide(value, style, upright):
            (axes.axvline if upright else axes.axhline)(value, **_look(style), zorder=order)
        case charts.Ring(point):
            axes.plot(*point, "D", color="none", markersize=12, markeredgecolor=_COLOURS["text"],
                      markeredgewidth=1.5, zorder=order, clip_on=False)  # fmt: skip
        case charts.Surface(points, values, top):
            shades = require("matplotlib.colors").LinearSegmentedColormap
            shown = axes.tripcolor(
                *_columns(points), values, shading="gouraud", vmin=0.0, vmax=top,
                cmap=shades.from_list("surface", ["white", _COLOURS["c0"]]),
            )  # fmt: skip
            shown.set_rasterized(True)


def _columns(points: Any) -> list[Any]:
    return list(np.array(points, np.float64).T)


def _key(key: charts.LegendEntry) -> Any:
    """The handle of a legend's entry."""
    lines, patches = require("matplotlib.lines"), require("matplotlib.patches")
    look = _look(key.style, linewidth=1.6)
    if key.kind == "line":
        return lines.Line2D([], [], label=key.text, **look)
    if key.kind == "box":
        return patches.Patch(label=key.text, **{**look, "linewidth": 0})
    if key.style == "ring":
        look |= {"color": "none", "markeredgecolor": _COLOURS["text"], "markeredgewidth": 1.5}
    return lines.Line2D([], [], label=key.text, marker=_SHAPES[key.shape % 4],
                        **{**look, "linestyle": "none"})  # fmt: skip
