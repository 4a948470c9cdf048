"""Two values against each other: the path that a represented vector takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spikewright.report.figures import charts
from spikewright.report.figures.saving import ChartInfo


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
