"""Operations: hand counts, laws, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from counting import counter_of, residual_graph, totals_of

import models
import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.graph import Graph, Node
from spikewright.graph.layers import Activation, Affine, Input, Multiply
from spikewright.measure.operations import Counter, source_operations
from spikewright.records import select


def test_hand_count_of_convolutions_sum_pool_and_matrix() -> None:
    """The numbers below are counted on paper, connection by connection."""
    conversion = sw.convert(residual_graph(), spiking=True)
    counter = counter_of(conversion)

    # conv1 (3 x 3, stride 2, padding 1, 4 -> 2): the windows see 2 and 3 rows, and as many columns:
    # (2 + 3)^2 = 25 values, each for 2 filters.
    # conv2 (3 x 3, padding 1, 2 x 2): every neuron lies in all 4 windows, for 2 filters: 8 weights.
    # The sum adds one. The corner tap of channel 0 reaches back by one row and one column: it takes
    # the neuron at (0, 0) to the window at (1, 1), and is zero.
    relu1 = np.full((2, 2, 2), 9)
    relu1[0, 0, 0] = 8
    # A spike of relu2 goes through the pool and meets 3 weights, one of which is zero.
    relu2 = np.full((2, 2, 2), 2)
    fan_out = counter.fan_out()
    np.testing.assert_array_equal(fan_out["relu1"], relu1)
    np.testing.assert_array_equal(fan_out["relu2"], relu2)
    assert fan_out["x"].sum() == 2 * 25

    totals = {
        "relu1": np.arange(8).reshape(
            1, 2, 2, 2
        ),  # 0 + 1 + ... + 7 = 28, none of which at (0, 0, 0)
        "relu2": np.full((1, 2, 2, 2), 3),
    }
    totals["relu1"][0, 0, 0, 0] = 5
    image = np.ones((1, 1, 4, 4))
    image[0, 0, 0, 0] = 0.0  # in one window, for 2 filters
    found = counter.count(totals, steps=10, inputs={"x": image})
    assert found.layers["relu2"].accumulates == [28 * 9 + 5 * 8]
    assert found.layers["out"].accumulates == [8 * 3 * 2]
    assert found.layers["relu1"].input_once == [48]
    assert found.layers["relu1"].input_per_step == [480]
    assert found.layers["relu1"].accumulates == [0]
    # All connections, zero weights too: 50 + (8 neurons x 8 + 8 for the sum) + 8 x 3, ten times.
    assert found.total().dense == [10 * (50 + 72 + 24)]
    assert found.neuron_updates == 10 * 16
    assert found.total().multiply_accumulates == [0]
    assert found.not_counted == ()


def test_hand_count_of_memory() -> None:
    """4 bytes a number: kernels 18 + 36, bias 2, matrix 6, one of 36 and two of 6 are zero."""
    counter = counter_of(sw.convert(residual_graph(), spiking=True))
    biases = 2
    assert counter.weight_bytes == (4 * (18 + 36 + biases + 6), 4 * (18 + 35 + biases + 4))
    assert counter.state_bytes == 4 * (16 + 3)  # voltages, and the sums of the output
    weights, state = counter.memory_records({"dt": 0.001})
    assert (weights.name, weights.value, weights.unit) == ("weight memory", 248, "bytes")
    assert (state.name, state.value, state.how["dt"]) == ("state memory", 76, 0.001)


def permuted(graph: Graph, order: np.ndarray) -> Graph:
    """The MLP with the neurons of its first layer in another order."""
    fc1, fc2 = graph["fc1"].layer, graph["fc2"].layer
    assert isinstance(fc1, Affine) and isinstance(fc2, Affine)
    changed = {
        "fc1": Affine(fc1.weight[order], fc1.bias[order]),  # type: ignore[index]
        "fc2": Affine(fc2.weight[:, order], fc2.bias),
    }
    nodes = (
        Node(n.name, changed.get(n.name, n.layer), n.inputs, n.source, n.source_kind) for n in graph
    )
    return Graph(tuple(nodes), graph.outputs)


def test_the_order_of_neurons_does_not_matter() -> None:
    """A permutation of neurons, and of the weights that lead to and from them, changes no count."""
    rng = np.random.default_rng(3)
    graph = models.mlp(5)
    weights = graph["fc2"].layer.weight  # type: ignore[attr-defined]
    weights[rng.random(weights.shape) < 0.5] = 0.0
    order = rng.permutation(12)
    x = rng.normal(size=(3, 6))
    counts = []
    for each in (graph, permuted(graph, order)):
        conversion = sw.convert(each, spiking=True, scale_firing_rates=4.0)
        run = conversion.run(x, steps=6, dt=1.0, progress=False)
        found = counter_of(conversion).count(totals_of(run), 6, {"x": x})
        counts.append(found.total().accumulates)
    assert counts[0].sum() > 0
    np.testing.assert_array_equal(*counts)


def test_bursts_are_counted_both_ways() -> None:
    """Three spikes in one step are three accumulates, or one multiply-accumulate with a three."""
    conversion = sw.convert(models.mlp(), spiking=True)
    counter = counter_of(conversion)
    totals = {"act1": np.zeros((2, 12)), "act2": np.zeros((2, 8))}
    totals["act1"][:, 0] = 3
    events = {"act1": totals["act1"].copy(), "act2": totals["act2"]}
    events["act1"][0, 0] = 1
    found = counter.count(totals, 5, events=events).layers["act2"]
    np.testing.assert_array_equal(found.accumulates, [24, 24])
    np.testing.assert_array_equal(found.event_accumulates, [0, 24])
    np.testing.assert_array_equal(found.event_multiply_accumulates, [8, 0])

    bounded = counter.count(totals, 2)  # not known: at most one event a step
    assert not bounded.exact_events
    np.testing.assert_array_equal(bounded.layers["act2"].event_multiply_accumulates, [16, 16])
    (record,) = select(bounded.records(), "event multiply-accumulates")
    assert record.how["events"] == "at most"


def test_functions_are_counted_or_named() -> None:
    """Products have a count, a softmax has none and is named with the size of its input."""
    nodes = (
        Node("x", Input((4,))),
        Node("a", Activation("relu"), ("x",)),
        Node("soft", Activation("softmax"), ("a",)),
        Node("product", Multiply(), ("soft", "a")),
        Node("fc", Affine(np.ones((2, 4)), None), ("product",)),
    )
    conversion = sw.convert(Graph(nodes, {"y": "fc"}), spiking=True)
    counter = Counter(conversion.network, conversion.populations(), conversion.inputs, ["sigmoid"])
    assert len(counter.not_counted) == 2
    assert counter.not_counted[0].startswith("Softmax ") and "4 values" in counter.not_counted[0]
    assert counter.not_counted[1] == "sigmoid of what is read out"
    totals = {name: np.zeros((1, 4)) for name in conversion.populations()}
    found = counter.count(totals, 3, {"x": np.zeros((1, 4))})
    products = sum(layer.multiply_accumulates[0] for layer in found.layers.values())
    assert products == 3 * 4  # four products a step
    adds = sum(layer.accumulates[0] for layer in found.layers.values())
    assert adds == 3 * (4 + 4)  # the softmax's values into the product, and its into the neurons
    (record,) = [r for r in found.records() if r.name == "accumulates" and "layer" not in r.how]
    assert record.how["not counted"] == list(counter.not_counted)


def test_what_does_not_fit_is_refused_by_name() -> None:
    """Missing and unknown layers, wrong shapes, fractions and different batches are errors."""
    counter = counter_of(sw.convert(models.mlp(), spiking=True))
    good = {"act1": np.zeros((1, 12)), "act2": np.zeros((1, 8))}
    for totals, inputs, word in (
        ({"act1": good["act1"]}, None, "missing .'act2'."),
        ({**good, "fc1": good["act1"]}, None, "unknown .'fc1'."),
        ({**good, "act2": np.zeros((1, 7))}, None, "'act2' must have shape"),
        ({**good, "act2": np.full((1, 8), 0.5)}, None, "whole numbers"),
        ({**good, "act2": np.full((1, 8), -1)}, None, "whole numbers"),
        (good, {"x": np.zeros((1, 5))}, "input 'x' must have shape"),
        (good, {"y": np.zeros((1, 6))}, "got .'y'."),
        (good, {"x": np.zeros((2, 6))}, "number of samples"),
    ):
        with pytest.raises(SimulationError, match=word):
            counter.count(totals, 3, inputs)


def test_operations_of_the_source() -> None:
    """Dense ones are customary; effective ones have a value and a weight that are not zero."""
    graph = residual_graph()
    found = source_operations(graph)
    assert found.dense == {"conv1": 4 * 18, "conv2": 4 * 36, "out": 6}
    assert found.multiply_accumulates == 222
    assert found.effective_multiply_accumulates is None

    image = np.ones((2, 1, 4, 4))
    image[1] = 0.0
    effective = source_operations(graph, {"x": image}).effective
    assert effective is not None
    np.testing.assert_array_equal(effective["conv1"], [50, 0])
    np.testing.assert_array_equal(effective["conv2"], [63, 0])  # 64 connections, one of them zero
    np.testing.assert_array_equal(effective["out"], [4, 4])  # the bias wakes what lies behind
