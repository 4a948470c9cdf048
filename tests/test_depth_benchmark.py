"""The benchmark of depth: at what rate, and what it says of its limits."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import depth

import spikewright as sw
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input


def _network() -> Graph:
    rng = np.random.default_rng(0)
    return Graph(
        (
            GraphNode("x", Input((20,))),
            GraphNode("dense", Affine(rng.normal(size=(50, 20))), ("x",), "dense"),
            GraphNode("relu", Activation("relu"), ("dense",), "relu"),
            GraphNode("end", Affine(rng.normal(size=(5, 50))), ("relu",), "end"),
        ),
        {"y": "end"},
    )


def test_the_scale_makes_neurons_spike_at_the_wanted_rate() -> None:
    """One step in ten on average, within a spike of each neuron over the run."""
    conversion = sw.convert(_network(), spiking=True)
    x = np.random.default_rng(1).normal(size=(8, 20))
    scale = depth.scale_for(conversion, x, depth.RATE)
    conversion.populations()["relu"].rate_scale = scale
    run = conversion.run(x, 1000, dt=1.0, engine="reference", progress=False)

    assert run.spike_counts()["relu"].sum() / (8 * 50 * 1000) == pytest.approx(0.1, abs=1e-3)


def test_the_slope_is_that_of_a_power_law() -> None:
    """Of the last three points, whatever the first do."""
    at = [16, 32, 64, 128]

    assert depth.slope(at, [9.0, *(3.0 / n for n in at[1:])]) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("errors", "says"),
    [((0.05, 0.024), "holds"), ((0.05, 0.04), "FAILS"), ((0.08, 0.01), "FAILS")],
)
def test_limits_are_for_both_lengths(errors: tuple[float, float], says: str) -> None:
    """Seven percent at 1024 steps and half of that at 2048."""
    found = {"at": [1024, 2048], "errors": errors}

    assert depth.verdict(found, 0.07).endswith(says)
    assert depth.verdict(found, None) == ""
    assert depth.verdict({"at": [1024], "errors": errors[:1]}, 0.07).count("limit") == 1
