"""Decoded values over time, beside the ideal ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.amounts import capital
from spikewright.report.figures import charts
from spikewright.report.figures.saving import Row


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
            told = f"root mean square {self.rms:.3g}"
            panels.append(self._panel("error", errors, below, 90, told))
            words += f" {capital(told)} of the error."
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
