"""Two values against each other: the path that a represented vector takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.report.figures.base import BLACK, BLUE, Row, clean, new_figure


@dataclass(frozen=True, eq=False)
class PathInfo:
    """Points `(steps, 2)` in order, and where they should be: `(any, 2)`, or None."""

    points: NDArray
    ideal: NDArray | None
    names: tuple[str, str]

    def rows(self) -> list[Row]:
        """One row a point, those of the path first, header first."""
        parts = [("path", self.points)]
        if self.ideal is not None:
            parts.append(("ideal", self.ideal))
        body: list[Row] = [(what, float(x), float(y)) for what, points in parts for x, y in points]
        return [("what", *self.names), *body]


def path_info(
    points: ArrayLike, ideal: ArrayLike | None = None, names: tuple[str, str] = ("x", "y")
) -> PathInfo:
    """From points `(steps, 2)`, and where they should be; raises `ValueError` for other shapes."""
    return PathInfo(_pairs(points), None if ideal is None else _pairs(ideal), names)


def _pairs(points: ArrayLike) -> NDArray:
    array = np.asarray(points, np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"a path is (steps, 2), got {array.shape}")
    return array


def draw_path(info: PathInfo) -> Any:
    """A `matplotlib.figure.Figure`: the path as a line, the ideal dashed, both axes alike."""
    figure = new_figure(4.6, 4.4)
    axes = figure.subplots()
    axes.plot(*info.points.T, color=BLUE, linewidth=0.9)
    if info.ideal is not None:
        axes.plot(*info.ideal.T, color=BLACK, linewidth=1.3, linestyle="--", label="ideal")
        axes.legend(frameon=False, loc="upper right", fontsize=9)
    axes.set_xlabel(info.names[0])
    axes.set_ylabel(info.names[1])
    axes.set_aspect("equal", adjustable="datalim")
    clean(axes, "both")
    return figure
