"""Room for labels beside lines and marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from spikewright.report.figures import charts
from spikewright.report.figures.scale import EACH, PixelScale, shortened

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
        self, panel: charts.Panel, x: PixelScale, y: PixelScale, most: float
    ) -> Iterator[tuple[charts.PointLabel, str, tuple[float, float, str]]]:
        """The labels of a panel that have room: texts of at most so many pixels, and their places.

        A place is the offset of the baseline from the label's point, and the anchor of the text.
        """
        named = [mark for mark in panel.marks if isinstance(mark, charts.PointLabel)]
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

    def keep_line(self, points: Sequence[charts.Point]) -> None:
        """Keep labels away from a line through points."""
        for (x0, y0), (x1, y1) in pairwise(points):
            count = max(1, int(max(abs(x1 - x0), abs(y1 - y0)) / 5))
            for i in range(count + 1):
                share = i / count
                self._keep_point(x0 + share * (x1 - x0), y0 + share * (y1 - y0), 1.5)

    def _keep(self, mark: charts.Mark, x: PixelScale, y: PixelScale) -> None:
        """Keep labels away from a mark or a line of a panel."""
        match mark:
            case charts.Line(points):
                self.keep_line([(x(a), y(b)) for a, b in points])
            case charts.Guide(value, _, False):
                self.keep_line([(x.start, y(value)), (x.end, y(value))])
            case charts.Marks(points):
                for a, b in points:
                    self._keep_point(x(a), y(b))
            case charts.Ring((a, b)):
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
