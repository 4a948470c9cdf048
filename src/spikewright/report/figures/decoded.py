"""Decoded values over time, beside the ideal ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.report.figures.base import BLACK, PALETTE, Row, clean, new_figure


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


def draw_decoded(info: DecodedInfo) -> Any:
    """A `matplotlib.figure.Figure`: values over time, ideals dashed, their difference below."""
    if info.ideal is None:
        figure = new_figure(7.0, 3.2)
        panels = [figure.subplots()]
    else:
        figure = new_figure(7.0, 4.2)
        panels = list(figure.subplots(2, 1, sharex=True, height_ratios=[3, 1]))
        _draw_errors(panels[1], info, info.ideal)
    _draw_values(panels[0], info)
    for axes in panels:
        clean(axes)
    panels[-1].set_xlabel("time (s)")
    panels[-1].set_xlim(info.time[0], info.time[-1])
    figure.align_ylabels()
    return figure


def _colours(info: DecodedInfo) -> list[str]:
    return [PALETTE[i % len(PALETTE)] for i in range(len(info.names))]


def _draw_values(axes: Any, info: DecodedInfo) -> None:
    for index, (name, colour) in enumerate(zip(info.names, _colours(info), strict=True)):
        axes.plot(info.time, info.decoded[:, index], color=colour, linewidth=1.0, label=name)
        if info.ideal is not None:
            axes.plot(info.time, info.ideal[:, index], color=BLACK, linewidth=1.3, linestyle="--")
    if info.ideal is not None:
        axes.plot([], [], color=BLACK, linewidth=1.3, linestyle="--", label="ideal")
    axes.legend(frameon=False, loc="upper right", ncols=4, fontsize=9)
    axes.set_ylabel("value")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * (high - low))  # room for the legend


def _draw_errors(axes: Any, info: DecodedInfo, ideal: NDArray) -> None:
    """Differences, and their size from when the run has settled; before that it is grey."""
    for colour, error in zip(_colours(info), (info.decoded - ideal).T, strict=True):
        axes.plot(info.time, error, color=colour, linewidth=0.9)
    axes.axhline(0, color=BLACK, linewidth=0.8)
    if info.settled > info.time[0]:
        axes.axvspan(info.time[0], info.settled, color="#EEEEEE", linewidth=0)
    axes.set_ylabel("error")
    axes.set_title(f"root mean square {info.rms:.3g}", loc="right", fontsize=9, color=BLACK)
