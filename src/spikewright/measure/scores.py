"""Scores of each sample's outputs at every step: right or wrong, and errors.

Scores are rows of `ExactCounts`, one a sample; records of all samples have 95 % confidence
intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY, softmax
from spikewright.measure.exact_counts import ExactCounts, Key
from spikewright.measure.intervals import (
    drop_interval,
    mean_interval,
    root_ratio_interval,
    wilson_interval,
)
from spikewright.measure.readout import EveryStep
from spikewright.measure.targets import Metric, Output, Targets, given_of, place_of
from spikewright.records import SCORE, Record

_OVER_TIME = (
    "score", "correct", "agreement", "squared error", "absolute error", "squared difference"
)  # fmt: skip
_SCORES = ("score", "source score", "rounded score", "exit score")


def confidences(raw: NDArray, output: Output, dt: float) -> NDArray:
    """The largest probability that the mean output gives any class at each step.

    `raw` is `(samples, steps, *shape)`, the result `(samples, steps)`; `dt` is the length of a step
    in seconds. Where the output is no softmax or sigmoid itself, its mean is taken as logits and
    goes through a softmax.
    """
    values = output.at_every_step(raw, "mean", dt)
    if output.single:
        chance = output.number(values)
        return np.maximum(chance, 1.0 - chance)
    chances = values if output.probable else softmax(NUMPY, values, -1)
    largest: NDArray = chances.max(axis=-1)
    return largest


def exit_steps(confidence: NDArray, thresholds: Sequence[float]) -> NDArray:
    """The step, from 1, at which each sample is done, `(samples, thresholds)`.

    The first at which the confidence `(samples, steps)` is not below the threshold; the last of all
    where there is none.
    """
    steps = confidence.shape[1]
    columns = []
    for threshold in thresholds:
        sure = confidence >= threshold
        columns.append(np.where(sure.any(axis=1), sure.argmax(axis=1) + 1, steps))
    return np.stack(columns, axis=1).astype(np.int64)


Rows = dict[Key, NDArray]


def scores(
    output: Output,
    raw: NDArray,
    source: NDArray | None,
    truth: Targets | None,
    readouts: Sequence[EveryStep],
    dt: float,
    thresholds: Sequence[float] = (),
    real: NDArray | None = None,
) -> Rows:
    """Scores of one output: rows of `ExactCounts`.

    Values count where `real`, `(samples, *shape)`, is true; None: all of them.

    `raw` is the output before its activation, `(samples, steps, *shape)`; `source` are the source
    model's values `(samples, *shape)`. Rows are `(samples, steps)`, of the source `(samples,)`, of
    early exits `(samples, thresholds)`.
    """
    name = output.name
    rows: Rows = {}
    if source is not None:
        rows["squared source", name] = _mean_square(source[:, None], real)[:, 0]
        rows |= scores_of_model("source", output, source, truth, real)
    if truth is not None and truth.kind == "targets":
        rows["squared target", name] = _mean_square(truth.values[:, None], real)[:, 0]
    for readout in readouts:
        values = output.at_every_step(raw, readout, dt)
        for what, found in _of_values(output, values, source, truth, real).items():
            rows[what, name, str(readout)] = found
    if thresholds:
        rows |= _early(output, raw, source, truth, dt, thresholds)
    return rows


def _of_values(
    output: Output,
    values: NDArray,
    source: NDArray | None,
    truth: Targets | None,
    real: NDArray | None,
) -> dict[str, NDArray]:
    """Scores of values `(samples, steps, *shape)` under one readout."""
    found: dict[str, NDArray] = {}
    if truth is not None and truth.kind == "targets":
        error = values - truth.values[:, None]
        found["squared error"] = _mean_square(error, real)
        found["absolute error"] = _mean_size(error, real)
    elif output.classes:
        decided = output.decided(values)
        if truth is not None:
            found["correct"] = decided == truth.values[:, None]
        if source is not None:
            found["agreement"] = decided == output.decided(source)[:, None]
    if source is not None:
        found["squared difference"] = _mean_square(values - source[:, None], real)
    return found


def scores_of_model(
    which: str,
    output: Output,
    values: NDArray,
    truth: Targets | None,
    real: NDArray | None = None,
) -> Rows:
    """Scores of a model that knows no time, "source" or "rounded", of values `(samples, *shape)`.

    Rows are `(samples,)`: `("source correct", output)`, or errors.
    """
    if truth is None:
        return {}
    if truth.kind == "labels":
        return {(f"{which} correct", output.name): output.decided(values) == truth.values}
    error = (values - truth.values)[:, None]
    return {
        (f"{which} squared error", output.name): _mean_square(error, real)[:, 0],
        (f"{which} absolute error", output.name): _mean_size(error, real)[:, 0],
    }


def _early(
    output: Output,
    raw: NDArray,
    source: NDArray | None,
    truth: Targets | None,
    dt: float,
    thresholds: Sequence[float],
) -> Rows:
    """The steps at which samples leave early, and whether their answers are right then."""
    steps = exit_steps(confidences(raw, output, dt), thresholds)
    decided = output.decided(output.at_every_step(raw, "mean", dt))
    left = np.take_along_axis(decided, steps - 1, axis=1)
    rows: Rows = {("exit steps", output.name): steps}
    if truth is not None:
        rows["exit correct", output.name] = left == truth.values[:, None]
    elif source is not None:
        rows["exit agreement", output.name] = left == output.decided(source)[:, None]
    return rows


def metric_scores(
    metric: Metric,
    outputs: Mapping[str, Output],
    raw: Mapping[str, NDArray],
    source: Mapping[str, NDArray],
    truths: Mapping[str, Targets],
    readouts: Sequence[EveryStep],
    dt: float,
    thresholds: Sequence[float] = (),
) -> Rows:
    """Scores of all outputs together: rows of `ExactCounts`, under the one output's name, or "".

    `raw` are outputs before their activations, `(samples, steps, *shape)`, `source` the source
    model's answers, `(samples, *shape)`, or none. Rows are `(samples, steps)`, of the source
    `(samples,)`, of early exits `(samples, thresholds)`.
    """
    place, y = place_of(outputs), given_of(truths)
    rows: Rows = {}
    if source:
        rows["source score", place] = metric(source, y)
    for readout in readouts:
        read = {n: o.at_every_step(raw[n], readout, dt) for n, o in outputs.items()}
        steps = next(iter(read.values())).shape[1]
        columns = [metric({n: v[:, t] for n, v in read.items()}, y) for t in range(steps)]
        rows["score", place, str(readout)] = np.stack(columns, axis=1)
    if thresholds:
        output = outputs[place]
        at = exit_steps(confidences(raw[place], output, dt), thresholds) - 1
        means = output.at_every_step(raw[place], "mean", dt)
        left = [metric({place: means[np.arange(len(means)), t]}, y) for t in at.T]
        rows["exit score", place] = np.stack(left, axis=1)
    return rows


def _mean_square(values: NDArray, real: NDArray | None) -> NDArray:
    """Mean of the squares of a sample's values that count, `(samples, steps)`."""
    return _mean(np.square(_flat(values)), real)


