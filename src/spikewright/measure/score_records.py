"""Scores of all samples as records, with 95 % confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.intervals import (
    mean_interval,
    paired_interval,
    root_ratio_interval,
    wilson_interval,
)
from spikewright.measure.tally import Key, Tally
from spikewright.records import Record

_OVER_TIME = ("correct", "agreement", "squared error", "absolute error", "squared difference")


def score_records(
    tally: Tally,
    outputs: Sequence[str],
    steps: int,
    dt: float,
    thresholds: Sequence[float] = (),
) -> list[Record]:
    """Records of what `scores` found: one a step and readout, then the source's and early exits'.

    Records of one of several outputs have its name in `how["output"]`.
    """
    records: list[Record] = []
    for output in outputs:
        named = {"output": output} if len(outputs) > 1 else {}
        found = _Found(tally.samples, output)
        records += found.model("source", named)
        records += found.model("twin", {"steps": steps, **named})
        for readout in found.readouts():
            for step in range(1, steps + 1):
                how = {"steps": step, "dt": dt, "readout": readout, **named}
                records += found.at(step - 1, readout, how)
        records += found.early({"steps": steps, "dt": dt, "readout": "mean", **named}, thresholds)
    return records


class _Found:
    """The scores of one output."""

    def __init__(self, rows: Mapping[Key, NDArray], output: str) -> None:
        self._rows = rows
        self._output = output

    def _of(self, what: str, *readout: str) -> NDArray | None:
        return self._rows.get((what, self._output, *readout))

    def readouts(self) -> list[str]:
        """Readouts that values were scored under, in order."""
        found = (key for key in self._rows if key[0] in _OVER_TIME and key[1] == self._output)
        return list(dict.fromkeys(key[2] for key in found))

    def model(self, which: str, how: Mapping[str, Any]) -> Iterator[Record]:
        """What the answers of the source model, or of its quantised twin, are worth."""
        correct = self._of(f"{which} correct")
        if correct is not None:
            yield _share(f"{which} accuracy", correct, how)
        squares, sizes = self._of(f"{which} squared error"), self._of(f"{which} absolute error")
        if squares is not None and sizes is not None:
            yield from _errors(f"{which} ", squares, sizes, self._of("squared target"), how)

    def at(self, index: int, readout: str, how: Mapping[str, Any]) -> Iterator[Record]:
        """Scores at one step, under a readout."""

        def column(what: str) -> NDArray | None:
            rows = self._of(what, readout)
            return None if rows is None else rows[:, index]

        correct, source = column("correct"), self._of("source correct")
        if correct is not None:
            yield _share("accuracy", correct, how)
            if source is not None:
                yield _drop(source, correct, how)
        agreement = column("agreement")
        if agreement is not None:
            yield _share("agreement", agreement, how)
        squares, sizes = column("squared error"), column("absolute error")
        if squares is not None and sizes is not None:
            yield from _errors("", squares, sizes, self._of("squared target"), how)
        difference = column("squared difference")
        if difference is not None:
            yield from _relative("relative difference", difference, self._of("squared source"), how)

    def early(self, how: Mapping[str, Any], thresholds: Sequence[float]) -> Iterator[Record]:
        """What leaving early gives, by threshold."""
        steps = self._of("exit steps")
        if steps is None:
            return
        for index, threshold in enumerate(thresholds):
            at = {**how, "threshold": threshold}
            for name in ("correct", "agreement"):
                rows = self._of(f"exit {name}")
                if rows is not None:
                    what = "accuracy" if name == "correct" else name
                    yield _share(f"early exit {what}", rows[:, index], at)
            taken = steps[:, index]
            interval = mean_interval(taken)
            mean = float(taken.mean())
            yield Record("early exit steps", mean, "steps", len(taken), interval, at)


def _share(name: str, hits: NDArray, how: Mapping[str, Any]) -> Record:
    n, count = len(hits), int(hits.sum())
    return Record(name, count / n, "fraction", n, wilson_interval(count, n), how)


def _drop(source: NDArray, spiking: NDArray, how: Mapping[str, Any]) -> Record:
    """How much accuracy the spiking network loses, on the same samples."""
    n = len(source)
    both, first = int(np.sum(source & spiking)), int(np.sum(source & ~spiking))
    second = int(np.sum(~source & spiking))
    interval = paired_interval(both, first, second, n - both - first - second)
    return Record("accuracy drop", (first - second) / n, "fraction", n, interval, how)


def _errors(
    prefix: str,
    squares: NDArray,
    sizes: NDArray,
    targets: NDArray | None,
    how: Mapping[str, Any],
) -> Iterator[Record]:
    n = len(squares)
    yield from _relative(f"{prefix}relative error", squares, targets, how)
    name = f"{prefix}mean absolute error"
    yield Record(name, float(sizes.mean()), "value", n, mean_interval(sizes), how)
    root = math.sqrt(squares.mean())
    interval = root_ratio_interval(squares, np.ones(n))
    yield Record(f"{prefix}root mean square error", root, "value", n, interval, how)


def _relative(
    name: str, squares: NDArray, base: NDArray | None, how: Mapping[str, Any]
) -> Iterator[Record]:
    """The root of summed squares over summed squares, which needs values that are not all 0."""
    if base is not None and np.any(base > 0):
        value = math.sqrt(squares.sum() / base.sum())
        interval = root_ratio_interval(squares, base)
        yield Record(name, value, "fraction", len(squares), interval, how)
