"""Two values against each other: the path that a represented vector takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.report.figures import charts
from spikewright.report.figures.saving import Row


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

    def chart(self) -> charts.Chart:
        """The path as a line, the ideal dashed, both axes alike."""
        lines = [charts.Line(self.points, "c0 thin")]
        if self.ideal is not None:
            lines.append(charts.Line(self.ideal, "source"))
        both = np.concatenate([line.points for line in lines])
        middle, half = (
            (both.min(0) + both.max(0)) / 2,
            0.53 * float(np.ptp(both, axis=0).max() or 1),
        )
        x, y = (
            charts.Axis(name, float(at - half), float(at + half), grid=True)
            for name, at in zip(self.names, middle, strict=True)
        )
        return charts.Chart(
            "path",
            "",
            [charts.Panel(x, y, lines, 380, alike=True)],
            f"{len(self.points):,} points of {self.names[0]} and {self.names[1]}.",
            [
                charts.LegendEntry("line", "c0 thin", "path"),
                charts.LegendEntry("line", "source", "ideal"),
            ][: len(lines)],
            width=460,
        )


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
