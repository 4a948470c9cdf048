"""The quantised twin: rounded activations and weights, and the spiking layer that equals it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.graph import Graph, GraphNode, evaluate, evaluate_all
from spikewright.graph.layers import ConvolutionTranspose, Input
from spikewright.measure.twin import quantise, quantised_twin, rounded_weights


def test_values_are_rounded_to_the_nearest_level() -> None:
    """2 bits below 3: levels 0, 1, 2, 3; more is clipped, and signs are kept."""
    value = np.array([-9.0, -1.6, -0.4, 0.4, 0.6, 1.4, 2.6, 3.0, 5.0])
    np.testing.assert_allclose(quantise(value, np.array(3.0), 2), [-3, -2, 0, 0, 1, 1, 3, 3, 3])


@given(st.integers(1, 12), st.floats(0.1, 10.0), st.integers(0, 2**31))
def test_the_error_of_rounding_is_half_a_level(bits: int, threshold: float, seed: int) -> None:
    """Within the threshold, errors are at most half of `threshold / (2^bits - 1)`; again: none."""
    value = np.random.default_rng(seed).uniform(0, threshold, 50)
    found = quantise(value, np.array(threshold), bits)
    assert np.abs(found - value).max() <= threshold / (2**bits - 1) / 2 + 1e-12
    np.testing.assert_allclose(quantise(found, np.array(threshold), bits), found, atol=1e-12)


@pytest.mark.parametrize("graph", [models.mlp(), models.residual(pool=True)])
def test_many_bits_are_the_source(graph: Graph) -> None:
    """With 24 bits and thresholds above all values the twin computes what the source does."""
    x = {"x": np.random.default_rng(0).normal(size=(4, *graph.shapes["x"]))}
    values = evaluate_all(graph, x)
    thresholds = {n: float(v.max()) for n, v in values.items() if n.startswith(("act", "relu"))}
    twin = quantised_twin(graph, thresholds, 24, weight_bits=24)
    expected = evaluate(graph, x)
    for name, value in twin.evaluate(x).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-4)


def test_a_spiking_layer_is_its_twin() -> None:
    """One spike a step, from half a spike: after 7 steps a layer's mean has the twin's 3 bits."""
    graph = models.mlp(3)
    x = {"x": np.random.default_rng(1).normal(size=(20, 6))}
    threshold = 1.5
    options = {"act1": 1 / threshold, "act2": 1e4}
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=options, max_spikes_per_step=1)
    run = conversion.run(x, steps=7, dt=1.0, progress=False)
    mean = run.populations["act1"].totals * threshold / 7

    source = evaluate_all(graph, x)["act1"]
    twin = quantise(source, np.array(threshold), 3)
    level = threshold / 7
    halves = np.abs(np.abs(source / level - np.floor(source / level)) - 0.5) < 1e-3
    np.testing.assert_allclose(mean[~halves], twin[~halves], atol=1e-9)


def test_weights_are_rounded_channel_by_channel() -> None:
    """The largest weight of each output channel stays; others are multiples of 1/127 of it."""
    graph = models.residual()
    for node in rounded_weights(graph, 8):
        weight = getattr(node.layer, "weight", None)
        if weight is None:
            continue
        before = graph[node.name].layer.weight  # type: ignore[attr-defined]
        flat, old = weight.reshape(len(weight), -1), before.reshape(len(before), -1)
        largest = np.abs(old).max(axis=1, keepdims=True)
        np.testing.assert_allclose(np.abs(flat).max(axis=1, keepdims=True), largest)
        whole = flat / largest * 127
        np.testing.assert_allclose(whole, np.rint(whole), atol=1e-9)
        assert np.abs(flat - old).max() <= largest.max() / 254 + 1e-12


def test_transposed_convolutions_have_their_channels_elsewhere() -> None:
    """Output channels lie on the second axis of their weights; a channel of zeros stays zero."""
    weight = np.zeros((2, 3, 2, 2))
    weight[:, 1], weight[:, 2] = 1.0, 100.0
    layer = ConvolutionTranspose(weight, None, (1, 1), ((0, 0), (0, 0)), (0, 0), (1, 1))
    nodes = (GraphNode("x", Input((2, 3, 3))), GraphNode("up", layer, ("x",)))
    found = rounded_weights(Graph(nodes, {"y": "up"}), 4)["up"].layer
    np.testing.assert_allclose(found.weight, weight)  # type: ignore[attr-defined]


def test_a_threshold_a_channel() -> None:
    """Thresholds broadcast to the layer's shape, and are refused where they do not."""
    graph = models.residual()
    x = {"x": np.random.default_rng(0).normal(size=(2, 2, 8, 8))}
    thresholds = {"relu1": np.linspace(0.5, 1.0, 6).reshape(6, 1, 1)}
    twin = quantised_twin(graph, thresholds, 2, weight_bits=None)
    inner = evaluate_all(twin.graph, x, twin._rounded)["relu1"]
    for channel, values in enumerate(np.moveaxis(inner, 1, 0)):
        unit = thresholds["relu1"].ravel()[channel] / 3
        assert set(np.rint(np.unique(values) / unit)) <= {0, 1, 2, 3}


def test_impossible_twins_are_refused() -> None:
    """Unknown layers, thresholds of another shape or not above 0, and no bits are errors."""
    graph = models.mlp()
    for thresholds, bits, weight_bits, word in (
        ({"act9": 1.0}, 3, 8, "'act9'"),
        ({"act1": np.ones(5)}, 3, 8, "does not broadcast"),
        ({"act1": 0.0}, 3, 8, "above 0"),
        ({"act1": np.nan}, 3, 8, "above 0"),
        ({"act1": 1.0}, 0, 8, "bits must be"),
        ({"act1": 1.0}, 3, 1, "weight_bits must be"),
    ):
        with pytest.raises(SimulationError, match=word):
            quantised_twin(graph, thresholds, bits, weight_bits)  # type: ignore[arg-type]
