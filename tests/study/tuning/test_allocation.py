"""Rules spend a budget where it helps most; sensitivities are those of the outputs."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright.choosing import collect
from spikewright.choosing.rules.context import NeuronConfig, RuleContext
from spikewright.choosing.statistics.sensitivity import sensitivities
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.study.search.parameters import Allocation, searched_rules

STEPS = 4
UNCAPPED, CAPPED = NeuronConfig(), NeuronConfig(cap=1)


def network(seed: int = 0) -> Graph:
    """Six inputs, eight and five rectifiers, three outputs."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(8, 6)), rng.normal(size=(5, 8))
    out = rng.normal(size=(3, 5)) * np.array([1.0, 10.0, 0.1, 1.0, 0.0])
    return Graph(
        (
            GraphNode("x", Input((6,))),
            GraphNode("a", Affine(first, rng.normal(size=8)), ("x",)),
            GraphNode("relu_a", Activation("relu"), ("a",)),
            GraphNode("b", Affine(second, np.zeros(5)), ("relu_a",)),
            GraphNode("relu_b", Activation("relu"), ("b",)),
            GraphNode("y", Affine(out, np.zeros(3)), ("relu_b",)),
        ),
        {"y": "y"},
    )


LAYERS = ("relu_a", "relu_b")
X = np.random.default_rng(1).normal(size=(200, 6))


@pytest.fixture(scope="module")
def allocation() -> Allocation:
    """Of the network above."""
    graph = network()
    weights = sensitivities(graph, LAYERS, {"x": X}, ("y",), "channel", 1e9)
    found = collect(graph, LAYERS, X, progress=False)
    case = RuleContext(graph, graph, dict.fromkeys(LAYERS, UNCAPPED), ("y",), found)
    return Allocation(case, weights, searched_rules())


def test_sensitivities_of_a_last_layer_are_its_weights() -> None:
    """Behind the last rectifiers all is linear: squared weights, less their mean over outputs."""
    graph = network()
    weights = graph["y"].layer.arrays()["weight"]
    centred = weights - weights.mean(axis=0)

    found = sensitivities(graph, LAYERS, {"x": X}, ("y",), "channel")["relu_b"]

    assert found == pytest.approx(np.square(centred).sum(axis=0), rel=1e-6)
    assert found[4] == 0.0


def test_sensitivities_are_reproducible_and_coarser_for_less_work() -> None:
    """The same draws every time; with a small budget one number stands for a layer."""
    graph, x = network(), {"x": X}
    first, again = (sensitivities(graph, LAYERS, x, ("y",), "channel") for _ in range(2))
    coarse = sensitivities(graph, LAYERS, x, ("y",), "channel", 1.0)

    for name in LAYERS:
        assert np.array_equal(first[name], again[name])
        assert len(np.unique(coarse[name])) == 1
        assert len(np.unique(first[name])) > 1


@pytest.mark.parametrize("rule", searched_rules())
@pytest.mark.parametrize("spikes", [5.0, 30.0, 200.0])
def test_the_budget_is_spent(allocation: Allocation, rule: str, spikes: float) -> None:
    """On the data that was collected, as many spikes are sent as were asked for."""
    found = allocation.thresholds(rule, spikes, dict.fromkeys(LAYERS, 0.0), STEPS, UNCAPPED)

    assert _spikes(found) == pytest.approx(spikes, rel=0.15)


def _spikes(thresholds: dict[str, np.ndarray]) -> float:
    """Spikes a sample if every value arrives at once."""
    graph = network()
    from spikewright.graph import evaluate_all

    values = evaluate_all(graph, {"x": X})
    total = 0.0
    for name, theta in thresholds.items():
        total += np.floor(values[name] * STEPS / theta + 0.5).sum() / len(X)
    return total


def test_no_other_split_has_a_smaller_expected_error(allocation: Allocation) -> None:
    """The law of the first rule: moving any one threshold costs more than it saves, or spikes."""
    offsets = dict.fromkeys(LAYERS, 0.0)
    found = allocation.thresholds("sensitivity", 30.0, offsets, STEPS, UNCAPPED)
    other = allocation.thresholds("percentile", 30.0, offsets, STEPS, UNCAPPED)

    assert _error(allocation, found) < _error(allocation, other)


def _error(allocation: Allocation, thresholds: dict[str, np.ndarray]) -> float:
    """Sum of weight times squared error over all channels."""
    total = 0.0
    for name, theta in thresholds.items():
        values = allocation.layers[name].magnitudes
        unit = (theta / STEPS)[values.channel]
        sent = np.floor(values.means / unit + 0.5) * unit
        total += float(allocation._weights[name] @ values.squared_error(sent))
    return total


@pytest.mark.parametrize("rule", searched_rules())
def test_offsets_halve_thresholds(allocation: Allocation, rule: str) -> None:
    """A layer with a larger share has smaller thresholds, and the other pays for it."""
    even = allocation.thresholds(rule, 30.0, dict.fromkeys(LAYERS, 0.0), STEPS, UNCAPPED)
    more = allocation.thresholds(rule, 30.0, {"relu_a": 1.0, "relu_b": 0.0}, STEPS, UNCAPPED)

    assert np.median(more["relu_a"] / even["relu_a"]) < 1
    assert np.median(more["relu_b"] / even["relu_b"]) >= 1


def test_a_cap_leaves_room_for_large_values(allocation: Allocation) -> None:
    """At one spike a step thresholds do not fall far below the largest values."""
    offsets = dict.fromkeys(LAYERS, 0.0)
    capped = allocation.thresholds("sensitivity", 1000.0, offsets, STEPS, CAPPED)
    free = allocation.thresholds("sensitivity", 1000.0, offsets, STEPS, UNCAPPED)

    for name in LAYERS:
        top = allocation.layers[name].magnitudes.highest.max()
        assert capped[name].max() > 0.3 * top
        assert free[name].min() < 0.1 * top


def test_channels_that_do_not_matter_stay_silent(allocation: Allocation) -> None:
    """The last channel has no weight behind it: no spike is spent on it."""
    found = allocation.thresholds("sensitivity", 60.0, dict.fromkeys(LAYERS, 0.0), STEPS, UNCAPPED)

    layer = allocation.layers["relu_b"]
    largest = float(layer.magnitudes.highest[4])
    assert largest * STEPS / found["relu_b"][4] + 0.5 < 1
