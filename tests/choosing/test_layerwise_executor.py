"""Layers run one after the other send what runs of the whole network send."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from frontends.recurrent import cell_of
from frontends.recurrent import graph_of as sequence_of
from spikewright.choosing import measured_activations
from spikewright.choosing.measured_activations import LayerwiseExecutor
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.network import Ensemble
from spikewright.network.processes import EachStep

GRAPHS = {
    "mlp": models.mlp(seed=3),
    "residual": models.residual(seed=4, pool=True),
}
KINDS = {
    "sends": {"spiking": True},
    "one a step": {"spiking": True, "max_spikes_per_step": 1},
    "takes back": {"spiking": {"relu": sw.BipolarIntegrateAndFire()}, "max_spikes_per_step": 1},
    "synapse": {"spiking": True, "synapse": 0.003},
}
AT = (1, 3, 6)


def moved(ensemble: Ensemble, how: str) -> None:
    """Change a population as a correction of this kind does."""
    rng = np.random.default_rng(ensemble.n_neurons)
    if how == "bias":
        ensemble.bias = ensemble.bias + rng.normal(scale=0.1, size=ensemble.shape)
    elif how == "start":
        ensemble.initial_voltage = rng.uniform(0, 1, ensemble.shape)
    else:
        ensemble.noise = EachStep(rng.normal(scale=0.1, size=(6, *ensemble.shape)))


def told(graph: Graph, x: NDArray, how: str, which: Any, **kind: Any) -> list[NDArray]:
    """Means of every layer before it is changed and after, asked of one way to run."""
    conversion = sw.convert(graph, scale_firing_rates=300.0, **kind)
    sending = which(conversion, {conversion.canonical.inputs[0]: x}, AT, 0.001)
    found = []
    for name, ensemble in conversion.populations().items():
        found.append(sending.means(name))
        moved(ensemble, how)
        found.append(sending.means(name))
    return found


@pytest.mark.parametrize("how", ["bias", "start", "step biases"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_they_send_the_same(monkeypatch, graph, kind, how) -> None:
    """Whatever is changed in a layer, before and afterwards; in parts of few samples, too.

    And where currents are not kept.
    """
    x = models.inputs(GRAPHS[graph], batch=5, seed=6)
    walked = told(GRAPHS[graph], x, how, LayerwiseExecutor, **KINDS[kind])
    again = told(GRAPHS[graph], x, how, measured_activations.PrefixRuns, **KINDS[kind])
    monkeypatch.setattr(measured_activations, "_AT_ONCE", 1)
    by_sample = told(GRAPHS[graph], x, how, LayerwiseExecutor, **KINDS[kind])
    monkeypatch.setattr(measured_activations, "_KEPT_BYTES", 0)
    not_kept = told(GRAPHS[graph], x, how, LayerwiseExecutor, **KINDS[kind])
    for first, second, third, fourth in zip(walked, again, by_sample, not_kept, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(first, third)
        np.testing.assert_array_equal(first, fourth)


def test_what_no_later_layer_reads_is_forgotten() -> None:
    """Spikes of a layer are kept until the last layer behind it has run."""
    graph = _chain(layers=5)
    conversion = sw.convert(graph, scale_firing_rates=300.0, **KINDS["one a step"])
    x = models.inputs(graph, batch=2, seed=6)
    walk = LayerwiseExecutor(conversion, {conversion.canonical.inputs[0]: x}, AT, 0.001)
    held = []
    for name in conversion.populations():
        walk.means(name)
        held.append(len(walk._sent))
    assert held == [1, 2, 2, 2, 2]


def test_which_way_is_taken(monkeypatch) -> None:
    """Layers one by one for several numbers of steps, and in deep networks for one.

    Not where they cannot run one by one, or where their spikes take too much memory.
    """

    def way(graph: Graph, at: Any, **given: Any) -> type:
        made = sw.convert(graph, scale_firing_rates=300.0, spiking=True, **given)
        samples = {n: np.zeros((1, *graph.shapes[n]), np.float32) for n in graph.inputs}
        return type(measured_activations.activation_means(made, samples, at, 0.001))

    shallow, deep = GRAPHS["mlp"], _chain(layers=measured_activations._MANY_LAYERS)
    assert way(shallow, AT) is LayerwiseExecutor
    assert way(shallow, (6,)) is measured_activations.PrefixRuns
    assert way(deep, (6,)) is LayerwiseExecutor
    assert way(sequence_of(cell_of("gru")), AT, sequence_step=3) is measured_activations.PrefixRuns
    monkeypatch.setattr(measured_activations, "_KEPT_BYTES", 500)
    assert way(shallow, AT) is LayerwiseExecutor  # for its spikes there is room
    monkeypatch.setattr(measured_activations, "_KEPT_BYTES", 50)
    assert way(shallow, AT) is measured_activations.PrefixRuns
    two_layers = 2 * 6 * max(AT)  # bytes: of a chain no more are kept at once, however deep it is
    monkeypatch.setattr(measured_activations, "_KEPT_BYTES", two_layers)
    assert way(deep, AT) is LayerwiseExecutor
    monkeypatch.setattr(measured_activations, "_KEPT_BYTES", two_layers - 1)
    assert way(deep, AT) is measured_activations.PrefixRuns


def _chain(layers: int) -> Graph:
    """An input of 6 values, and so many layers of as many neurons."""
    rng = np.random.default_rng(0)
    nodes, last = [GraphNode("x", Input((6,)))], "x"
    for i in range(layers):
        affine = Affine(rng.normal(size=(6, 6)), rng.normal(size=6))
        nodes.append(GraphNode(f"fc{i}", affine, (last,)))
        nodes.append(GraphNode(f"act{i}", Activation("relu"), (f"fc{i}",)))
        last = f"act{i}"
    return Graph(
        (*nodes, GraphNode("out", Affine(rng.normal(size=(3, 6)), None), (last,))), {"y": "out"}
    )
