"""Room for labels beside lines and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from spikewright.report.figures import charts
from spikewright.report.figures.scale import EACH, PixelScale

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

    def beside(self, x: float, y: float, text: str) -> tuple[float, float, str] | None:
        """Where a label near a point has room: offset of its baseline, and its anchor."""
        for dx, dy, anchor in _PLACES:
            box = _box(x + dx, y + dy, text, anchor)
            if self._free(box):
                self.taken.append(box)
                return dx, dy, anchor
        return None

    def keep_text(self, x: float, y: float, text: str, anchor: str) -> None:
        """Keep labels away from a text."""
        self.taken.append(_box(x, y, text, anchor))

    def keep_point(self, x: float, y: float, radius: float = 5) -> None:
        """Keep labels away from a mark."""
        self.taken.append((x - radius, y - radius, x + radius, y + radius))

    def keep_line(self, points: Sequence[charts.Point]) -> None:
        """Keep labels away from a line through points."""
        for (x0, y0), (x1, y1) in pairwise(points):
            count = max(1, int(max(abs(x1 - x0), abs(y1 - y0)) / 5))
            for i in range(count + 1):
                share = i / count
                self.keep_point(x0 + share * (x1 - x0), y0 + share * (y1 - y0), 1.5)

    def keep(self, mark: charts.Mark, x: PixelScale, y: PixelScale) -> None:
        """Keep labels away from a mark or a line of a panel."""
        match mark:
            case charts.Line(points):
                self.keep_line([(x(a), y(b)) for a, b in points])
            case charts.Guide(value, _, False):
                self.keep_line([(x.start, y(value)), (x.end, y(value))])
            case charts.Marks(points):
                for a, b in points:
                    self.keep_point(x(a), y(b))
            case charts.Ring((a, b)):
                self.keep_point(x(a), y(b), 10)

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
