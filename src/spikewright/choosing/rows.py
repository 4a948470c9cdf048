"""Values of a graph and its network row by row; without sequences all is one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.collect import Batch
from spikewright.graph import evaluate_all
from spikewright.lower.choices import STEP
from spikewright.measure import Run
from spikewright.running.protocols import ConversionLike
from spikewright.running.run import run_of
from spikewright.running.runner import Runner

PassedOn = Callable[[str, NDArray], NDArray]


def rows_of_graph(
    conversion: ConversionLike, samples: Batch, passed_on: PassedOn | None = None
) -> list[Mapping[str, NDArray]]:
    """The values of nodes in every row, `(batch, *shape)`, each of what the row before left.

    `passed_on(name, value)` is what readers get. What only leads to the end is in the last row.
    """
    graph, stepping = conversion.canonical, conversion.lowered.stepping
    if stepping is None:
        return [evaluate_all(graph, samples, passed_on)]
    return [values for _, values in stepping.evaluate(graph, samples, passed_on)]


class RowsOfRun:
    """Outputs and layers of a run of signed digits, row by row."""

    def __init__(self, conversion: ConversionLike, samples: Batch) -> None:
        stepping = conversion.lowered.stepping
        layers = () if stepping is None else tuple(conversion.populations())
        runner = Runner(conversion.lowered)
        self._run = run_of(runner, samples, None, STEP, 0, record=layers)

    def outputs(self) -> dict[str, NDArray]:
        """Values before the activations on them, `(batch, rows, *out)`."""
        return {name: self._complete(value) for name, value in self._run.raw.items()}

    def layers(self) -> dict[str, NDArray]:
        """The values of populations, `(batch, rows, *shape)`; those of padding are NaN."""
        run: Run = self._run
        if run.sequence_step is None:
            means = run.layer_means()
            for name, population in run.populations.items():
                if population.real is not None:
                    means[name] = np.where(population.real, means[name], np.nan)
            return {name: value[:, None] for name, value in means.items()}
        return {name: self._complete(value) for name, value in run.recorded.items()}

    def _complete(self, values: NDArray) -> NDArray:
        steps = self._run.sequence_step or self._run.steps
        rows: NDArray = values.reshape(len(values), -1, steps, *values.shape[2:])
        return rows.mean(axis=2, dtype="float64")
