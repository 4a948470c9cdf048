"""A measure of a training by epoch: a line for each kind of samples, the kept epoch dashed."""

from __future__ import annotations

from spikewright._base.amounts import joules, number, percent
from spikewright.report.figures import EpochsInfo
from spikewright.report.page.drawing import Drawing
from spikewright.report.page.scale import EACH, Scale, Show, linear_ticks, plain, spread

_TOP, _BOTTOM, _LEFT = 14, 44, 56
_MARKED = 40  # epochs up to which each gets a mark


def draw(info: EpochsInfo, width: int) -> Drawing:
    """The drawing at a width."""
    drawing = Drawing(width, 200 if width < 500 else 240)
    right = width - 10 - EACH * max(map(len, [*info.lines, "kept"]))
    bottom = drawing.height - _BOTTOM
    low, high = _range(info)
    y = Scale(low, high, bottom, _TOP)
    last = max(line[-1][0] for line in info.lines.values())
    x = Scale(1, max(last, 2), _LEFT, right)
    drawing.y_axis(y, linear_ticks(low, high, 5), _LEFT, right, _ticks(info))
    whole = [tick for tick in linear_ticks(1, max(last, 2), 9) if tick == int(tick)]
    drawing.x_axis(x, whole, bottom, "epoch", lambda v: f"{v:,.0f}")
    if info.kept is not None:
        drawing.line(x(info.kept), _TOP, x(info.kept), bottom, "source")
    for index, line in enumerate(info.lines.values()):
        places = [(x(epoch), y(value)) for epoch, value in line]
        drawing.path(places, f"line c{index} {('', 'dash1')[index % 2]}")
        for place in places if len(places) <= _MARKED else places[-1:]:
            drawing.mark(*place, f"mark c{index}", index)
    ends = [y(line[-1][1]) for line in info.lines.values()]
    spots = spread(ends, 15, _TOP, bottom)
    for index, (samples, spot) in enumerate(zip(info.lines, spots, strict=True)):
        drawing.text(right + 6, spot + 4, samples, class_=f"name c{index}")
    return drawing


def _range(info: EpochsInfo) -> tuple[float, float]:
    values = [value for line in info.lines.values() for _, value in line]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.02 * abs(high) or 0.02
    most = 1.0 if info.fraction else float("inf")
    return max(0.0, low - margin) if low >= 0 else low - margin, min(most, high + margin)


def _ticks(info: EpochsInfo) -> Show:
    if info.unit == "J":
        return joules
    return (lambda v: f"{100 * v:g} %") if info.fraction else plain


def describe(info: EpochsInfo) -> str:
    """A description of the figure, in words."""
    show = percent if info.fraction else joules if info.unit == "J" else number
    lines = "; ".join(
        f"of samples {samples} from {show(line[0][1])} in epoch {line[0][0]} to "
        f"{show(line[-1][1])} in epoch {line[-1][0]}"
        for samples, line in info.lines.items()
    )
    kept = f"epoch {info.kept} was kept" if info.kept is not None else "no epoch was kept"
    return f"{info.measure[:1].upper()}{info.measure[1:]} {lines}; {kept}."
