"""Operations: hand counts, laws, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from counting import counter_of, residual_graph, totals_of
from numpy.typing import NDArray

import models
import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input, Multiply
from spikewright.measure.operations import Counter, source_operations
from spikewright.network.node_functions import Softmax
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


def test_shared_weights_are_stored_once() -> None:
    """Two connections with one transform have one set of weights, and two sets of operations."""
    matrix = sw.Dense(np.ones((3, 4)))
    with sw.Network() as network:
        a, b = (sw.Ensemble(4, gain=1.0, bias=0.0, neuron_type=sw.IntegrateAndFire()) for _ in "ab")
        to = sw.Ensemble(3, gain=1.0, bias=0.0, neuron_type=sw.IntegrateAndFire())
        for pre in (a, b):
            sw.Connection(pre.neurons, to.neurons, transform=matrix, synapse=None)
    counter = Counter(network, {"a": a, "b": b, "to": to}, {})
    assert counter.weight_bytes.dense == 4 * 12
    one = {"a": np.ones((1, 4)), "b": np.ones((1, 4)), "to": np.zeros((1, 3))}
    assert counter.count(one, 1).total().accumulates == [2 * 12]


@pytest.mark.parametrize("graph", [models.mlp(), models.residual(), models.residual(pool=True)])
def test_a_silent_network_only_updates_its_neurons(graph: Graph) -> None:
    """Twice the steps are twice the updates and dense operations, and nothing else."""
    conversion = sw.convert(graph, spiking=True)
    counter = counter_of(conversion)
    silent = {n: np.zeros((2, *e.shape)) for n, e in conversion.populations().items()}
    dark = {"x": np.zeros((2, *graph.shapes["x"]))}
    short, long = (counter.count(silent, steps, dark) for steps in (4, 8))
    assert long.neuron_updates == 2 * short.neuron_updates > 0
    np.testing.assert_array_equal(long.total().dense, 2 * short.total().dense)
    for found in (short, long):
        total = found.total()
        for name in ("accumulates", "multiply_accumulates", "input_once", "input_per_step"):
            np.testing.assert_array_equal(getattr(total, name), [0, 0])


def permuted(graph: Graph, order: np.ndarray) -> Graph:
    """The MLP with the neurons of its first layer in another order."""
    fc1, fc2 = graph["fc1"].layer, graph["fc2"].layer
    assert isinstance(fc1, Affine) and isinstance(fc2, Affine)
    changed = {
        "fc1": Affine(fc1.weight[order], fc1.bias[order]),  # type: ignore[index]
        "fc2": Affine(fc2.weight[:, order], fc2.bias),
    }
    nodes = (
        GraphNode(n.name, changed.get(n.name, n.layer), n.inputs, n.source, n.source_kind)
        for n in graph
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


def test_counts_of_batches_join_to_those_of_the_whole() -> None:
    """Samples counted in parts have the counts that they have together."""
    rng = np.random.default_rng(0)
    counter = counter_of(conversion := sw.convert(models.residual(pool=True), spiking=True))
    x = rng.normal(size=(5, 2, 8, 8))
    totals = totals_of(conversion.run(x, steps=4, dt=1.0, progress=False))
    whole = counter.count(totals, 4, {"x": x})
    parts = [
        counter.count({n: t[s] for n, t in totals.items()}, 4, {"x": x[s]})
        for s in (slice(0, 2), slice(2, 5))
    ]
    for layer, counts in whole.layers.items():
        for name, value in vars(counts).items():
            found = [vars(part.layers[layer])[name] for part in parts]
            np.testing.assert_array_equal(np.concatenate(found), value)


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


def test_one_spike_neurons_have_accumulates_alone() -> None:
    """At most one spike a step: both ways to count agree, behind maxima and sums too."""
    graph = models.residual(pool=True)
    conversion = sw.convert(graph, spiking=True, max_spikes_per_step=1)
    x = np.random.default_rng(1).normal(size=(2, 2, 8, 8))
    run = conversion.run(x, steps=6, dt=1.0, progress=False)
    found = counter_of(conversion).count(totals_of(run), 6, {"x": x})
    assert found.exact_events
    total = found.total()
    assert total.accumulates.min() > 0
    np.testing.assert_array_equal(total.event_accumulates, total.accumulates)
    np.testing.assert_array_equal(total.event_multiply_accumulates, [0, 0])


def test_an_input_that_changes_is_counted_at_every_step() -> None:
    """Frames: values that are not zero; of -1, 0 and 1 they are spikes, so accumulates."""
    counter = counter_of(sw.convert(models.mlp(), spiking=True))
    silent = {"act1": np.zeros((2, 12)), "act2": np.zeros((2, 8))}
    frames = np.zeros((2, 5, 6))
    frames[0, 1:3, 0] = 0.5
    frames[1, 4, :2] = -1.0
    found = counter.count(silent, 5, {"x": frames})
    assert found.input == "per step"
    layer = found.layers["act1"]
    np.testing.assert_array_equal(layer.input_once, [24, 0])
    np.testing.assert_array_equal(layer.input_per_step, [24, 0])
    np.testing.assert_array_equal(layer.accumulates, [0, 24])
    spikes = counter.count({**silent, "x": np.ones((2, 6))}, 5)  # an input that spikes
    np.testing.assert_array_equal(spikes.layers["act1"].accumulates, [72, 72])
    np.testing.assert_array_equal(spikes.layers["act1"].input_once, [0, 0])


def test_values_that_are_no_spikes_are_multiplied_at_every_step() -> None:
    """A rate network has no accumulates: every value meets every weight, as in the source."""
    conversion = sw.convert(models.mlp())
    found = counter_of(conversion).count({}, 5)
    assert found.total().accumulates == [0]
    assert found.total().multiply_accumulates == [5 * (96 + 24)]
    assert found.total().input_once == [72]


def test_every_sample_of_a_rate_network_is_counted() -> None:
    """Its number of samples is that of its inputs, which are held: each has all products."""
    counter = counter_of(sw.convert(models.mlp()))
    x = np.ones((4, 6))
    x[0] = 0.0
    found = counter.count({}, 5, {"x": x})
    assert (found.n, found.input) == (4, "once")
    np.testing.assert_array_equal(found.layers["act2"].multiply_accumulates, [5 * 96] * 4)
    np.testing.assert_array_equal(found.total().input_once, [0, 72, 72, 72])
    conversion = sw.convert(models.mlp())
    one, several = (
        conversion.evaluate(np.ones((n, 6)), steps=5, dt=1.0, batch_size=3, progress=False)
        for n in (1, 5)
    )
    for name in ("multiply-accumulates", "energy"):
        values = [[r.value for r in select(e.records, name)] for e in (one, several)]
        assert values[0] and values[0] == pytest.approx(values[1])


def test_functions_are_counted_or_named() -> None:
    """Products have a count, a softmax has none and is named with the size of its input."""
    nodes = (
        GraphNode("x", Input((4,))),
        GraphNode("a", Activation("relu"), ("x",)),
        GraphNode("soft", Activation("softmax"), ("a",)),
        GraphNode("product", Multiply(), ("soft", "a")),
        GraphNode("fc", Affine(np.ones((2, 4)), None), ("product",)),
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


def test_filters_are_updated_like_neurons() -> None:
    """A lowpass on what leaves 12 neurons filters the smaller side: 8 values, at every step."""
    conversion = sw.convert(models.mlp(), spiking=True, synapse=0.005)
    counter = counter_of(conversion)
    totals = {"act1": np.ones((1, 12)), "act2": np.ones((1, 8))}
    found = counter.count(totals, 10)
    assert found.filter_updates == 10 * (8 + 3)
    assert found.total().accumulates == [12 * 8 + 8 * 3]  # as without a synapse
    (updates,) = [r for r in found.records() if r.name == "neuron updates" and "layer" not in r.how]
    assert updates.value == 10 * (20 + 11)


def test_a_delay_holds_what_waits_and_computes_nothing() -> None:
    """A sender's values are held as long as its longest delay; spikes meet the same weights."""

    def counted(*delays: float) -> tuple[int, NDArray]:
        with sw.Network() as net:
            cells = sw.Ensemble(7, None, neuron_type=sw.IntegrateAndFire(), label="cells")
            for delay in delays:
                end = sw.Ensemble(2, None, neuron_type=sw.IntegrateAndFire())
                sw.Connection(cells.neurons, end.neurons, None, np.ones((2, 7)), delay=delay)
        counter = Counter(net, {}, {})
        return counter.state_bytes, counter.fan_out()["cells"]

    (plain, met), (held, also) = counted(0.0, 0.0), counted(0.003, 0.001)
    assert held - plain == 4 * 3 * 7
    np.testing.assert_array_equal(met, also)


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
    """Dense ones are customary: all weights, zeros among them, and padding too."""
    assert source_operations(residual_graph()) == {"conv1": 4 * 18, "conv2": 4 * 36, "out": 6}


