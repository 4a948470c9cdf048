"""A decoded value over time, beside what it should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.report.figures.base import BLACK, PALETTE, Row, clean, new_figure


@dataclass(frozen=True, eq=False)
class DecodedInfo:
    """Values over time and what they should be, `(steps, values)` both; `time` in seconds.

    Errors count from `settled` seconds on.
    """

    time: NDArray
    decoded: NDArray
    ideal: NDArray
    names: tuple[str, ...]
    settled: float = 0.0

    @property
    def errors(self) -> NDArray:
        """Root mean square error of each value once settled, `(values,)`."""
        late = self.time >= self.settled
        found: NDArray = np.sqrt(np.mean((self.decoded - self.ideal)[late] ** 2, axis=0))
        return found

    @property
    def rms(self) -> float:
        """The same over all values."""
        return float(np.sqrt(np.mean(self.errors**2)))

    def rows(self) -> list[Row]:
        """One row a step, header first."""
        head = ["time_s", *self.names, *(f"{name}_ideal" for name in self.names)]
        both = np.hstack([self.time[:, None], self.decoded, self.ideal])
        return [head, *([float(v) for v in row] for row in both)]


def decoded_info(
    time: ArrayLike,
    decoded: ArrayLike,
    ideal: ArrayLike,
    names: tuple[str, ...] | None = None,
    settled: float = 0.0,
) -> DecodedInfo:
    """From times `(steps,)` in seconds, decoded and ideal values, `(steps, values)` or `(steps,)`.

    `ideal` may also be one value for all steps. Raises `ValueError` for shapes that do not fit, and
    where no step is left after `settled` seconds.
    """
    t = np.asarray(time, np.float64).reshape(-1)
    values = _columns(decoded)
    if len(values) != len(t):
        raise ValueError(f"{len(t)} times do not fit values of shape {np.shape(decoded)}")
    try:
        wanted = np.broadcast_to(_columns(ideal), values.shape)
    except ValueError:
        raise ValueError(
            f"ideal values {np.shape(ideal)} do not fit decoded ones {np.shape(decoded)}"
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
    """A `matplotlib.figure.Figure`: values and ideals over time, and their difference below."""
    figure = new_figure(7.0, 4.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    colours = PALETTE * (1 + len(info.names) // len(PALETTE))
    for name, colour, found, wanted in zip(
        info.names, colours, info.decoded.T, info.ideal.T, strict=False
    ):
        above.plot(info.time, found, color=colour, linewidth=1.0, label=name)
        above.plot(info.time, wanted, color=BLACK, linewidth=1.3, linestyle="--")
        below.plot(info.time, found - wanted, color=colour, linewidth=0.9)
    above.plot([], [], color=BLACK, linewidth=1.3, linestyle="--", label="ideal")
    above.legend(frameon=False, loc="upper right", ncols=3, fontsize=9)
    above.set_ylabel("value")
    low, high = above.get_ylim()
    above.set_ylim(low, high + 0.12 * (high - low))  # room for the legend
    below.axhline(0, color=BLACK, linewidth=0.8)
    if info.settled > info.time[0]:
        below.axvspan(info.time[0], info.settled, color="#EEEEEE", linewidth=0)
    below.set_ylabel("error")
    below.set_xlabel("time (s)")
    below.set_title(f"root mean square {info.rms:.3g}", loc="right", fontsize=9, color=BLACK)
    below.set_xlim(info.time[0], info.time[-1])
    for axes in (above, below):
        clean(axes)
    figure.align_ylabels()
    return figure
