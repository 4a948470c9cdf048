"""One sample: spikes of each layer over time, the source's activations beside them, the output."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spikewright._base.amounts import number
from spikewright._base.markup import Markup
from spikewright.report.figures import RasterInfo
from spikewright.report.page.drawing import Drawing, box_key, legend, line_key
from spikewright.report.page.scale import Scale, linear_ticks, shortened, spread

_LEFT, _GAP, _HEAD, _BOTTOM, _OUTPUT = 44, 12, 22, 44, 150
_PICTURE, _LEVELS = 96.0, 8  # height of the input, and greys of it
_FEWEST, _MOST = 48.0, 192.0  # height of a layer


def draw(info: RasterInfo, width: int) -> Drawing:
    """The drawing at a width."""
    heights = {n: min(_MOST, max(_FEWEST, 3.0 * len(info.shown(n)))) for n in info.spikes}
    total = sum(h + _HEAD + 8 for h in heights.values()) + _HEAD + _OUTPUT + _BOTTOM
    above = 0.0 if info.picture is None else _PICTURE + _HEAD + 8
    drawing = Drawing(width, total + above)
    side = (70 if drawing.narrow else 170) if info.activations else 60
    end = float(info.time_ms[-1])
    x = Scale(0, end, _LEFT, width - side - _GAP)
    if info.picture is not None:
        _input(drawing, info.picture)
    y = above
    for layer, height in heights.items():
        _layer(drawing, info, layer, x, y + _HEAD, height)
        y += height + _HEAD + 8
    _output(drawing, info, x, y + _HEAD)
    step = 1000 * info.dt
    ticks = [t for t in linear_ticks(0, end, 4 if drawing.narrow else 8) if _is_whole(t / step)]
    drawing.x_axis(x, ticks, y + _HEAD + _OUTPUT, "time (ms)")
    return drawing


def _input(drawing: Drawing, picture: NDArray) -> None:
    """The input: the higher a value, the more of the text's colour."""
    drawing.text(0, _HEAD - 8, "input", class_="strong")
    side = _PICTURE / len(picture)
    drawing.box(0, _HEAD, side * picture.shape[1], _PICTURE, "ground")
    levels = np.round(_LEVELS * picture).astype(int)
    for level in range(1, _LEVELS + 1):
        places = np.argwhere(levels == level)
        corners = [(column * side, _HEAD + line * side) for line, column in places]
        drawing.many(_boxes(corners, side, side), f"pixel p{level}")


def _is_whole(steps: float) -> bool:
    return abs(steps - round(steps)) < 1e-6


def _layer(
    drawing: Drawing, info: RasterInfo, layer: str, x: Scale, top: float, height: float
) -> None:
    """The spikes of one layer, and the source's values."""
    shown, events = info.shown(layer), info.spikes[layer]
    count = int(np.abs(events[:, 2]).sum())
    heading = f"{shortened(layer, 0.4 * drawing.width)}: {count:,} spikes"
    if len(shown) < info.neurons[layer]:
        heading += f" of {len(shown)} neurons in {info.neurons[layer]:,}"
    drawing.text(0, top - 8, shortened(heading, drawing.width), class_="strong")
    drawing.box(x.start, top, x.end - x.start, height, "ground")
    row, column = height / len(shown), (x.end - x.start) / len(info.time_ms)
    rows = np.searchsorted(shown, events[:, 1])
    wide, high = max(0.8, column - 0.6), max(0.8, row - 0.3)
    for class_, chosen in _kinds(events[:, 2]).items():
        places = zip(events[chosen, 0], rows[chosen], strict=True)
        corners = [(x.start + (step - 1) * column, top + place * row) for step, place in places]
        drawing.many(_boxes(corners, wide, high), class_)
    if layer in info.activations:
        _activations(drawing, info, layer, x.end + _GAP, (top, height))


def _boxes(corners: list[tuple[float, float]], width: float, height: float) -> str:
    """Equal boxes as one path."""
    shape = f"h{width:.1f}v{height:.1f}h{-width:.1f}z"
    return "".join(f"M{x:.1f} {y:.1f}{shape}" for x, y in corners)


def _kinds(counts: NDArray) -> Mapping[str, NDArray]:
    """Spikes by how they are drawn: one, several in a step, below zero."""
    return {
        "fill c0 soft": counts == 1,
        "fill c0": counts > 1,
        "fill c1": counts < 0,
    }


