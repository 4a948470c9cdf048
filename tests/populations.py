"""Helpers of the simulator's tests."""

from __future__ import annotations

from typing import Any

import spikewright as sw


def simulator(network: sw.Network, **options: Any) -> sw.Simulator:
    """On the reference engine, in float64 unless told otherwise."""
    return sw.Simulator(network, **{"engine": "reference", "precision": "float64", **options})


def cells(n: Any = 1, **options: Any) -> sw.Ensemble:
    """Integrate-and-fire neurons of gain 1 and bias 0."""
    options = {"neuron_type": sw.IntegrateAndFire(), "gain": 1.0, "bias": 0.0, **options}
    return sw.Ensemble(n, **options)
