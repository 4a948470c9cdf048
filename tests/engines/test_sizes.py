"""Steps, scales, thresholds and heights that no engine computes with: refused before a run."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from slowly import in_turn, of_each_type
from spikewright import engines
from spikewright.engines.settings import LEAST, MOST
from spikewright.errors import BuildError, ConversionWarning, SimulationError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.testing.modelling import neuron_type_examples

WEIGHTS = np.random.default_rng(0).normal(size=(4, 4)) / 2
GRAPH = Graph(
    (
        GraphNode("x", Input((4,))),
        GraphNode("into", Affine(WEIGHTS), ("x",)),
        GraphNode("relu", Activation("relu", {}), ("into",)),
        GraphNode("end", Affine(WEIGHTS), ("relu",)),
    ),
    {"y": "end"},
)
X = np.random.default_rng(1).normal(size=(3, 4))
NEURONS = {e.id: e.neuron_type for e in of_each_type(neuron_type_examples())}
AMPLITUDE = {"spiking": {"relu": sw.IntegrateAndFire(amplitude=1e300)}}

# Arguments of `convert` and of `run`, and what the message says of them.
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "scale too small": ({"scale_firing_rates": 1e-310}, {}, "firing-rate scale is 1e-310"),
    "scale small": ({"scale_firing_rates": 1e-305}, {}, "firing-rate scale is 1e-305"),
    "scale too large": ({"scale_firing_rates": 1e300}, {}, "firing-rate scale is 1e+300"),
    "of a rate network": (
        {"scale_firing_rates": 1e-310, "spiking": False}, {}, "firing-rate scale is 1e-310"
    ),
    "dt too small": ({}, {"dt": 1e-310}, "dt must be from 1e-36 to 1e+36 s, got 1e-310"),
    "dt too large": ({}, {"dt": 1e300}, "dt must be from 1e-36 to 1e+36 s, got 1e+300"),
    "the product": (
        {"scale_firing_rates": 1e-20}, {"dt": 1e-20}, "threshold, 1 / (scale dt), is 1e+40"
    ),
    "the amplitude": (AMPLITUDE, {}, "amplitude is 1e+300"),
    "the height": (
        {"scale_firing_rates": 1e-19, "spiking": {"relu": sw.IntegrateAndFire(1e19)}}, {},
        "amplitude / scale is 1e+38",
    ),
    "the start": ({"initial_voltage": -1e300}, {}, "initial voltage times the threshold is 1e+303"),
}  # fmt: skip


def _converted(choices: dict[str, Any]) -> sw.Conversion:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return sw.convert(GRAPH, **{"spiking": True, **choices})


@pytest.mark.parametrize(("case", "engine"), in_turn(REFUSED, engines.available()))
def test_sizes_outside_the_range_are_refused_alike(case: str, engine: str) -> None:
    """Every engine says the same, with name, value and range: none runs, or raises its own."""
    choices, settings, words = REFUSED[case]
    conversion = _converted(choices)
    for precision in ("float32", "float64"):
        with pytest.raises((BuildError, SimulationError), match=re.escape(words)) as found:
            conversion.run(X, 4, engine=engine, precision=precision, progress=False, **settings)  # type: ignore[arg-type]
        assert "1e-36 to 1e+36" in str(found.value)


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize(("threshold", "scale"), [(LEAST * 100, 0.1), (MOST / 100, 10.0)])
def test_sizes_within_the_range_run_on_every_engine(
    scale: float, threshold: float, engine: str
) -> None:
    """At both ends of it, with the reference's values, which are finite; input is as large."""
    conversion = _converted({"scale_firing_rates": scale})
    dt = 1.0 / (threshold * scale)
    run = {
        name: conversion.run(X * threshold, 4, dt, engine=name, progress=False).predict()
        for name in (engine, "reference")
    }

    assert np.all(np.isfinite(run[engine]))
    assert np.abs(run["reference"]).max() > threshold / 10
    np.testing.assert_allclose(run[engine], run["reference"], rtol=1e-5)


@pytest.mark.parametrize("name", NEURONS)
def test_every_neuron_type_is_checked(name: str) -> None:
    """Law of the registry: in a network made by hand too, whatever its equation."""
    kind = NEURONS[name]
    with sw.Network() as network:
        cells = sw.Ensemble((3,), None, neuron_type=kind, gain=1.0, bias=0.5)
        sw.Probe(cells.neurons)
    for dt in (1e-310, 1e-40, 1e40):
        with pytest.raises(BuildError, match="dt must be from 1e-36 to"):
            sw.Simulator(network, dt=dt, progress=False)
    if kind.scaling != "refused":
        cells.rate_scale = 1e-310
        with pytest.raises(BuildError, match="firing-rate scale is 1e-310"):
            sw.Simulator(network, progress=False)
