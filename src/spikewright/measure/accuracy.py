"""Accuracy over time: the share of samples whose largest output is their label."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from spikewright.errors import SimulationError
from spikewright.measure.intervals import wilson_interval
from spikewright.measure.readout import EveryStep, Readout
from spikewright.measure.run import Run
from spikewright.measure.truth import Output, labels_of
from spikewright.records import Record


def accuracy(run: Run, labels: ArrayLike, readout: Readout = "mean") -> Record:
    """Accuracy of a run with one output, with its 95 % interval.

    `labels` are class labels, `(samples,)`, as `Conversion.evaluate` takes them. Raises
    `SimulationError` where they and samples, or the outputs, do not fit.
    """
    output = _output(run)
    hits = _hits(output, run.predict(readout), labels)
    return _record(hits, {"readout": readout, "steps": run.steps, "dt": run.dt})


def accuracy_over_time(run: Run, labels: ArrayLike, readout: EveryStep = "mean") -> list[Record]:
    """Accuracy had the run ended at each step, one record a step; raises as `accuracy` does."""
    output = _output(run)
    hits = _hits(output, run.predict_at_every_step(readout), labels)
    return [
        _record(hits[:, t], {"readout": readout, "steps": t + 1, "dt": run.dt})
        for t in range(run.steps)
    ]


def _record(hits: NDArray, how: dict) -> Record:
    n = len(hits)
    interval = wilson_interval(float(hits.sum()), n)
    return Record("accuracy", float(hits.mean()), "fraction", n, interval, how)


def _output(run: Run) -> Output:
    """The one output; raises `SimulationError` where there are several, or a sequence of it."""
    if len(run.raw) != 1:
        raise SimulationError(f"the network has outputs {list(run.raw)}; accuracy needs one")
    timed = [name for name, time in run.time_axes.items() if time is not None]
    if timed:
        raise SimulationError(
            f"output {timed[0]!r} has values for every step of a sequence; accuracy needs one "
            "answer a sample: compare run.predict() with the labels of each step"
        )
    ((name, values),) = run.raw.items()
    return Output(name, values.shape[2:], run.readouts.get(name))


def _hits(output: Output, values: Any, labels: ArrayLike) -> NDArray:
    """Right answers (booleans) of values `(samples, *shape)` or `(samples, steps, *shape)`."""
    truth = labels_of(labels, output, len(values))
    found = output.decided(values)
    return found == (truth if found.ndim == 1 else truth[:, None])
