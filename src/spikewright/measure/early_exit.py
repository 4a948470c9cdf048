"""Early exit: a sample is done at the first step at which the network is sure of its answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY, softmax
from spikewright.measure.truth import Output


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
