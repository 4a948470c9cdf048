"""A figure as it is described once: panels with axes and marks, keys, words; and room for labels.

A style is a few words: a colour ("c0" to "c5", "source", "other") and a kind of stroke or fill
("dash1", "thin", "soft", ...). The page's style sheet has a rule for each of them, and
`figures/picture.py` the same for matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from numpy.typing import NDArray

from spikewright._base.amounts import joules
from spikewright.report.figures.scale import (
    EACH,
    PixelScale,
    TickFormat,
    linear_ticks,
    log_ticks,
    plain,
    shortened,
)

WIDE, NARROW = 720, 358
"""Widths of a drawing in pixels: on a desk and in print, and on a phone."""
COLOURS = 6
"""The colours of series, c0 to c5."""

Point = tuple[float, float]
Points = Sequence[Point] | NDArray
"""Places on both axes, `(any, 2)`."""
Sizes = tuple[float, float]
"""Pixels in a wide drawing and in a narrow one."""
LABEL: Sizes = (200, 135)
"""The longest that a label may be."""


@dataclass(frozen=True)
class Line:
    """A line through points."""

    points: Points
    style: str


@dataclass(frozen=True)
class Band:
    """The area between two lines: `(x, low, high)`."""

    points: Sequence[tuple[float, float, float]]
    style: str


@dataclass(frozen=True)
class Marks:
    """A mark at each point: a circle, a square, a diamond or a triangle, by its number.

    `titles` show where a pointer rests on a mark of a page.
    """

    points: Points
    style: str
    shape: int = 0
    titles: Sequence[str] = ()


@dataclass(frozen=True)
class Strokes:
    """Straight strokes `(x0, y0, x1, y1)`."""

    ends: Sequence[tuple[float, float, float, float]]
    style: str


@dataclass(frozen=True)
class Boxes:
    """Filled boxes `(x0, y0, x1, y1)`, with a gap in pixels after each, and titles as of marks."""

    spans: Sequence[tuple[float, float, float, float]]
    style: str
    titles: Sequence[str] = ()
    gap: Point = (0.0, 0.0)


@dataclass(frozen=True)
class Spikes:
    """Spikes that end steps of length `step` at `times`, in rows: boxes on a page, else dots."""

    times: NDArray
    rows: NDArray
    counts: NDArray
    step: float
    style: str


@dataclass(frozen=True)
class Guide:
    """A line across the whole panel at a value; upright at one of the x axis."""

    value: float
    style: str
    upright: bool = False


@dataclass(frozen=True)
class Ring:
    """A ring around a point that was chosen."""

    point: Point


@dataclass(frozen=True)
class PointLabel:
    """A text near a point, where there is room."""

    point: Point
    text: str
    style: str


@dataclass(frozen=True)
class Surface:
    """Values at points of a plane, from 0 to `top`: the higher, the more of the first colour."""

    points: Points
    values: Sequence[float] | NDArray
    top: float


Mark = Line | Band | Marks | Strokes | Boxes | Spikes | Guide | Ring | PointLabel | Surface


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`, upwards or to the right; `down` begins at the top.

    It has at most about `most` ticks, wide and narrow, made by `ticks_of(low, high, most)`, or
    those that are `named`. `grid` draws a line at every tick of an x axis.
    """

    heading: str
    low: float
    high: float
    format: TickFormat = plain
    most: tuple[int, int] = (6, 6)
    log: bool = False
    down: bool = False
    grid: bool = False
    named: Sequence[tuple[float, str]] = ()
    ticks_of: Callable[[float, float, int], list[float]] | None = None

    def ticks(self, narrow: bool = False) -> list[tuple[float, str]]:
        """Values and texts."""
        if self.named:
            return list(self.named)
        make = self.ticks_of or (log_ticks if self.log else linear_ticks)
        return [(v, self.format(v)) for v in make(self.low, self.high, self.most[narrow])]


@dataclass(frozen=True)
class Panel:
    """Marks between two axes, `height` pixels high.

    An x axis without a heading has no ticks, because another panel below has them. `title` stands
    above it, `remark` above its right end, `ends` are `(value, text, style)` beside its right end.
    A panel on a `ground` shows no y ticks on a page. `width` is that of a panel without axes.
    `beside` is a panel to the right of it; `right` are the pixels for that. One unit is as long on
    both axes where they are `alike`.
    """

    x: Axis
    y: Axis
    marks: Sequence[Mark]
    height: float
    title: str = ""
    remark: str = ""
    ends: Sequence[tuple[float, str, str]] = ()
    ground: bool = False
    width: float | None = None
    beside: Panel | None = None
    right: Sizes | None = None
    alike: bool = False

    @property
    def rows(self) -> bool:
        """True where the y axis has names of rows."""
        return bool(self.y.named)

    def height_at(self, narrow: bool) -> float:
        """Pixels: fewer on a phone, except for rows of something."""
        return self.height if self.rows or self.ground or not narrow else 0.75 * self.height

    def room_at(self, narrow: bool) -> float:
        """Pixels to the right of the marks."""
        if self.right is not None:
            return self.right[narrow]
        return 10 + EACH * max(len(text) for _, text, _ in self.ends) if self.ends else 22


@dataclass(frozen=True)
class LegendEntry:
    """An entry of the legend: a "mark", a "box" or a "line" of a style, and its meaning."""

    kind: str
    style: str
    text: str
    shape: int = 0


@dataclass(frozen=True)
class Chart:
    """A whole figure; `name` is that of its data, `words` say what it shows.

    Pictures have `columns` panels side by side, row by row, and are `width` pixels wide.
    """

    name: str
    title: str
    panels: Sequence[Panel]
    words: str
    keys: Sequence[LegendEntry] = ()
    note: str | None = None
    columns: int = 1
    width: float = WIDE


