"""Data of figures as rows and as CSV; a picture saved beside its data."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spikewright._base.files import (
    FileKind,
    check_target,
    file_kind,
    head_and_tail,
    path_of,
    write_file,
)
from spikewright._base.optional import require
from spikewright.report.figures.charts import Chart

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
