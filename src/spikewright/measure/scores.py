"""Scores of each sample's outputs at every step: right or wrong, and errors.

Scores are rows of a `Tally`, one a sample; `score_records` makes records of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY, softmax
from spikewright.measure.readout import EveryStep
from spikewright.measure.tally import Key
from spikewright.measure.truth import Output, Truth


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
    truth: Truth | None,
    readouts: Sequence[EveryStep],
    dt: float,
    thresholds: Sequence[float] = (),
    real: NDArray | None = None,
) -> Rows:
    """Scores of one output: rows of a `Tally`.

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
    truth: Truth | None,
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
    truth: Truth | None,
    real: NDArray | None = None,
) -> Rows:
    """Scores of a model that knows no time, "source" or "twin", of its values `(samples, *shape)`.

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
    truth: Truth | None,
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
