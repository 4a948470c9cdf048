"""Budgets, corrections and diagnoses know every layer: numbers, and not a warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from layer_graphs import cases, graph_of

import spikewright as sw
from spikewright.graph import Graph
from spikewright.graph.lookups import random_inputs

STEPS, SPIKES = 16, 2000.0
LOOKS: dict[str, dict[str, Any]] = {
    "budget": {"scale_firing_rates": sw.EnergyBudget(STEPS, spikes=SPIKES)},
    "voltages": {"initial_voltage": sw.VoltageCorrection(STEPS)},
    "biases": {"bias_correction": sw.BiasCorrection(STEPS)},
    "steps": {"bias_correction": sw.StepCorrection(STEPS)},
}


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def given(graph: Graph) -> dict[str, np.ndarray]:
    """A few samples, with values of either sign."""
    return random_inputs(graph, 0, 24)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_choices_that_look_at_data_know_every_layer(case: Any, look: str) -> None:
    """Behind neurons, whose mean may be 0 where a function has no value, and of several inputs."""
    graph = graph_of(case, behind_spikes=True)
    x = given(graph)
    (argument,) = LOOKS[look]
    wanted = {"scale_firing_rates": 100.0, **LOOKS[look]}
    found = sw.convert(graph, spiking=True, calibration=x, **wanted).resolved[argument]

    assert found and all(np.isfinite(np.asarray(value)).all() for value in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_a_diagnosis_tells_numbers_of_every_layer(case: Any) -> None:
    """What each part of the gap is, also at a pole, where the network sends nothing."""
    graph = graph_of(case, behind_spikes=True)
    found = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    told = str(found.diagnose(given(graph), steps=STEPS, progress=False))

    assert "nan" not in told and "inf %" not in told
