"""A measure against the firing-rate scale: a line a synapse and readout, the choice marked."""

from __future__ import annotations

import math
from collections.abc import Iterator

from spikewright._base.amounts import number
from spikewright._base.markup import Markup
from spikewright.report.figures import SweepInfo
from spikewright.report.figures.sweep import Curve, Point
from spikewright.report.page.drawing import SERIES, Drawing, legend, line_key, mark_key
from spikewright.report.page.scale import EACH, Scale, Show, linear_ticks, plain, shortened
from spikewright.report.sweeps import scale_text
from spikewright.report.tables import shown

_TOP, _BOTTOM, _LEFT, _RIGHT = 14, 44, 52, 22
_DASHES = ("", "dash1", "dash2")
_WHISKERS = 24  # points up to which each gets its interval: more would hide each other


def draw(info: SweepInfo, width: int) -> Drawing:
    """The drawing at a width, after the steps of `steps_of`."""
    drawing = Drawing(width, 270 if width < 500 else 330)
    right, bottom = width - _RIGHT, drawing.height - _BOTTOM
    curves = list(_styled(info))
    low, high = _range(info, [point for curve, _ in curves for point in curve.points])
    y = Scale(low, high, bottom, _TOP)
    drawing.y_axis(y, linear_ticks(low, high, 6), _LEFT, right, _ticks(info))
    x = _axis(drawing, info, right, bottom)
    if info.source is not None:
        drawing.line(_LEFT, y(info.source), right, y(info.source), "source")
    few = sum(len(curve.points) for curve, _ in curves) <= _WHISKERS
    for curve, style in curves:
        drawing.path([(x(p.place), y(p.value)) for p in curve.points], f"line {style}")
    for curve, style in curves:
        colour = style.partition(" ")[0]
        for point in curve.points:
            place = x(point.place)
            if few:
                drawing.line(place, y(point.low), place, y(point.high), f"line thin {colour}")
            drawing.mark(place, y(point.value), f"mark {colour}", 0, _title(info, curve, point))
    for curve, _ in curves:
        for point in curve.points:
            if point.chosen:
                _choose(drawing, x(point.place), y(point.value))
    return drawing


def steps_of(info: SweepInfo) -> int:
    """The number of steps that is shown: that of the choice, else the last."""
    return info.steps[-1] if info.chosen is None else info.chosen[0].steps


def _styled(info: SweepInfo) -> Iterator[tuple[Curve, str]]:
    """The curves that are shown, with the classes of their lines."""
    names = list(dict.fromkeys(curve.name for curve in info.curves))
    readouts = list(dict.fromkeys(curve.readout for curve in info.curves))
    for curve in info.curves:
        if curve.steps == steps_of(info) and curve.points:
            colour = f"c{names.index(curve.name) % SERIES}"
            dash = _DASHES[readouts.index(curve.readout) % len(_DASHES)]
            yield curve, f"{colour} {dash}".strip()


class _Places:
    """The places of scales: numbers at their own on a logarithmic axis, rules side by side."""

    def __init__(self, info: SweepInfo, right: float) -> None:
        self._values = [float(s) if info.numbers else float(i) for i, s in enumerate(info.scales)]
        low, high = min(self._values), max(self._values)
        self._scale = Scale(low, high, _LEFT + 12, right - 12, info.numbers)

    def __call__(self, place: int) -> float:
        return self._scale(self._values[place])


def _axis(drawing: Drawing, info: SweepInfo, right: float, bottom: float) -> _Places:
    """The axis of scales, each with its name where there is room."""
    x = _Places(info, right)
    room = (right - _LEFT) / len(info.scales)
    names = [scale_text(scale) for scale in info.scales]
    if not info.numbers:
        names = [shortened(name, max(room, 4 * EACH)) for name in names]
    axis = Scale(0, 1, _LEFT, right)
    drawing.x_axis(axis, (), bottom, "firing-rate scale")
    end = -math.inf
    for place, name in enumerate(names):
        half = EACH * len(name) / 2
        if x(place) - half > end:
            drawing.text(x(place), bottom + 16, name, "middle", "tick")
            end = x(place) + half + 4
    return x


def _choose(drawing: Drawing, x: float, y: float) -> None:
    """A ring around the choice, and its name."""
    drawing.area([(x, y - 10), (x + 10, y), (x, y + 10), (x - 10, y)], "ring")
    drawing.keep_clear(x, y, 10)
    drawing.label(x, y, "chosen", "strong")


def _range(info: SweepInfo, points: list[Point]) -> tuple[float, float]:
    """Ends of the axis, round ones for fractions of samples."""
    values = [v for p in points for v in (p.low, p.high)]
    values += [] if info.source is None else [info.source]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.02
    if info.worth.name in ("accuracy", "agreement") and info.worth.fraction:
        return max(0.0, math.floor(10 * (low - margin)) / 10), 1.0
    return low - margin, high + margin


def _ticks(info: SweepInfo) -> Show:
    return (lambda v: f"{100 * v:g} %") if info.worth.fraction else plain


def keys(info: SweepInfo) -> Markup:
    """The legend of the lines and marks."""
    entries = [(line_key(f"line {style}"), _name(curve)) for curve, style in _styled(info)]
    if info.source is not None:
        value = shown(info.worth)(info.source)
        entries.append((line_key("source"), f"the source, {value}"))
    if info.chosen is not None:
        entries.append((mark_key("ring", 2), "chosen"))
    return legend(entries)


def _name(curve: Curve) -> str:
    return ", ".join(filter(None, [curve.name, f"{curve.readout} readout"]))


def _title(info: SweepInfo, curve: Curve, point: Point) -> str:
    show = shown(info.worth)
    interval = f"{show(point.low)} to {show(point.high)}"
    spikes = dict(zip(curve.points, curve.spikes, strict=True))[point]
    cost = "" if spikes is None else f", {number(spikes)} spikes a sample"
    scale = scale_text(info.scales[point.place])
    return f"scale {scale}, {_name(curve)}: {show(point.value)} ({interval}){cost}"


def describe(info: SweepInfo) -> str:
    """A description of the figure, in words."""
    shown_curves = [curve for curve, _ in _styled(info)]
    lines = "; ".join(
        f"{_name(curve)}: "
        + ", ".join(
            f"{shown(info.worth)(p.value)} at {scale_text(info.scales[p.place])}"
            for p in curve.points
        )
        for curve in shown_curves[:8]
    )
    chosen = "" if info.chosen is None else f" Chosen: {_title(info, *info.chosen)}."
    return f"{info.worth.name} against the firing-rate scale. {lines}.{chosen}"
