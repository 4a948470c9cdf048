"""Answers of neurons to constant values: tuning curves, and responses along encoders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.report.figures.base import PALETTE, Row, clean, new_figure

_PANELS = 6  # neurons of two dimensions that are drawn


@dataclass(frozen=True, eq=False)
class CurvesInfo:
    """Outputs of neurons, `(m, neurons)`, at `inputs` `(m, dimensions)`.

    `of` names the inputs, `picked` holds the numbers of the columns' neurons, and `unit` is that of
    the outputs.
    """

    inputs: NDArray
    outputs: NDArray
    of: str
    picked: NDArray
    unit: str = "Hz"

    @property
    def dimensions(self) -> int:
        """Number of values of an input."""
        return self.inputs.shape[1]

    def thinned(self, neurons: int) -> CurvesInfo:
        """At most so many neurons, evenly spaced over where they begin to respond."""
        if neurons >= self.outputs.shape[1]:
            return self
        order = np.argsort(np.count_nonzero(self.outputs > 0, axis=0), kind="stable")
        places = order[np.linspace(0, len(order) - 1, neurons).round().astype(int)]
        return replace(self, outputs=self.outputs[:, places], picked=self.picked[places])

    def rows(self) -> list[Row]:
        """One row an input, a column a neuron, header first."""
        axes = [f"x{i}" for i in range(self.dimensions)]
        head = [*axes, *(f"neuron_{int(n)}" for n in self.picked)]
        pairs = zip(self.inputs, self.outputs, strict=True)
        return [head, *([float(v) for v in (*x, *y)] for x, y in pairs)]


def tuning_curves_info(
    points: ArrayLike, outputs: ArrayLike, neurons: int | None = None, unit: str = "Hz"
) -> CurvesInfo:
    """Tuning curves, as `spikewright.tuning_curves` gives them, of at most `neurons` neurons.

    `points` are `(m, dimensions)`, `outputs` `(m, neurons)`. Raises `ValueError` for shapes that do
    not fit.
    """
    x = np.asarray(points, np.float64)
    x = x[:, None] if x.ndim == 1 else x
    return _info(x, outputs, "represented value", neurons, unit)


def response_curves_info(
    inputs: ArrayLike, outputs: ArrayLike, neurons: int | None = None, unit: str = "Hz"
) -> CurvesInfo:
    """Responses along encoders, as `spikewright.response_curves` gives them; `inputs` are `(m,)`.

    Raises as `tuning_curves_info` does.
    """
    x = np.asarray(inputs, np.float64).reshape(-1, 1)
    return _info(x, outputs, "input along the encoder, in radii", neurons, unit)


def _info(x: NDArray, outputs: ArrayLike, of: str, neurons: int | None, unit: str) -> CurvesInfo:
    y = np.asarray(outputs, np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(
            f"curves need inputs (m, dimensions) and outputs (m, neurons), got {x.shape} and "
            f"{y.shape}"
        )
    info = CurvesInfo(x, y, of, np.arange(y.shape[1]), unit)
    return info if neurons is None else info.thinned(neurons)


def draw_curves(info: CurvesInfo) -> Any:
    """A `matplotlib.figure.Figure`: a line a neuron, or of two dimensions a map for six of them.

    Raises `ValueError` for more dimensions: give response curves of those.
    """
    if info.dimensions == 1:
        return _lines(info)
    if info.dimensions == 2:
        return _maps(info.thinned(_PANELS))
    raise ValueError(f"curves over {info.dimensions} dimensions cannot be drawn")


def _lines(info: CurvesInfo) -> Any:
    figure = new_figure(6.0, 3.6)
    axes = figure.subplots()
    order = np.argsort(info.inputs[:, 0], kind="stable")
    many = info.outputs.shape[1] > 3 * len(PALETTE)
    for index, column in enumerate(info.outputs.T):
        colour = PALETTE[index % len(PALETTE)]
        width, alpha = (0.8, 0.6) if many else (1.5, 0.95)
        x = info.inputs[order, 0]
        axes.plot(x, column[order], color=colour, linewidth=width, alpha=alpha)
    axes.set_xlabel(info.of)
    axes.set_ylabel(f"output ({info.unit})")
    axes.set_title(f"{info.outputs.shape[1]} neurons", loc="left")
    axes.set_xlim(info.inputs.min(), info.inputs.max())
    axes.set_ylim(bottom=min(0.0, float(info.outputs.min())))
    clean(axes)
    return figure


def _maps(info: CurvesInfo) -> Any:
    columns = min(3, len(info.picked))
    rows = -(-len(info.picked) // columns)
    figure = new_figure(2.3 * columns + 0.8, 2.3 * rows + 0.3)
    panels = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    top = float(info.outputs.max()) or 1.0
    shown: Any = None
    for axes, number, values in zip(panels, info.picked, info.outputs.T, strict=False):
        shown = axes.tripcolor(
            *info.inputs.T, values, shading="gouraud", cmap="viridis", vmin=0.0, vmax=top
        )
        shown.set_rasterized(True)
        axes.set_title(f"neuron {int(number)}", fontsize=9)
        axes.set_aspect("equal")
    for axes in panels[len(info.picked) :]:
        axes.set_visible(False)
    figure.supxlabel("first value", fontsize=10)
    figure.supylabel("second value", fontsize=10)
    figure.colorbar(shown, ax=list(panels), label=f"output ({info.unit})", shrink=0.8)
    return figure
