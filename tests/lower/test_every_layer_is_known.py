"""Budgets, corrections, diagnoses and trainings know every layer: numbers, and not a warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from layer_graphs import graph_of, kinds

import spikewright as sw
from slowly import in_turn
from spikewright.errors import ConversionWarning
from spikewright.graph import Graph
from spikewright.graph.integer_inputs import random_inputs
from spikewright.lower.node_functions import is_function
from spikewright.training.gradients.spiking import spike_counts
from spikewright.training.gradients.straight_through import StraightThroughNetwork
from spikewright.training.quantized_layers import quantized_layers_of, trained_graph

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
        warnings.simplefilter("ignore", ConversionWarning)  # of what few steps lose
        yield


def of_node(case: Any) -> bool:
    """Whether a node computes the layer, and neither weights nor neurons."""
    return is_function(case.layer)


def given(graph: Graph, samples: int = 24) -> dict[str, np.ndarray]:
    """A few samples, with values of either sign."""
    return random_inputs(graph, 0, samples)


@pytest.mark.parametrize(("case", "look"), in_turn(kinds(), LOOKS))
def test_choices_that_look_at_data_know_every_layer(case: Any, look: str) -> None:
    """Behind neurons, whose mean may be 0 where a function has no value, and of several inputs."""
    graph = graph_of(case, behind_spikes=True)
    x = given(graph)
    (argument,) = LOOKS[look]
    wanted = {"scale_firing_rates": 100.0, **LOOKS[look]}
    found = sw.convert(graph, spiking=True, calibration=x, **wanted).resolved[argument]

    assert found and all(np.isfinite(np.asarray(value)).all() for value in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("case", [*filter(of_node, kinds())], ids=lambda case: case.id)
def test_a_diagnosis_tells_numbers_of_every_function(case: Any) -> None:
    """The table holds no NaN, also for functions without a value where no spike has come."""
    graph = graph_of(case, behind_spikes=True)
    found = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    told = str(found.diagnose(given(graph, 6), steps=STEPS, progress=False))

    assert "nan" not in told and "inf %" not in told


@pytest.mark.parametrize("case", kinds(), ids=lambda case: case.id)
def test_a_training_counts_the_spikes_of_every_layer(case: Any) -> None:
    """Those of the reference engine, also where a function has no value before a spike has come.

    A sum that is a whole number of spikes may be rounded otherwise: of one value in a thousand.
    """
    graph, steps = graph_of(case, behind_spikes=True), 7
    found, x = sw.convert(graph, spiking=True, scale_firing_rates=3000.0), given(graph)
    run = found.run(x, steps=steps, engine="reference", progress=False)
    sites = quantized_layers_of(found, 0.001)
    network = StraightThroughNetwork(trained_graph(found), sites, steps, torch.float64)
    inputs = {name: torch.from_numpy(np.asarray(value, np.float64)) for name, value in x.items()}
    made = spike_counts(network, inputs)
    values, _ = network(inputs, made.net)

    apart = [made.net[n].numpy() != p.net for n, p in run.populations.items()]
    assert np.mean([part.mean() for part in apart]) <= 1e-3
    if not any(part.any() for part in apart):
        outputs = values[graph.outputs["y"]].detach().numpy()
        np.testing.assert_allclose(outputs, run.predict("mean"), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "what"), in_turn(kinds(), ["train", "reconstruct"]))
def test_every_layer_is_trained_through(case: Any, what: str) -> None:
    """Losses are numbers, and so is what the trained network answers."""
    graph = graph_of(case, behind_spikes=True)
    found, x = sw.convert(graph, spiking=True, scale_firing_rates=100.0), given(graph)
    how: dict[str, Any] = {"steps": STEPS, "epochs": 2, "batch_size": 8, "progress": False}
    if what == "train":
        trained = found.train(x, **how)
        assert np.isfinite([epoch.loss for epoch in trained.history]).all()
        made = trained.conversion
    else:
        made = found.reconstruct(x, **how)
    assert np.isfinite(made.run(x, steps=STEPS, progress=False).output).all()