def _mean_size(values: NDArray, real: NDArray | None) -> NDArray:
    """Mean of the sizes of a sample's values that count, `(samples, steps)`."""
    return _mean(np.abs(_flat(values)), real)


def _mean(values: NDArray, real: NDArray | None) -> NDArray:
    """The mean over the last axis of `(samples, steps, n)`; 0 of a sample that is all padding."""
    if real is None:
        mean: NDArray = values.mean(axis=-1)
        return mean
    counts = real.reshape(len(real), 1, -1)
    total = np.where(counts, values, 0.0).sum(axis=-1)
    return np.asarray(total / np.maximum(1, counts.sum(axis=-1)))


def _flat(values: NDArray) -> NDArray:
    return values.reshape(*values.shape[:2], -1).astype(np.float64)


@dataclass(frozen=True)
class Scored:
    """Records of the scores of a measure; where all are 0 or 1 they are `shares` of the samples."""

    name: str
    shares: bool
    unit: str = SCORE

    @classmethod
    def of(cls, name: str, scores: Iterable[NDArray]) -> Scored:
        """The records of all scores of a metric of this name."""
        return cls(name, all(np.all((found == 0) | (found == 1)) for found in scores))

    def mean(self, prefix: str, scores: NDArray, how: Mapping[str, Any]) -> Record:
        """The mean of scores `(samples,)`."""
        n, name = len(scores), f"{prefix} {self.name}".strip()
        interval = wilson_interval(float(scores.sum()), n) if self.shares else mean_interval(scores)
        return Record(name, float(scores.mean()), self.unit, n, interval, how)

    def drop(self, source: NDArray, spiking: NDArray, how: Mapping[str, Any]) -> Record:
        """The drop of the scores below the source's, on the same samples."""
        before, after = source.astype(np.float64), spiking.astype(np.float64)
        lost = before - after
        interval = drop_interval(before, after) if self.shares else mean_interval(lost)
        return Record(f"{self.name} drop", float(lost.mean()), self.unit, len(lost), interval, how)


ACCURACY = Scored("accuracy", True, "fraction")
AGREEMENT = Scored("agreement", True, "fraction")


def score_records(
    exact_counts: ExactCounts,
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
        found = _Found(exact_counts.samples, output, metric or "score")
        records += found.model("source", named)
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
        """The scores of the source model, or of a rounded twin."""
        for what, scored in (("correct", ACCURACY), ("score", self._scored)):
            rows = self._of(f"{which} {what}", *stop)
            if rows is not None:
                yield scored.mean(which, rows, how)
        squares, sizes = (self._of(f"{which} {e} error", *stop) for e in ("squared", "absolute"))
        if squares is not None and sizes is not None:
            yield from _errors(f"{which} ", squares, sizes, self._of("squared target"), how)

    def at(self, index: int, readout: str, how: Mapping[str, Any]) -> Iterator[Record]:
        """Scores at one step, under a readout."""

        def column(what: str) -> NDArray | None:
            rows = self._of(what, readout)
            return None if rows is None else rows[:, index]

        for what, scored in (("correct", ACCURACY), ("score", self._scored)):
            scores, source = column(what), self._of(f"source {what}")
            if scores is not None:
                yield scored.mean("", scores, how)
                if source is not None:
                    yield scored.drop(source, scores, how)
        agreement = column("agreement")
        if agreement is not None:
            yield AGREEMENT.mean("", agreement, how)
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
            for name, scored in (
                ("correct", ACCURACY), ("agreement", AGREEMENT), ("score", self._scored),
            ):  # fmt: skip
                rows = self._of(f"exit {name}")
                if rows is not None:
                    yield scored.mean("early exit", rows[:, index], at)
            taken = steps[:, index]
            interval = mean_interval(taken)
            mean = float(taken.mean())
            yield Record("early exit steps", mean, "steps", len(taken), interval, at)


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
