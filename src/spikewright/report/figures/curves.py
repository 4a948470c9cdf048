"""Answers of neurons to constant values: tuning curves, and responses along encoders."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.amounts import counted
from spikewright.report.figures import plot
from spikewright.report.figures.saving import Row

_PANELS = 6  # neurons of two dimensions that are drawn
_FEW = 18  # lines that are drawn in full strength


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

    def chart(self) -> plot.Chart:
        """A line a neuron, or of two dimensions a map for each of six.

        Raises `ValueError` for more dimensions: response curves can be drawn of those.
        """
        if self.dimensions > 2:
            raise ValueError(f"curves over {self.dimensions} dimensions cannot be drawn")
        return self._lines() if self.dimensions == 1 else self.thinned(_PANELS)._maps()

    def _lines(self) -> plot.Chart:
        order = np.argsort(self.inputs[:, 0], kind="stable")
        inputs, (count, low) = self.inputs[order, 0], (self.outputs.shape[1], self.outputs.min())
        style = " thin soft" if count > _FEW else ""
        lines = [
            plot.Line(np.column_stack([inputs, column[order]]), plot.colour(i) + style)
            for i, column in enumerate(self.outputs.T)
        ]
        x = plot.Axis(self.of, float(inputs[0]), float(inputs[-1]), most=(8, 4))
        y = plot.Axis(f"output ({self.unit})", min(0.0, float(low)), self._top)
        title = counted(count, "neuron")
        panels = [plot.Panel(x, y, lines, 280, title=title)]
        return plot.Chart("curves", "", panels, f"{title} over {self.of}.", width=600)

    def _maps(self) -> plot.Chart:
        columns = min(3, len(self.picked))
        x, y = (
            plot.Axis(name, float(v.min()), float(v.max()), most=(4, 4))
            for name, v in zip(("first value", "second value"), self.inputs.T, strict=True)
        )
        top, unit = self._top, self.unit
        maps = [[plot.Surface(self.inputs, values, top)] for values in self.outputs.T]
        titles = [f"neuron {number}" for number in self.picked]
        panels = [
            plot.Panel(x, y, m, 160, t, alike=True) for m, t in zip(maps, titles, strict=True)
        ]
        levels = (2, 4, 6, 8)
        keys = [plot.LegendEntry("box", f"c0 p{n}", f"{n / 8 * top:.3g} {unit}") for n in levels]
        words = f"Maps of {len(panels)} neurons over two values, at most {top:.3g} {unit}."
        return plot.Chart("maps", "", panels, words, keys, None, columns, 240 * columns + 60)

    @property
    def _top(self) -> float:
        return float(self.outputs.max()) or 1.0


def tuning_curves_info(
    points: ArrayLike, outputs: ArrayLike, neurons: int | None = None, unit: str = "Hz"
) -> CurvesInfo:
    """Tuning curves, as `sw.curves.tuning_curves` gives them, of at most `neurons` neurons.

    `points` are `(m, dimensions)`, `outputs` `(m, neurons)`. Raises `ValueError` for shapes that do
    not fit.
    """
    x = np.asarray(points, np.float64)
    x = x[:, None] if x.ndim == 1 else x
    return _info(x, outputs, "represented value", neurons, unit)


def response_curves_info(
    inputs: ArrayLike, outputs: ArrayLike, neurons: int | None = None, unit: str = "Hz"
) -> CurvesInfo:
    """Responses along encoders, as `sw.curves.response_curves` gives them; `inputs` are `(m,)`.

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