def test_a_function_of_what_is_given_is_no_spike() -> None:
    """What a user's function makes is taken to be a value at every step."""
    with sw.Network() as network:
        node = sw.Node(Softmax(), size_in=3, label="soft")
        a = sw.Ensemble(3, gain=1.0, bias=0.0, neuron_type=sw.IntegrateAndFire(), label="a")
        wave = sw.Node(lambda t: np.ones(2) * t, label="wave")
        sw.Connection(a.neurons, node, synapse=None)
        sw.Connection(wave, a.neurons, transform=np.ones((3, 2)), synapse=None)
        sw.Connection(node, a.neurons, transform=np.ones((3, 3)))
    counter = Counter(network, {"a": a}, {})
    found = counter.count({"a": np.ones((1, 3))}, 4)
    assert found.layers["a"].multiply_accumulates == [4 * (6 + 9)]
    assert found.layers["soft"].accumulates == [3]
    assert [name.split()[0] for name in counter.not_counted] == ["Softmax", "Python"]


@pytest.mark.parametrize(
    "graph", [residual_graph(), models.residual(pool=True)], ids=["sums", "maxima"]
)
@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32])
def test_the_type_of_totals_changes_nothing(graph: Graph, kind: type) -> None:
    """Few bytes a neuron are what runs keep: sums of many are whole all the same."""
    counter = counter_of(sw.convert(graph, spiking=True))
    rng = np.random.default_rng(0)
    shapes = {n: e.shape for n, e in sw.convert(graph, spiking=True).populations().items()}
    totals = {name: rng.integers(0, 128, (3, *shape)) for name, shape in shapes.items()}
    for steps in (5, 200):  # some, or no neuron sent more than one spike a step
        expected = counter.count({n: t.astype(np.float64) for n, t in totals.items()}, steps)
        found = counter.count({n: t.astype(kind) for n, t in totals.items()}, steps)
        for layer, counted in expected.layers.items():
            for name, value in vars(counted).items():
                np.testing.assert_array_equal(vars(found.layers[layer])[name], value)
        assert max(int(c.accumulates.max()) for c in expected.layers.values()) > 1000
