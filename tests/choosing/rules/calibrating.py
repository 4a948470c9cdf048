"""Helpers of the calibration tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import models
import spikewright as sw
from spikewright.choosing.statistics.collect import collect
from spikewright.choosing.statistics.statistics import Statistics
from spikewright.graph import Graph

MLP = models.mlp(seed=3)
RESIDUAL = models.residual(seed=4, pool=True)

EXAMPLES: Mapping[str, list[sw.ScaleRule]] = {
    "percentile": [sw.Percentile(), sw.Percentile(99.0, per="channel")],
    "target-rate": [sw.TargetRate(250.0), sw.TargetRate(100.0, 95.0, per="channel")],
    "minimum-error": [sw.MinimumError(8), sw.MinimumError(4, per="layer", spikes_per_step=4)],
    "local-threshold-balancing": [sw.LocalThresholdBalancing()],
    "threshold-iteration": [sw.ThresholdIteration(8), sw.ThresholdIteration(4, per="layer")],
    "energy-budget": [
        sw.EnergyBudget(8, spikes=100.0),
        sw.EnergyBudget(8, joules=1e-9),
        sw.EnergyBudget(8, spikes=100.0, per="channel"),
        sw.EnergyBudget(8, spikes=100.0, like=sw.Percentile()),
    ],
    "constant-scale": [sw.ConstantScale(), sw.ConstantScale(50.0)],
    "data-free-calibration": [
        sw.DataFreeCalibration(-2, 2),
        sw.DataFreeCalibration(0, 1, sw.MinimumError(8)),
    ],
}
ALL = [rule for name, rules in EXAMPLES.items() if name != "constant-scale" for rule in rules]
"""Those that look at values: a number that is given does not follow them."""


def population_names(graph: Graph) -> list[str]:
    """The activations of a small graph, all of which are neurons."""
    return [node.name for node in graph if node.layer.kind == "Activation"]


def statistics_of(graph: Graph, x: object) -> Statistics:
    """Statistics of all activations."""
    return collect(graph, population_names(graph), x, progress=False)


def normals(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Seeded normal numbers over several orders of magnitude, with zeros among them."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 3, shape)
    return np.where(rng.random(shape) < 0.2, 0.0, values).astype(np.float32)
