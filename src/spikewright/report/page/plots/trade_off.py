"""Settings by cost and worth: those that nothing beats as a line, the choice marked."""

from __future__ import annotations

from spikewright._base.amounts import format_energy, joules, loss_unit, number
from spikewright._base.markup import Markup
from spikewright.report.figures import Setting, TradeOffInfo
from spikewright.report.page.drawing import Drawing, legend, line_key, mark_key
from spikewright.report.page.scale import Scale, Show, linear_ticks, plain, shortened
from spikewright.report.tables import shown

_TOP, _BOTTOM, _LEFT, _RIGHT = 14, 44, 52, 16
_MOST_LABELS = 24


def draw(info: TradeOffInfo, width: int) -> Drawing:
    """The drawing at a width."""
    drawing = Drawing(width, 260 if width < 500 else 340)
    right, bottom = width - _RIGHT, drawing.height - _BOTTOM
    costs = [setting.cost for setting in info.settings]
    log = min(costs) > 0 and max(costs) > 5 * min(costs)
    x = Scale(*_margin(costs, log), _LEFT, right, log)
    low, high = _range(info)
    y = Scale(low, high, bottom, _TOP)
    drawing.y_axis(y, linear_ticks(low, high, 6), _LEFT, right, _ticks(info))
    heading = info.cost if info.unit in info.cost else f"{info.cost} ({info.unit})"
    show = joules if info.unit == "J" else number
    drawing.x_axis(x, x.ticks(8), bottom, heading.removesuffix(" (J)"), show)
    if info.source is not None:
        drawing.line(_LEFT, y(info.source), right, y(info.source), "source")
        drawing.keep_line_clear([(_LEFT, y(info.source)), (right, y(info.source))])
    front = [(x(s.cost), y(s.worth)) for s in info.front]
    drawing.path(front, "line c0")
    drawing.keep_line_clear(front)
    drawing.keep_line_clear([(_LEFT, _TOP), (_LEFT, bottom), (right, bottom)])
    for setting in sorted(info.settings, key=lambda s: (s.chosen, s.front)):
        _mark(drawing, setting, x, y, _title(setting, info))
    for setting in _named(info):
        name = shortened(setting.name, 135 if drawing.narrow else 200)
        drawing.label(x(setting.cost), y(setting.worth), name, _style(setting))
    return drawing


def _ticks(info: TradeOffInfo) -> Show:
    if not info.worth.fraction:
        return plain
    unit = "" if info.worth.name.endswith(" drop") else " %"
    return lambda v: f"{100 * v:g}{unit}"


def _named(info: TradeOffInfo) -> list[Setting]:
    """Settings whose names are shown: the choice first, one for each place."""
    found = [s for s in info.settings if s.chosen] + [s for s in info.front if not s.chosen]
    if len(info.settings) <= _MOST_LABELS:
        found += [s for s in info.settings if s not in found]
    first = {(s.cost, s.worth): s for s in reversed(found)}
    return [s for s in found if first[s.cost, s.worth] is s][:_MOST_LABELS]


def _mark(drawing: Drawing, setting: Setting, x: Scale, y: Scale, title: str) -> None:
    class_ = "mark c1" if setting.chosen else "mark c0" if setting.front else "mark other"
    shape = 2 if setting.chosen else 0
    drawing.mark(x(setting.cost), y(setting.worth), class_, shape, title)


def _style(setting: Setting) -> str:
    return "name c1 strong" if setting.chosen else "" if setting.front else "muted"


def _margin(values: list[float], log: bool) -> tuple[float, float]:
    """Ends of an axis with some room beside the values."""
    low, high = min(values), max(values)
    if log:
        factor = (high / low) ** 0.06
        return low / factor, high * factor
    span = (high - low) or abs(high) or 1.0
    return low - 0.04 * span, high + 0.06 * span


def _range(info: TradeOffInfo) -> tuple[float, float]:
    values = [s.worth for s in info.settings]
    if info.source is not None:
        values.append(info.source)
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.02
    if info.worth.name in ("accuracy", "agreement") and info.worth.fraction:
        return max(0.0, low - margin), min(1.0, high + margin)
    return low - margin, high + margin


def keys(info: TradeOffInfo) -> Markup:
    """The legend of the marks."""
    worth = "accurate" if info.worth.name == "accuracy" else "good"
    entries = [(mark_key("mark c0"), f"no other is as {worth} for less")]
    if any(not s.front and not s.chosen for s in info.settings):
        entries.append((mark_key("mark other"), "another is as good"))
    if info.chosen is not None:
        entries.append((mark_key("mark c1", 2), "chosen"))
    if info.source is not None:
        entries.append((line_key("source"), f"the source, {shown(info.worth)(info.source)}"))
    return legend(entries)


def _title(setting: Setting, info: TradeOffInfo) -> str:
    is_loss = info.worth.name.endswith(" drop")
    worth = (loss_unit(info.worth.fraction).format if is_loss else shown(info.worth))(setting.worth)
    return f"{setting.name}: {worth}, {_price(setting.cost, info)}"


def _price(cost: float, info: TradeOffInfo) -> str:
    if info.unit != "J":
        return f"{number(cost)} {info.cost}"
    return joules(cost) if info.table is None else format_energy(cost, info.table)


def describe(info: TradeOffInfo) -> str:
    """A description of the figure, in words."""
    front = "; ".join(_title(setting, info) for setting in info.front[:12])
    chosen = "" if info.chosen is None else f" Chosen: {_title(info.chosen, info)}."
    return (
        f"{len(info.settings)} settings by {info.cost} and {info.worth.name}. No other is as good "
        f"for less than {front}.{chosen}"
    )
