"""Biases and starts that were corrected after weights were rounded, as whole numbers again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spikewright.network import Ensemble
from spikewright.network.neurons import FixedPointIntegrateAndFire
from spikewright.network.processes import EachStep
from spikewright.quantising.fixed_point import whole_biases, whole_start
from spikewright.quantising.settings import Quantised


def round_biases(populations: Iterable[Ensemble], settings: Quantised) -> None:
    """Round biases, and those of each step, to whole numbers of the bits that there are.

    Of the biases of each step the sums are rounded: so the charge that a step has brought is never
    a whole number away from what was asked for, but where bits bound it.
    """
    for ensemble in populations:
        kind = ensemble.neuron_type
        if not isinstance(kind, FixedPointIntegrateAndFire):
            continue
        unit = 1.0 / (ensemble.rate_scale * settings.dt * kind.threshold)
        always = whole_biases(np.asarray(ensemble.bias / unit), settings)
        ensemble.bias = always * unit
        if ensemble.step_biases is not None:
            sums = np.rint(np.cumsum(ensemble.step_biases, axis=0) / unit)
            each = np.diff(sums, axis=0, prepend=0.0)
            ensemble.noise = EachStep((whole_biases(always + each, settings) - always) * unit)


def round_starts(populations: Iterable[Ensemble]) -> None:
    """Round initial voltages to whole numbers."""
    for ensemble in populations:
        kind = ensemble.neuron_type
        if isinstance(kind, FixedPointIntegrateAndFire):
            ensemble.initial_voltage = whole_start(ensemble.initial_voltage, kind.threshold)
