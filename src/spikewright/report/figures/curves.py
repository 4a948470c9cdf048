"""Answers of neurons to constant values: tuning curves, and responses along encoders."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.amounts import counted
from spikewright.report.figures import charts
from spikewright.report.figures.saving import ChartInfo

_PANELS = 6  # neurons of two dimensions that are drawn
_FEW = 18  # lines that are drawn in full strength


def tuning_curves_info(
    points: ArrayLike, outputs: ArrayLike, neurons: int | None = None, unit: str = "Hz"
) -> ChartInfo:
    """Tuning curves, as `sw.curves.tuning_curves` gives them, of at most `neurons` neurons.

    A line a neuron, or of two dimensions a map for each of six. `points` are `(m, dimensions)`,
    `outputs` `(m, neurons)`, in `unit`. Raises `ValueError` for shapes that do not fit, and for
    more dimensions: response curves can be drawn of those.
    """
    x = np.asarray(points, np.float64)
    x = x[:, None] if x.ndim == 1 else x
    return _figure(x, outputs, "represented value", neurons, unit)


def response_curves_info(
    inputs: ArrayLike, outputs: ArrayLike, neurons: int | None = None, unit: str = "Hz"
) -> ChartInfo:
    """Responses along encoders, as `sw.curves.response_curves` gives them; `inputs` are `(m,)`.

    Raises as `tuning_curves_info` does.
    """
    x = np.asarray(inputs, np.float64).reshape(-1, 1)
    return _figure(x, outputs, "input along the encoder, in radii", neurons, unit)


def _figure(x: NDArray, outputs: ArrayLike, of: str, neurons: int | None, unit: str) -> ChartInfo:
    y = np.asarray(outputs, np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(
            f"curves need inputs (m, dimensions) and outputs (m, neurons), got {x.shape} and "
            f"{y.shape}"
        )
    dimensions = x.shape[1]
    if dimensions > 2:
        raise ValueError(f"curves over {dimensions} dimensions cannot be drawn")
    picked = _picked(y, y.shape[1] if neurons is None else neurons)
    chart = (
        _lines(x[:, 0], y[:, picked], of, unit) if dimensions == 1 else _maps(x, y, picked, unit)
    )
    header = [*(f"x{i}" for i in range(dimensions)), *(f"neuron_{n}" for n in picked)]
    return ChartInfo(chart, [header, *np.hstack([x, y[:, picked]]).tolist()])


def _picked(outputs: NDArray, most: int) -> NDArray:
    """At most so many neurons, evenly spaced over where they begin to respond."""
    if most >= outputs.shape[1]:
        return np.arange(outputs.shape[1])
    order = np.argsort(np.count_nonzero(outputs > 0, axis=0), kind="stable")
    found: NDArray = order[np.linspace(0, len(order) - 1, most).round().astype(int)]
    return found


def _lines(inputs: NDArray, outputs: NDArray, of: str, unit: str) -> charts.Chart:
    order, count = np.argsort(inputs, kind="stable"), outputs.shape[1]
    x, style = inputs[order], " thin soft" if count > _FEW else ""
    lines = [
        charts.Line(np.column_stack([x, column[order]]), charts.colour(i) + style)
        for i, column in enumerate(outputs.T)
    ]
    across = charts.Axis(of, float(x[0]), float(x[-1]), most=(8, 4))
    up = charts.Axis(f"output ({unit})", min(0.0, float(outputs.min())), _top(outputs))
    title = counted(count, "neuron")
    panels = [charts.Panel(across, up, lines, 280, title=title)]
    return charts.Chart("curves", "", panels, f"{title} over {of}.", width=600)


def _maps(inputs: NDArray, outputs: NDArray, neurons: NDArray, unit: str) -> charts.Chart:
    """Maps of at most six of the neurons."""
    shown = neurons[_picked(outputs[:, neurons], _PANELS)]
    columns, top = min(3, len(shown)), _top(outputs[:, shown])
    x, y = (
        charts.Axis(name, float(v.min()), float(v.max()), most=(4, 4))
        for name, v in zip(("first value", "second value"), inputs.T, strict=True)
    )
    panels = [
        charts.Panel(
            x, y, [charts.Surface(inputs, outputs[:, n], top)], 160, f"neuron {n}", alike=True
        )
        for n in shown
    ]
    levels = (2, 4, 6, 8)
    keys = [charts.LegendEntry("box", f"c0 p{n}", f"{n / 8 * top:.3g} {unit}") for n in levels]
    words = f"Maps of {len(panels)} neurons over two values, at most {top:.3g} {unit}."
    width = 240 * columns + 60
    return charts.Chart("maps", "", panels, words, keys, columns=columns, width=width)


def _top(outputs: NDArray) -> float:
    return float(outputs.max()) or 1.0