def _activations(
    drawing: Drawing, info: RasterInfo, layer: str, left: float, place: tuple[float, float]
) -> None:
    """The source's value of each neuron as a bar, and the spiking one's mean as a stroke."""
    (top, height), right = place, drawing.width - 4
    values, sent = info.activations[layer], info.means.get(layer)
    both = values if sent is None else np.concatenate([values, sent])
    x = Scale(min(0.0, float(both.min())), max(float(both.max()), 1e-12), left, right)
    row = height / len(values)
    drawing.line(x(0), top, x(0), top + height, "axis")
    bars, strokes = [], []
    for index, value in enumerate(values):
        y = top + index * row
        if value:
            bars.append(
                f"M{x(0):.1f} {y:.1f}H{x(float(value)):.1f}v{max(0.8, row - 0.3):.1f}H{x(0):.1f}z"
            )
        if sent is not None and (value or sent[index]):
            strokes.append(f"M{x(float(sent[index])):.1f} {y:.1f}v{max(1.0, row):.1f}")
    drawing.many("".join(bars), "fill c2 soft")
    drawing.many("".join(strokes), "sent c1")
    if not drawing.narrow:
        drawing.text(right, top - 8, "source, and mean sent", "end", "muted")


def _output(drawing: Drawing, info: RasterInfo, x: Scale, top: float) -> None:
    """The answer so far, output by output, and the values that it should tend to."""
    drawing.text(0, top - 8, "output, mean so far", class_="strong")
    shown = [int(i) for i in info.largest]
    values = info.source[shown]
    ends = info.running_mean[-1, shown]
    low, high = min(values.min(), ends.min()), max(values.max(), ends.max())
    margin = 0.15 * (high - low) or 1.0
    y = Scale(float(low - margin), float(high + margin), top + _OUTPUT, top)
    drawing.y_axis(y, linear_ticks(y.low, y.high, 4), x.start, x.end)
    for rank, index in reversed(list(enumerate(shown))):
        class_ = ("c1", "c3")[rank] if rank < 2 else "other"
        line = [
            (x(float(t)), y(float(v)))
            for t, v in zip(info.time_ms, info.running_mean[:, index], strict=True)
        ]
        drawing.path(line, f"line {class_}" + (" thin" if rank > 1 else ""))
        if len(line) == 1:
            drawing.mark(*line[0], f"mark {class_}")
        level = y(float(values[rank]))
        drawing.line(x.start, level, x.end, level, f"dots {class_}")
    named = shown[:2]
    places = spread([y(float(values[i])) for i in range(len(named))], 15, top, top + _OUTPUT)
    for class_, index, place in zip(("c1", "c3"), named, places, strict=False):
        number = info.numbers[index]
        drawing.text(x.end + 6, place + 4, f"output {number}", class_=f"name {class_}")


def keys(info: RasterInfo) -> Markup:
    """The legend of the marks."""
    counts = np.concatenate([*(e[:, 2] for e in info.spikes.values()), np.zeros(0, int)])
    names = {"fill c0 soft": "a spike", "fill c0": "several in a step", "fill c1": "taken back"}
    entries = [
        (box_key(class_), names[class_]) for class_, at in _kinds(counts).items() if np.any(at)
    ]
    if info.activations:
        entries.append((box_key("fill c2 soft"), "the source's activation"))
    if info.means:
        entries.append((line_key("line c1"), "mean that was sent"))
    return legend([*entries, (line_key("dots other"), "the source's output")])


def describe(info: RasterInfo) -> str:
    """A description of the figure, in words."""
    layers = "; ".join(
        f"{name}: {int(np.abs(events[:, 2]).sum()):,} spikes of {len(info.shown(name)):,} neurons"
        for name, events in info.spikes.items()
    )
    first = int(info.largest[0])
    error = np.abs(info.running_mean - info.source).max(axis=1)
    wanted, given = float(info.source[first]), float(info.running_mean[-1, first])
    answers = (
        f"The source's largest output is number {info.numbers[first]}, {number(wanted)}; the mean "
        f"of the spiking network ends at {number(given)}"
    )
    settled = [b for a, b in pairwise(error) if b < a]
    trend = f"; outputs end within {number(float(error[-1]))} of the source's" if settled else ""
    return f"{layers}. {answers}{trend}."
