"""Small SVG drawings whose colours are the page's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from spikewright._base.markup import Markup, el
from spikewright.report.page.scale import EACH, Scale, Show, plain, shortened

WIDE, NARROW = 720, 358
"""Widths of a drawing in pixels: on a desk and in print, and on a phone."""

SERIES = 6  # colours, c0 to c5, that the style sheet has


@dataclass
class Drawing:
    """A drawing of `width` x `height` pixels, to which shapes are added.

    Texts are 12 pixels high, at either width. `taken` are boxes `(x0, y0, x1, y1)` that labels keep
    clear of.
    """

    width: int
    height: float
    shapes: list[Markup] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    @property
    def narrow(self) -> bool:
        """Whether it is for a phone."""
        return self.width < WIDE

    def svg(self, title: str, description: str) -> Markup:
        """The element; screen readers read the title and the description."""
        size = "narrow" if self.narrow else "wide"
        return el(
            "svg",
            el("title", title),
            el("desc", description),
            self.shapes,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {self.width} {self.height:g}",
            width=self.width,
            height=f"{self.height:g}",
            class_=f"drawing {size}",
            role="img",
            aria_label=f"{title}. {description}",
        )

    def text(
        self, x: float, y: float, content: str, anchor: str = "start", class_: str | None = None
    ) -> None:
        """A text whose baseline is at y."""
        self.shapes.append(
            el("text", content, x=_at(x), y=_at(y), text_anchor=anchor, class_=class_)
        )
        width = EACH * len(content)
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width
        self.taken.append((left, y - 11, left + width, y + 3))

    def label(self, x: float, y: float, content: str, class_: str | None = None) -> bool:
        """A text near a point, wherever there is room; False where there is none."""
        width = EACH * len(content)
        for dx, dy, anchor in (
            (9, 4, "start"), (9, 18, "start"), (0, 21, "middle"), (-9, 18, "end"),
            (-9, -9, "end"), (9, -9, "start"), (0, -11, "middle"), (-9, 4, "end"),
            (9, 32, "start"), (0, 36, "middle"), (-9, 32, "end"),
        ):  # fmt: skip
            left = x + dx - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width
            box = (left, y + dy - 11, left + width, y + dy + 3)
            if self._free(box):
                self.text(x + dx, y + dy, content, anchor, class_)
                return True
        return False

    def keep_clear(self, x: float, y: float, radius: float = 5) -> None:
        """Keep labels away from a mark."""
        self.taken.append((x - radius, y - radius, x + radius, y + radius))

    def _free(self, box: tuple[float, float, float, float]) -> bool:
        x0, y0, x1, y1 = box
        inside = x0 >= 0 and x1 <= self.width and y0 >= 0 and y1 <= self.height
        return inside and not any(
            x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in self.taken
        )

    def keep_line_clear(self, points: Sequence[tuple[float, float]]) -> None:
        """Keep labels away from a line through points."""
        for (x0, y0), (x1, y1) in pairwise(points):
            count = max(1, int(max(abs(x1 - x0), abs(y1 - y0)) / 5))
            for i in range(count + 1):
                share = i / count
                self.keep_clear(x0 + share * (x1 - x0), y0 + share * (y1 - y0), 1.5)

    def row_names(self, names: Sequence[str], rows: Sequence[float], most: float) -> float:
        """Names to the left of rows, in at most a share `most` of the width; where rows begin."""
        room = min(most * self.width, EACH * max(map(len, names), default=0))
        for name, y in zip(names, rows, strict=True):
            self.text(room, y + 4, shortened(name, room), "end")
        return room + 8

    def line(self, x0: float, y0: float, x1: float, y1: float, class_: str) -> None:
        """A straight line."""
        self.shapes.append(
            el("line", x1=_at(x0), y1=_at(y0), x2=_at(x1), y2=_at(y1), class_=class_)
        )

    def path(self, points: Sequence[tuple[float, float]], class_: str) -> None:
        """A line through points."""
        if points:
            d = "M" + "L".join(f"{_at(x)} {_at(y)}" for x, y in points)
            self.shapes.append(el("path", d=d, class_=class_))

    def area(self, points: Sequence[tuple[float, float]], class_: str) -> None:
        """A filled outline."""
        if points:
            d = "M" + "L".join(f"{_at(x)} {_at(y)}" for x, y in points) + "Z"
            self.shapes.append(el("path", d=d, class_=class_))

    def box(
        self, x: float, y: float, width: float, height: float, class_: str, title: str | None = None
    ) -> None:
        """A filled rectangle; its title shows where a pointer rests on it."""
        self.shapes.append(
            el(
                "rect",
                None if title is None else el("title", title),
                x=_at(x),
                y=_at(y),
                width=_at(max(width, 0.0)),
                height=_at(height),
                class_=class_,
            )
        )

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
        self.keep_clear(x, y)

    def many(self, d: str, class_: str) -> None:
        """Many strokes or boxes as one path."""
        if d:
            self.shapes.append(el("path", d=d, class_=class_))

    def x_axis(
        self,
        scale: Scale,
        ticks: Iterable[float],
        bottom: float,
        heading: str,
        show: Show = plain,
        top: float | None = None,
    ) -> None:
        """Ticks, where there is room, and a heading below; lines of a grid up to `top`."""
        end = float("-inf")
        for value in ticks:
            x, text = scale(value), show(value)
            half = EACH * len(text) / 2
            place = min(max(x, half), self.width - half)
            if top is not None:
                self.line(x, top, x, bottom, "grid")
            if place - half > end:
                self.text(place, bottom + 16, text, "middle", "tick")
                end = place + half + 4
        self.line(scale.start, bottom, scale.end, bottom, "axis")
        middle, half = (scale.start + scale.end) / 2, EACH * len(heading) / 2
        place = min(max(middle, half), self.width - half)
        self.text(place, bottom + 34, heading, "middle")

    def y_axis(
        self, scale: Scale, ticks: Iterable[float], left: float, right: float, show: Show = plain
    ) -> None:
        """Ticks to the left, lines of a grid to the right."""
        for value in ticks:
            y = scale(value)
            self.line(left, y, right, y, "grid")
            self.text(left - 6, y + 4, show(value), "end", "tick")


def legend(entries: Iterable[tuple[Markup, str]]) -> Markup:
    """Keys with their meanings, to stand above a drawing."""
    return el("ul", (el("li", key, name) for key, name in entries), class_="legend")


def mark_key(class_: str, shape: int = 0) -> Markup:
    """A mark as a key."""
    drawn = Drawing(14, 14)
    drawn.mark(7, 7, class_, shape)
    return _key(drawn)


def box_key(class_: str) -> Markup:
    """A filled box as a key."""
    drawn = Drawing(14, 14)
    drawn.box(1, 1, 12, 12, class_)
    return _key(drawn)


def line_key(class_: str) -> Markup:
    """A piece of a line as a key."""
    drawn = Drawing(24, 14)
    drawn.line(1, 7, 23, 7, class_)
    return _key(drawn)


def _key(drawn: Drawing) -> Markup:
    return el(
        "svg",
        drawn.shapes,
        viewBox=f"0 0 {drawn.width} {drawn.height:g}",
        width=drawn.width,
        height=f"{drawn.height:g}",
        class_="key",
        aria_hidden="true",
    )


def _at(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text
