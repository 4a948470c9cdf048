"""Accuracy over time: the share of samples whose largest output is their label."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import SimulationError
from spikewright.measure.intervals import wilson_interval
from spikewright.measure.readout import EveryStep, Readout
from spikewright.measure.run import Run
from spikewright.records import Record


def accuracy(run: Run, labels: ArrayLike, readout: Readout = "mean") -> Record:
    """Accuracy of a run with one output, with its 95 % interval.

    Raises `SimulationError` where labels and samples, or the outputs, do not fit.
    """
    _refuse_sequences(run)
    values = _one_output(run.predict(readout))
    hits = _hits(values, labels)
    return _record(hits, {"readout": readout, "steps": run.steps, "dt": run.dt})


def accuracy_over_time(run: Run, labels: ArrayLike, readout: EveryStep = "mean") -> list[Record]:
    """Accuracy had the run ended at each step, one record a step; raises as `accuracy` does."""
    _refuse_sequences(run)
    values = _one_output(run.predict_at_every_step(readout))
    hits = _hits(values, labels)
    return [
        _record(hits[:, t], {"readout": readout, "steps": t + 1, "dt": run.dt})
        for t in range(run.steps)
    ]


def _record(hits: NDArray, how: dict) -> Record:
    n = len(hits)
    interval = wilson_interval(float(hits.sum()), n)
    return Record("accuracy", float(hits.mean()), "fraction", n, interval, how)


def _refuse_sequences(run: Run) -> None:
    """Raise `SimulationError` where the source answers at every step of a sequence."""
    timed = [name for name, time in run.time_axes.items() if time is not None]
    if timed:
        raise SimulationError(
            f"output {timed[0]!r} has values for every step of a sequence; accuracy needs one "
            "answer a sample: compare run.predict() with the labels of each step"
        )


def _one_output(values: NDArray | dict[str, NDArray]) -> NDArray:
    if isinstance(values, dict):
        raise SimulationError(f"the network has outputs {list(values)}; accuracy needs one")
    return values


def _hits(values: NDArray, labels: ArrayLike) -> NDArray:
    truth = np.asarray(labels)
    if truth.shape != (len(values),):
        raise SimulationError(
            f"labels must be one whole number a sample, ({len(values)},), got shape {truth.shape}"
        )
    if truth.dtype.kind not in "biuf" or np.any(truth != np.floor(truth)):
        raise SimulationError(f"labels must be whole numbers, got {truth[:3]}")
    classes = values.shape[-1]
    if np.any((truth < 0) | (truth >= classes)):
        raise SimulationError(
            f"labels run from {truth.min():g} to {truth.max():g}; of {classes} output values they "
            f"must lie between 0 and {classes - 1}"
        )
    found: NDArray = values.argmax(axis=-1)
    return found == (truth if found.ndim == 1 else truth[:, None])
