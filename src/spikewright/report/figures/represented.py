"""Represented values: tuning and response curves, decoded values beside ideal ones, paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.amounts import capital, counted
from spikewright.report.figures import charts
from spikewright.report.figures.picture import ChartInfo, Row

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


@dataclass(frozen=True, eq=False)
class DecodedInfo:
    """Values over time and the ideal ones, `(steps, values)` both; `time` in seconds.

    Errors count from `settled` seconds on. `ideal` is None where nobody knows it.
    """

    time: NDArray
    decoded: NDArray
    ideal: NDArray | None
    names: tuple[str, ...]
    settled: float = 0.0

    @property
    def errors(self) -> NDArray:
        """Root mean square error of each value once settled, `(values,)`.

        Raises `ValueError` where there is no ideal.
        """
        if self.ideal is None:
            raise ValueError("without ideal values there are no errors")
        late = self.time >= self.settled
        found: NDArray = np.sqrt(np.mean((self.decoded - self.ideal)[late] ** 2, axis=0))
        return found

    @property
    def rms(self) -> float:
        """The same over all values."""
        return float(np.sqrt(np.mean(self.errors**2)))

    def rows(self) -> list[Row]:
        """One row a step, header first."""
        head, columns = ["time_s", *self.names], [self.time[:, None], self.decoded]
        if self.ideal is not None:
            head += [f"{name}_ideal" for name in self.names]
            columns.append(self.ideal)
        return [head, *([float(v) for v in row] for row in np.hstack(columns))]

    def chart(self) -> charts.Chart:
        """Values over time, ideals dashed, their difference below; before settling it is grey."""
        named = enumerate(self.names)
        keys = [charts.LegendEntry("line", f"{charts.colour(i)} thin", name) for i, name in named]
        values = self.decoded if self.ideal is None else np.hstack([self.decoded, self.ideal])
        marks = self._lines(self.decoded)
        panels = [self._panel("value", values, marks, 260)]
        words = f"{', '.join(self.names)} over {self.time[-1]:g} s."
        if self.ideal is not None:
            marks += [charts.Line(self._points(column), "source") for column in self.ideal.T]
            keys.append(charts.LegendEntry("line", "source", "ideal"))
            errors = self.decoded - self.ideal
            early = (self.time[0], float(errors.min()), self.settled, float(errors.max()))
            grey = [charts.Boxes([early], "ground")] if self.settled > self.time[0] else []
            below = [*grey, charts.Guide(0, "axis"), *self._lines(errors)]
            measured = f"root mean square {self.rms:.3g}"
            panels.append(self._panel("error", errors, below, 90, measured))
            words += f" {capital(measured)} of the error."
        return charts.Chart("decoded", "", panels, words, keys)

    def _panel(
        self, name: str, values: NDArray, marks: list[charts.Mark], height: float, remark: str = ""
    ) -> charts.Panel:
        last = remark or self.ideal is None
        x = charts.Axis("time (s)" if last else "", float(self.time[0]), float(self.time[-1]))
        low, high = charts.with_room([float(values.min()), float(values.max())])
        return charts.Panel(
            x, charts.Axis(name, low, high, most=(4, 4)), marks, height, remark=remark
        )

    def _lines(self, values: NDArray) -> list[charts.Mark]:
        styles = (f"{charts.colour(index)} thin" for index in range(len(self.names)))
        return [charts.Line(self._points(v), s) for v, s in zip(values.T, styles, strict=True)]

    def _points(self, values: NDArray) -> NDArray:
        return np.column_stack([self.time, values])


def decoded_info(
    time: ArrayLike,
    decoded: ArrayLike,
    ideal: ArrayLike | None,
    names: tuple[str, ...] | None = None,
    settled: float = 0.0,
) -> DecodedInfo:
    """From times `(steps,)` in seconds, decoded and ideal values, `(steps, values)` or `(steps,)`.

    `ideal` may also be one value for all steps, or None. Raises `ValueError` for shapes that do not
    fit, and where no step is left after `settled` seconds.
    """
    t = np.asarray(time, np.float64).reshape(-1)
    values = _columns(decoded)
    if len(values) != len(t):
        raise ValueError(f"{len(t)} times do not fit values of shape {np.shape(decoded)}")
    try:
        wanted = None if ideal is None else np.broadcast_to(_columns(ideal), values.shape)
    except ValueError:
        raise ValueError(
            f"ideal values {np.asarray(ideal).shape} do not fit decoded ones {np.shape(decoded)}"
        ) from None
    if not np.any(t >= settled):
        raise ValueError(f"no step is at or after {settled} s")
    numbered = tuple(f"value {i + 1}" for i in range(values.shape[1]))
    named = (numbered if len(numbered) > 1 else ("decoded",)) if names is None else tuple(names)
    if len(named) != values.shape[1]:
        raise ValueError(f"{len(named)} names do not fit {values.shape[1]} values")
    return DecodedInfo(t, values, wanted, named, settled)


def _columns(values: ArrayLike) -> NDArray:
    array = np.asarray(values, np.float64)
    return array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)


def path_info(
    points: ArrayLike, ideal: ArrayLike | None = None, names: tuple[str, str] = ("x", "y")
) -> ChartInfo:
    """The path through points `(steps, 2)` as a line, and where it should be dashed, axes alike.

    Raises `ValueError` for other shapes.
    """
    given = {"path": points} if ideal is None else {"path": points, "ideal": ideal}
    found = {what: np.asarray(array, np.float64) for what, array in given.items()}
    for array in found.values():
        if array.ndim != 2 or array.shape[1] != 2:
            raise ValueError(f"a path is (steps, 2), got {array.shape}")
    both = np.concatenate(list(found.values()))
    middle = (both.min(0) + both.max(0)) / 2
    half = 0.53 * float(np.ptp(both, axis=0).max() or 1)
    x, y = (
        charts.Axis(name, float(at - half), float(at + half), grid=True)
        for name, at in zip(names, middle, strict=True)
    )
    styles = {"path": "c0 thin", "ideal": "source"}
    lines = [charts.Line(array, styles[what]) for what, array in found.items()]
    chart = charts.Chart(
        "path",
        "",
        [charts.Panel(x, y, lines, 380, alike=True)],
        f"{len(found['path']):,} points of {names[0]} and {names[1]}.",
        [charts.LegendEntry("line", styles[what], what) for what in found],
        width=460,
    )
    rows = [(what, float(a), float(b)) for what, array in found.items() for a, b in array]
    return ChartInfo(chart, [("what", *names), *rows])
