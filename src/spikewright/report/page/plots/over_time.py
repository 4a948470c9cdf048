"""A measure by step: a line and a band for each readout, the source's value dashed."""

from __future__ import annotations

import math
from collections.abc import Iterable

from spikewright._base.amounts import number, percent
from spikewright.report.figures import OverTimeInfo
from spikewright.report.page.drawing import SERIES, Drawing
from spikewright.report.page.scale import EACH, Scale, Show, linear_ticks, plain, spread, step_ticks

_TOP, _BOTTOM, _LEFT = 14, 44, 48
_MARKED = 16  # steps up to which each gets a mark


def draw(info: OverTimeInfo, width: int) -> Drawing:
    """The drawing at a width."""
    drawing = Drawing(width, 250 if width < 500 else 320)
    names = list(info.lines)
    right = width - 10 - EACH * max(map(len, [*names, "source"]))
    bottom = drawing.height - _BOTTOM
    low, high = _range(info)
    y = Scale(low, high, bottom, _TOP)
    last = max(line[-1][0] for line in info.lines.values())
    x = Scale(1, max(last, 2), _LEFT, right, log=True)
    ticks = linear_ticks(low, high, 6)
    drawing.y_axis(y, ticks, _LEFT, right, _ticks(info))
    heading = f"steps of {info.dt * 1000:g} ms"
    drawing.x_axis(x, step_ticks(last, 9), bottom, heading, lambda v: f"{v:,.0f}")
    for index, line in enumerate(info.lines.values()):
        colour = f"c{index % SERIES}"
        upper = [(x(step), y(top)) for step, _, _, top in line]
        lower = [(x(step), y(base)) for step, _, base, _ in line]
        drawing.area([*upper, *reversed(lower)], f"band {colour}")
    for index, line in enumerate(info.lines.values()):
        style = f"line c{index % SERIES} {('', 'dash1', 'dash2')[index % 3]}"
        places = [(x(step), y(value)) for step, value, _, _ in line]
        drawing.path(places, style)
        if len(places) <= _MARKED:
            for place in places:
                drawing.mark(*place, f"mark c{index % SERIES}", index)
    if info.source is not None:
        drawing.line(_LEFT, y(info.source), right, y(info.source), "source")
    _names(drawing, info, y, right)
    return drawing


def _range(info: OverTimeInfo) -> tuple[float, float]:
    """From a round value below everything to one above."""
    values = [v for line in info.lines.values() for _, *point in line for v in point]
    values += [] if info.source is None else [info.source]
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 0.02
    low, high = low - margin, high + margin
    if not info.fraction:
        return low, high
    if info.measure in ("accuracy", "agreement"):
        low = max(0.0, math.floor(20 * low) / 20)
        high = 1.0 if high > 0.9 else high
    return (0.0 if low < 0.25 else low), high


def _ticks(info: OverTimeInfo) -> Show:
    return (lambda v: f"{100 * v:g} %") if info.fraction else plain


def _names(drawing: Drawing, info: OverTimeInfo, y: Scale, right: float) -> None:
    """The name of each line at its end."""
    ends = [(name, line[-1][1], f"name c{i % SERIES}") for i, (name, line) in _numbered(info)]
    if info.source is not None:
        ends.append(("source", info.source, "muted"))
    places = spread([y(value) for _, value, _ in ends], 15, _TOP, drawing.height - _BOTTOM)
    for (name, _, style), place in zip(ends, places, strict=True):
        drawing.text(right + 6, place + 4, name, class_=style)


def _numbered(info: OverTimeInfo) -> Iterable[tuple[int, tuple[str, tuple]]]:
    return enumerate(info.lines.items())


def describe(info: OverTimeInfo) -> str:
    """A description of the figure, in words."""
    show = percent if info.fraction else number
    n = max(line[-1][0] for line in info.lines.values())
    ends = "; ".join(
        f"{name} readout from {show(line[0][1])} at step {line[0][0]} to "
        f"{show(line[-1][1])} ({show(line[-1][2])} to {show(line[-1][3])}) at step {n}"
        for name, line in info.lines.items()
    )
    source = "" if info.source is None else f" The source: {show(info.source)}."
    return f"A line for each readout over {n} steps, with 95 % intervals: {ends}.{source}"