def colour(index: int) -> str:
    """The colour of a series."""
    return f"c{index % COLOURS}"


def dashed(index: int) -> str:
    """Colour and dash of a series of lines."""
    return f"{colour(index)} {('', 'dash1', 'dash2')[index % 3]}".strip()


def rows_of(names: Iterable[str]) -> Axis:
    """A y axis of names, the first on top; rows are numbered from 0."""
    named = tuple(enumerate(names))
    return Axis("", -0.5, len(named) - 0.5, down=True, named=named)


def with_room(values: Sequence[float], log: bool = False) -> Point:
    """Ends of an axis with some room beside the values."""
    low, high = min(values), max(values)
    if log:
        factor = (high / low) ** 0.06 if high > low else 1.5
        return low / factor, high * factor
    span = (high - low) or abs(high) or 1.0
    return low - 0.05 * span, high + 0.05 * span


def series(
    lines: Mapping[str, Sequence[Point]], marked: int
) -> tuple[list[Mark], list[tuple[float, str, str]]]:
    """Lines by name, with marks where they have at most so many points; the names at their ends."""
    marks: list[Mark] = []
    for index, points in enumerate(lines.values()):
        marks.append(Line(points, dashed(index)))
        if len(points) <= marked:
            marks.append(Marks(points, colour(index), index))
    named = enumerate(lines.items())
    return marks, [(points[-1][1], name, f"name {colour(i)}") for i, (name, points) in named]


def measure_axis(
    name: str, values: Sequence[float], fraction: bool, *, whole: bool = False, unit: str = ""
) -> Axis:
    """The y axis of a measure, fractions in percent; `whole` extends it to round ends.

    It ends at 0 where nothing is below, and at 100 % of samples.
    """
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.02 * abs(high) or 0.02
    least, low, high = low, low - margin, high + margin
    if least >= 0:
        low = max(0.0, low)
    if fraction and name in ("accuracy", "agreement"):
        high = min(1.0, high)
        if whole:
            low, high = math.floor(20 * low) / 20, 1.0 if high > 0.9 else high
    if fraction and whole and low < 0.25:
        low = 0.0
    if not fraction:
        return Axis(name, low, high, joules if unit == "J" else plain)
    percent = "" if name.endswith(" drop") else " %"
    return Axis(name, 100 * low, 100 * high, lambda v: f"{v:g}{percent}")


_PLACES = (
    (9, 4, "start"), (9, 18, "start"), (0, 21, "middle"), (-9, 18, "end"), (-9, -9, "end"),
    (9, -9, "start"), (0, -11, "middle"), (-9, 4, "end"), (9, 32, "start"), (0, 36, "middle"),
    (-9, 32, "end"),
)  # fmt: skip
_LEFT = {"start": 0.0, "middle": 0.5, "end": 1.0}


@dataclass
class Room:
    """An area of pixels; `taken` are boxes `(x0, y0, x1, y1)` that labels keep clear of."""

    width: float
    height: float
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def labels(
        self, panel: Panel, x: PixelScale, y: PixelScale, most: float
    ) -> Iterator[tuple[PointLabel, str, tuple[float, float, str]]]:
        """The labels of a panel that have room: texts of at most so many pixels, and their places.

        A place is the offset of the baseline from the label's point, and the anchor of the text.
        """
        named = [mark for mark in panel.marks if isinstance(mark, PointLabel)]
        for mark in panel.marks if named else ():
            self._keep(mark, x, y)
        for label in named:
            text, (at, up) = shortened(label.text, most), label.point
            for dx, dy, anchor in _PLACES:
                box = _box(x(at) + dx, y(up) + dy, text, anchor)
                if self._free(box):
                    self.taken.append(box)
                    yield label, text, (dx, dy, anchor)
                    break

    def keep_text(self, x: float, y: float, text: str, anchor: str) -> None:
        """Keep labels away from a text."""
        self.taken.append(_box(x, y, text, anchor))

    def _keep_point(self, x: float, y: float, radius: float = 5) -> None:
        """Keep labels away from a mark."""
        self.taken.append((x - radius, y - radius, x + radius, y + radius))

    def keep_line(self, points: Sequence[Point]) -> None:
        """Keep labels away from a line through points."""
        for (x0, y0), (x1, y1) in pairwise(points):
            count = max(1, int(max(abs(x1 - x0), abs(y1 - y0)) / 5))
            for i in range(count + 1):
                share = i / count
                self._keep_point(x0 + share * (x1 - x0), y0 + share * (y1 - y0), 1.5)

    def _keep(self, mark: Mark, x: PixelScale, y: PixelScale) -> None:
        """Keep labels away from a mark or a line of a panel."""
        match mark:
            case Line(points):
                self.keep_line([(x(a), y(b)) for a, b in points])
            case Guide(value, _, False):
                self.keep_line([(x.start, y(value)), (x.end, y(value))])
            case Marks(points):
                for a, b in points:
                    self._keep_point(x(a), y(b))
            case Ring((a, b)):
                self._keep_point(x(a), y(b), 10)

    def _free(self, box: tuple[float, float, float, float]) -> bool:
        x0, y0, x1, y1 = box
        inside = x0 >= 0 and x1 <= self.width and y0 >= 0 and y1 <= self.height
        return inside and not any(
            x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in self.taken
        )


def _box(x: float, y: float, text: str, anchor: str) -> tuple[float, float, float, float]:
    """The box of a text whose baseline is at y."""
    width = EACH * len(text)
    left = x - _LEFT[anchor] * width
    return left, y - 11, left + width, y + 3
