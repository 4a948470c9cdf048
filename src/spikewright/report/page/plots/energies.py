"""Energy by cost table: a mark for each network on a logarithmic axis."""

from __future__ import annotations

from spikewright._base.amounts import joules
from spikewright._base.markup import Markup
from spikewright.report.figures import EnergiesInfo
from spikewright.report.page.drawing import SERIES, Drawing, legend, mark_key
from spikewright.report.page.scale import Scale

_ROW, _TOP, _BOTTOM, _RIGHT = 30, 8, 44, 26


def draw(info: EnergiesInfo, width: int) -> Drawing:
    """The drawing at a width."""
    drawing = Drawing(width, _TOP + _ROW * len(info.tables) + _BOTTOM)
    rows = [_TOP + _ROW * (row + 0.5) for row in range(len(info.tables))]
    left = drawing.row_names(list(info.tables), rows, 0.36)
    values = [v for costs in info.tables.values() for v in costs.values() if v > 0] or [1e-12]
    x = Scale(min(values) / 1.5, max(values) * 1.5, left, width - _RIGHT, log=True)
    bottom = drawing.height - _BOTTOM
    drawing.x_axis(x, x.ticks(4 if drawing.narrow else 9), bottom, "per sample", joules, _TOP)
    for y, (name, costs) in zip(rows, info.tables.items(), strict=True):
        drawing.line(left, y, width - _RIGHT, y, "grid")
        for index, network in reversed(list(enumerate(info.networks))):
            if costs.get(network, 0.0) > 0:
                title = f"{name}, {network}: {joules(costs[network])}"
                drawing.mark(x(costs[network]), y, *_style(index), title)
    return drawing


def _style(index: int) -> tuple[str, int]:
    order = (1, 0, 4, 2, 3, 5)  # the network itself, the first, stands out
    return f"mark c{order[index % SERIES]}", index


def keys(info: EnergiesInfo) -> Markup:
    """The legend of the marks."""
    return legend([(mark_key(*_style(i)), name) for i, name in enumerate(info.networks)])


def describe(info: EnergiesInfo) -> str:
    """A description of the figure, in words."""
    tables = [
        f"{name}: " + ", ".join(f"{network} {joules(v)}" for network, v in costs.items())
        for name, costs in info.tables.items()
    ]
    return "Joules per sample. " + "; ".join(tables) + "."
