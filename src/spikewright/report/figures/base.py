"""Shared parts of figures: data as rows and as CSV, colours, a picture saved beside its data."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from spikewright._base.amounts import number
from spikewright._base.optional import require
from spikewright._base.writing import check_place, replace_file

Cell = str | float | int
Row = Sequence[Cell]

# Okabe and Ito's palette: told apart by colour-blind readers, and in print.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE = "#56B4E9", "#CC79A7"
BLACK, GREY = "#222222", "#9A9A9A"
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)

_on_screen: ContextVar[bool] = ContextVar("on_screen", default=False)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Info(Protocol):
    """The data of a figure."""

    def rows(self) -> list[Row]:
        """The data as a table, its header first."""
        ...


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


def save(figure: Any, info: Info, path: Path) -> tuple[Path, Path]:
    """Write the picture to `path` (`.png`, `.svg`), its data beside it as CSV; returns both paths.

    In an SVG texts stay texts, and it is the same file every time. Raises `OSError` where either
    cannot be written, and then writes neither.
    """
    matplotlib = require("matplotlib")
    data, picture = check_place(path.with_suffix(".csv")), io.BytesIO()
    check_place(path)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "spikewright"}):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        kind = path.suffix.lower().removeprefix(".") or "png"
        figure.savefig(picture, dpi=150, metadata=metadata, format=kind)
    replace_file(path, picture.getvalue())
    replace_file(data, csv_text(info.rows()).encode())
    return path, data


@contextmanager
def on_screen() -> Iterator[None]:
    """Figures that are made inside belong to pyplot: notebooks and `pyplot.show()` show them."""
    token = _on_screen.set(True)
    try:
        yield
    finally:
        _on_screen.reset(token)


def new_figure(width: float, height: float) -> Any:
    """An empty figure, white, in inches; no window shows it, but inside `on_screen`."""
    if _on_screen.get():
        make = require("matplotlib.pyplot").figure
    else:
        make = require("matplotlib.figure").Figure
    return make(figsize=(width, height), layout="constrained", facecolor="white")


def clean(axes: Any, grid: str = "y") -> None:
    """Remove the upper and right border; a light grid along one axis."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def count_in_plain_numbers(
    axis: Any, values: Sequence[float], show: Callable[[float], str] = number
) -> None:
    """Ticks of a logarithmic axis as a reader writes numbers: no powers, and none between."""
    ticker = require("matplotlib.ticker")
    if max(values) < 1000 * min(values):  # powers of ten alone would be one or two ticks
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: show(value))
    axis.set_minor_formatter(ticker.NullFormatter())
