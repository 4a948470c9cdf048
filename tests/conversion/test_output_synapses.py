"""What an output is read from carries the synapse of its layer, as connections from it do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, GlobalMaxPool, Input

TAU, DT, STEPS = 0.005, 0.001, 30


def _graph(last: str, readout: str | None = None) -> Graph:
    """Weights, neurons, weights, and `last` on the output, perhaps behind an activation on it."""
    rng = np.random.default_rng(2)
    nodes = [
        GraphNode("x", Input((6,))),
        GraphNode("fc1", Affine(rng.normal(size=(9, 6))), ("x",)),
        GraphNode("A", Activation("relu"), ("fc1",)),
        GraphNode("fc2", Affine(rng.normal(size=(4, 9))), ("A",)),
        GraphNode("B", Activation(last), ("fc2",)),
    ]
    if readout is not None:
        nodes.append(GraphNode("end", Activation(readout), ("B",)))
    return Graph(tuple(nodes), {"y": nodes[-1].name})


def _filtered(values: NDArray) -> NDArray:
    """A lowpass of what came before, one step late, `(batch, steps, n)`."""
    keep, found = np.exp(-DT / TAU), np.zeros_like(values)
    for t in range(1, values.shape[1]):
        found[:, t] = keep * found[:, t - 1] + (1 - keep) * values[:, t - 1]
    return found


def _raw(conversion: sw.Conversion, engine: str = "auto") -> NDArray:
    x = np.random.default_rng(5).normal(size=(7, 6)) * 2
    run = conversion.run(x, STEPS, DT, engine=engine, progress=False)
    return np.asarray(run.raw["y"], np.float64)


@pytest.mark.parametrize("engine", sw.engines.available())
@pytest.mark.parametrize(
    ("last", "readout"), [("relu", None), ("relu6", None), ("relu", "softmax")]
)
def test_an_output_with_neurons_passes_their_synapse(
    last: str, readout: str | None, engine: str
) -> None:
    """Spikes stay the same; what is read out is their filter, late by one step, once."""
    graph = _graph(last, readout)
    plain = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    found = plain.replace(synapse={"A": None, "B": TAU})
    spikes = _raw(plain, engine)

    assert (spikes > 0).any(axis=1).sum() > 5
    np.testing.assert_allclose(_raw(found, engine), _filtered(spikes), atol=1e-5)
    assert not np.allclose(_raw(found, engine), spikes)


def test_none_on_the_output_changes_nothing() -> None:
    """A synapse on the layer before acts on the connection alone; without any there is no node."""
    graph = _graph("relu")
    plain = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    before = plain.replace(synapse={"A": TAU, "B": None})

    for conversion in (plain, before):
        assert conversion.outputs["y"] is conversion.layers["B"]


def test_an_output_behind_weights_is_filtered_once() -> None:
    """The connection that reads the neurons has the synapse: nothing is added behind it."""
    conversion = sw.convert(models.mlp(), spiking=True, synapse=TAU)

    assert sum(c.synapse is not None for c in conversion.network.all_connections) == 2
    assert conversion.outputs["output"] is conversion.layers["fc3"]


def test_rate_networks_filter_their_outputs_too() -> None:
    """The synapse is the layer's, whatever its neurons."""
    graph = _graph("relu")
    plain = sw.convert(graph)
    found = plain.replace(synapse={"A": None, "B": TAU})

    np.testing.assert_allclose(_raw(found), _filtered(_raw(plain)), atol=1e-5)


def test_outputs_that_share_neurons_share_the_filter_and_files_keep_it(tmp_path: Path) -> None:
    """One node a layer; a saved conversion reads out the same."""
    graph = _graph("relu")
    both = Graph(graph.nodes, {"y": "B", "z": "B"})
    conversion = sw.convert(both, spiking=True, scale_firing_rates=100.0, synapse=TAU)
    conversion.save(tmp_path / "saved")
    loaded = sw.load(tmp_path / "saved")

    assert conversion.outputs["y"] is conversion.outputs["z"] is not conversion.layers["B"]
    np.testing.assert_array_equal(_raw(conversion), _raw(loaded))


def test_maxima_on_the_output_read_filtered_values() -> None:
    """A function on the output is no population: its inputs were filtered before."""
    graph = _graph("relu")
    nodes = (*graph.nodes, GraphNode("top", GlobalMaxPool((0,)), ("B",)))
    conversion = sw.convert(Graph(nodes, {"y": "top"}), spiking=True, synapse=TAU)

    assert conversion.outputs["y"] is conversion.layers["top"]


def test_the_trace_names_neurons_start_and_synapse_of_every_population() -> None:
    """Whoever reads the trace can build the network: types, scale, start, synapse."""
    starts = {"act1": "zero", "act2": 0.25}
    conversion = sw.convert(
        models.mlp(), spiking=True, initial_voltage=starts, synapse={"act1": TAU, "act2": None}
    )
    text = {e.layer: e.text for e in conversion.trace if e.stage == "lower"}

    assert "12 IntegrateAndFire neurons" in text["act1"]
    assert "start zero, Lowpass(tau=0.005)" in text["act1"]
    assert "start 0.25, no synapse" in text["act2"]
    rates = {e.layer: e.text for e in conversion.replace(spiking=False).trace if e.stage == "lower"}
    assert "RectifiedLinear neurons, Lowpass(tau=0.005)" in rates["act1"]


def test_a_filter_on_an_output_costs_no_weights() -> None:
    """Operations are of weights: the filter in front of a reader has none."""
    graph = _graph("relu")
    x = np.random.default_rng(5).normal(size=(7, 6)) * 2
    plain = sw.convert(graph, spiking=True, scale_firing_rates=100.0)
    found = plain.replace(synapse={"A": None, "B": TAU})
    counts = [
        {r.name: r.value for r in c.evaluate(x, steps=8, progress=False).records if "op" in r.name}
        for c in (plain, found)
    ]

    assert counts[0] and counts[0] == counts[1]
