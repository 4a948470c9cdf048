"""Runs of small networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import spikewright as sw


def run(net: sw.Network, probe: sw.Probe, steps: int, **options: Any) -> NDArray:
    """What a probe recorded over a run."""
    with sw.Simulator(net, **options) as sim:
        sim.run_steps(steps)
    values: NDArray = sim.data[probe]
    return values


def rms(error: NDArray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(error))))


def directions(n: int, d: int, seed: int) -> NDArray:
    """`n` random vectors of length 1."""
    vectors = np.random.default_rng(seed).normal(size=(n, d))
    scaled: NDArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled
