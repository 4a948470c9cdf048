"""Error by layer, split into parts that stand side by side."""

from __future__ import annotations

from collections.abc import Mapping

from spikewright._base.amounts import percent
from spikewright._base.markup import Markup
from spikewright.report.figures import GapsInfo
from spikewright.report.page.drawing import SERIES, Drawing, box_key, legend
from spikewright.report.page.scale import Scale, linear_ticks

_ROW, _TOP, _BOTTOM, _RIGHT = 24, 8, 44, 18


def draw(info: GapsInfo, width: int) -> Drawing:
    """The drawing at a width."""
    drawing = Drawing(width, _TOP + _ROW * len(info.parts) + _BOTTOM)
    rows = [_TOP + _ROW * row + 4 for row in range(len(info.parts))]
    left = drawing.row_names(list(info.parts), [y + 8 for y in rows], 0.3)
    ends = [_ends(parts) for parts in info.parts.values()]
    low, high = min(e[0] for e in ends), max([e[1] for e in ends] + [1e-3])
    x = Scale(1.05 * low, 1.05 * high, left, width - _RIGHT)
    bottom = drawing.height - _BOTTOM
    ticks = linear_ticks(1.05 * low, 1.05 * high, 4 if drawing.narrow else 8)
    heading = "error, % of the layer's values"
    drawing.x_axis(x, ticks, bottom, heading, lambda v: f"{100 * v:g}", _TOP)
    classes = _classes(info)
    for y, (name, parts) in zip(rows, info.parts.items(), strict=True):
        below = above = 0.0
        for part, class_ in classes.items():
            value = parts.get(part, 0.0)
            if value > 0:
                drawing.box(*_span(x, above, above + value, y), class_, _title(name, part, value))
                above += value
            elif value < 0:
                drawing.box(*_span(x, below + value, below, y), class_, _title(name, part, value))
                below += value
    drawing.line(x(0), _TOP, x(0), bottom, "axis")
    return drawing


def _ends(parts: Mapping[str, float]) -> tuple[float, float]:
    values = parts.values()
    return sum(v for v in values if v < 0), sum(v for v in values if v > 0)


def _span(x: Scale, low: float, high: float, y: float) -> tuple[float, float, float, float]:
    return x(low), y, x(high) - x(low), _ROW - 8


def _title(layer: str, part: str, value: float) -> str:
    return f"{layer}: {part} {percent(value)}"


def _classes(info: GapsInfo) -> dict[str, str]:
    return {part: f"fill c{i % SERIES}" for i, part in enumerate(info.present)}


def keys(info: GapsInfo) -> Markup:
    """The legend of the colours."""
    return legend([(box_key(class_), part) for part, class_ in _classes(info).items()])


def describe(info: GapsInfo) -> str:
    """A description of the figure, in words."""
    layers = []
    for name, parts in list(info.parts.items())[:12]:
        told = ", ".join(f"{p} {percent(parts[p])}" for p in info.present if parts.get(p))
        layers.append(f"{name} {percent(info.whole[name])}" + (f" ({told})" if told else ""))
    more = len(info.parts) - len(layers)
    return "; ".join(layers) + (f"; and {more} more layers." if more else ".")
