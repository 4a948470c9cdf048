"""Helpers of the calibration tests."""

from __future__ import annotations

import numpy as np

import models
from spikewright.calibrate.collect import collect
from spikewright.calibrate.statistics import Statistics
from spikewright.graph import Graph

MLP = models.mlp(seed=3)
RESIDUAL = models.residual(seed=4, pool=True)


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
