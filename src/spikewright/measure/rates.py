"""The firing rate of every neuron, over all samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.evaluation import Evaluation
from spikewright.measure.run import Run


def neuron_rates(measured: Run | Evaluation) -> dict[str, NDArray]:
    """Firing rates in Hz of the neurons of spiking layers, `{layer: (*shape)}`.

    Spikes of either sign over samples and seconds; of an evaluation those of all its steps. Empty
    for an evaluation that was loaded from a file, which holds its records alone.
    """
    if isinstance(measured, Run):
        spiking = {name: p for name, p in measured.populations.items() if p.spiking}
        seconds = measured.steps * measured.dt
        return {name: p.totals.mean(axis=0) / seconds for name, p in spiking.items()}
    settings = measured.settings
    exposure = settings["samples"] * settings["steps"] * settings["dt"]
    return {name: np.asarray(total[-1]) / exposure for name, total in measured.totals.items()}
