"""Scores of all samples as records, with 95 % confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from spikewright.records import SCORE, Record

_OVER_TIME = (
    "score", "correct", "agreement", "squared error", "absolute error", "squared difference"
)  # fmt: skip
_SCORES = ("score", "source score", "twin score", "rounded score", "exit score")


def score_records(
    tally: Tally,
    outputs: Sequence[str],
    steps: int,
    dt: float,
    thresholds: Sequence[float] = (),
    metric: str | None = None,
) -> list[Record]:
    """Records of scores: the source's, then one a step and readout, then early exits'.

    Records of one of several outputs have its name in `how["output"]`, those of a `metric`, whose
    name that is, of several together none.
    """
    records: list[Record] = []
    together = [""] if metric is not None and len(outputs) > 1 else []
    for output in (*outputs, *together):
        named = {"output": output} if output and len(outputs) > 1 else {}
        found = _Found(tally.samples, output, metric or "score")
        records += found.model("source", named)
        records += found.model("twin", {"steps": steps, **named})
        for stop in found.rounded_at():
            records += found.model("rounded", {"steps": stop, **named}, str(stop))
        for readout in found.readouts():
            for step in range(1, steps + 1):
                how = {"steps": step, "dt": dt, "readout": readout, **named}
                records += found.at(step - 1, readout, how)
        records += found.early({"steps": steps, "dt": dt, "readout": "mean", **named}, thresholds)
    return records


class _Found:
    """The scores of one output, or of all of them together; `metric` is the name of scores."""

    def __init__(self, rows: Mapping[Key, NDArray], output: str, metric: str) -> None:
        self._rows, self._output = rows, output
        self._scored = Scored.of(metric, [a for k, a in rows.items() if k[0] in _SCORES])

    def _of(self, what: str, *readout: str) -> NDArray | None:
        return self._rows.get((what, self._output, *readout))

    def readouts(self) -> list[str]:
        """Readouts that values were scored under, in order."""
        found = (key for key in self._rows if key[0] in _OVER_TIME and key[1] == self._output)
        return list(dict.fromkeys(key[2] for key in found))

    def rounded_at(self) -> list[int]:
        """The numbers of steps of the rounded twins, in order."""
        found = (k for k in self._rows if k[0].startswith("rounded ") and k[1] == self._output)
        return sorted({int(key[2]) for key in found})

    def model(self, which: str, how: Mapping[str, Any], *stop: str) -> Iterator[Record]:
        """The scores of the source model, of its quantised twin, or of a rounded twin."""
        correct = self._of(f"{which} correct", *stop)
        if correct is not None:
            yield _share(f"{which} accuracy", correct, how)
        score = self._of(f"{which} score", *stop)
        if score is not None:
            yield self._scored.mean(which, score, how)
        squares, sizes = (self._of(f"{which} {e} error", *stop) for e in ("squared", "absolute"))
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
        score, source = column("score"), self._of("source score")
        if score is not None:
            yield self._scored.mean("", score, how)
            if source is not None:
                yield self._scored.drop(source, score, how)
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
        """Results of leaving early, by threshold."""
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
            score = self._of("exit score")
            if score is not None:
                yield self._scored.mean("early exit", score[:, index], at)
            taken = steps[:, index]
            interval = mean_interval(taken)
            mean = float(taken.mean())
            yield Record("early exit steps", mean, "steps", len(taken), interval, at)


@dataclass(frozen=True)
class Scored:
    """Records of the scores of a metric; where all are 0 or 1 they are shares, as accuracy is."""

    name: str
    shares: bool

    @classmethod
    def of(cls, name: str, scores: Iterable[NDArray]) -> Scored:
        """Of all scores of a metric of this name."""
        return cls(name, all(np.all((found == 0) | (found == 1)) for found in scores))

    def mean(self, prefix: str, scores: NDArray, how: Mapping[str, Any]) -> Record:
        """The mean of scores `(samples,)`."""
        n, name = len(scores), f"{prefix} {self.name}".strip()
        interval = wilson_interval(float(scores.sum()), n) if self.shares else mean_interval(scores)
        return Record(name, float(scores.mean()), SCORE, n, interval, how)

    def drop(self, source: NDArray, spiking: NDArray, how: Mapping[str, Any]) -> Record:
        """The drop of the scores below the source's, on the same samples."""
        if self.shares:
            found = _drop(source == 1, spiking == 1, how)
            return replace(found, name=f"{self.name} drop", unit=SCORE)
        name, lost = f"{self.name} drop", source - spiking
        return Record(name, float(lost.mean()), SCORE, len(lost), mean_interval(lost), how)


def _share(name: str, hits: NDArray, how: Mapping[str, Any]) -> Record:
    n, count = len(hits), int(hits.sum())
    return Record(name, count / n, "fraction", n, wilson_interval(count, n), how)


def _drop(source: NDArray, spiking: NDArray, how: Mapping[str, Any]) -> Record:
    """The loss of accuracy of the spiking network, on the same samples."""
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
