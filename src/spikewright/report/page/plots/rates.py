"""The spread of firing rates: a box for each layer, its median and mean."""

from __future__ import annotations

from spikewright._base.amounts import number, percent
from spikewright._base.markup import Markup
from spikewright.report.figures import RatesInfo
from spikewright.report.page.drawing import Drawing, box_key, legend, line_key, mark_key
from spikewright.report.page.scale import Scale, linear_ticks

_ROW, _TOP, _BOTTOM, _RIGHT = 24, 8, 44, 18


def draw(info: RatesInfo, width: int) -> Drawing:
    """The drawing at a width."""
    drawing = Drawing(width, _TOP + _ROW * len(info.layers) + _BOTTOM)
    rows = [_TOP + _ROW * (row + 0.5) for row in range(len(info.layers))]
    left = drawing.row_names(list(info.layers), rows, 0.3)
    high = max([r.percentiles[-1] for r in info.layers.values()] + [1e-9])
    high = max([high, *(r.mean for r in info.layers.values())]) * 1.05
    x = Scale(0, high, left, width - _RIGHT)
    bottom = drawing.height - _BOTTOM
    ticks = linear_ticks(0, high, 4 if drawing.narrow else 8)
    drawing.x_axis(x, ticks, bottom, "firing rate of a neuron (Hz)", top=_TOP)
    for y, (name, rates) in zip(rows, info.layers.items(), strict=True):
        low, first, median, third, top = map(x, rates.percentiles)
        title = f"{name}: {_words(info, name)}"
        drawing.line(low, y, top, y, "whisker c0")
        drawing.box(first, y - 7, max(third - first, 1), 14, "fill c0 soft", title)
        drawing.line(median, y - 8, median, y + 8, "median c0")
        drawing.mark(x(rates.mean), y, "mark c1", 2, title)
    return drawing


def keys(info: RatesInfo) -> Markup:
    """The legend of the marks."""
    return legend(
        [
            (box_key("fill c0 soft"), "half of the neurons"),
            (line_key("whisker c0"), "nine in ten"),
            (line_key("median c0"), "median"),
            (mark_key("mark c1", 2), "mean"),
        ]
    )


def _words(info: RatesInfo, name: str) -> str:
    rates = info.layers[name]
    return (
        f"median {number(rates.percentiles[2])} Hz, mean {number(rates.mean)} Hz, 95 % below "
        f"{number(rates.percentiles[4])} Hz, {percent(rates.silent)} of {rates.neurons:,} silent"
    )


def describe(info: RatesInfo) -> str:
    """A description of the figure, in words."""
    shown = list(info.layers)[:12]
    more = "" if len(shown) == len(info.layers) else f"; and {len(info.layers) - 12} more layers"
    return "; ".join(f"{name}: {_words(info, name)}" for name in shown) + more + "."
