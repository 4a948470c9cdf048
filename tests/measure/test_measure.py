"""Measuring: rates are true spikes over neurons and seconds, readouts and accuracies add up."""

from __future__ import annotations

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright import measure
from spikewright.errors import SimulationError
from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.measure import Population, Run
from spikewright.records import select

RELU = Activation("relu")


def run_of(values: np.ndarray, dt: float = 0.001) -> Run:
    """A run with one output and no populations."""
    record = {"batch": len(values)}
    return Run({"y": values}, {}, {}, dt, values.shape[1], record)


def relu_population(scale: float = 1.0, **options: object) -> sw.Conversion:
    """Four neurons driven by their own inputs."""
    nodes = (GraphNode("x", Input((4,))), GraphNode("r", Activation("relu"), ("x",)))
    graph = Graph(nodes, {"y": "r"})
    return sw.convert(graph, spiking=True, scale_firing_rates=scale, **options)


def test_rates_are_spikes_per_neuron_and_second():
    """Neurons at 0, 10, 20 and 30 Hz, scale 3: 45 Hz on average, whatever the spike height."""
    conversion = relu_population(3.0)
    run = conversion.run(np.array([[0.0, 10.0, 20.0, 30.0]]), steps=2000, dt=0.001)
    assert run.firing_rates()["r"] == pytest.approx(45.0, abs=0.5)
    np.testing.assert_allclose(run.neuron_rates()["r"], [0, 30, 60, 90], atol=0.5)
    np.testing.assert_array_equal(run.spike_counts()["r"], [360])
    np.testing.assert_allclose(run.predict(), [[0, 10, 20, 30]], atol=0.2)


def test_rates_of_a_rate_network_are_its_scaled_rates():
    """Rate neurons have the rates that their spiking form would have, and no spikes."""
    nodes = (GraphNode("x", Input((4,))), GraphNode("r", Activation("relu"), ("x",)))
    conversion = sw.convert(Graph(nodes, {"y": "r"}), scale_firing_rates=3.0)
    run = conversion.run(np.array([[0.0, 10.0, 20.0, 30.0]]), steps=5)
    assert run.firing_rates()["r"] == pytest.approx(45.0)
    assert run.spike_counts() == {}


def test_spike_counts_are_per_sample():
    """Each sample has its own count."""
    x = np.array([[1.0, 1, 1, 1], [0, 0, 0, 0], [2, 0, 0, 0]])
    run = relu_population().run(x, steps=10, dt=1.0)
    np.testing.assert_array_equal(run.spike_counts()["r"], [40, 0, 20])


def test_silent_and_saturated_neurons():
    """Silent: never spiked for any sample. Saturated: sent all that the cap allows."""
    x = np.array([[-1.0, 0.5, 1.0, 3.0], [-1.0, 0.5, 0.2, 3.0]])
    run = relu_population(max_spikes_per_step=1).run(x, steps=20, dt=1.0)
    assert run.silent_fractions() == {"r": 0.25}
    assert run.saturated_fractions() == {"r": 3 / 8}
    uncapped = relu_population().run(x, steps=20, dt=1.0)
    assert uncapped.saturated_fractions() == {"r": 3 / 8}


def test_negative_spikes_count_as_spikes():
    """A spike that takes back costs as much as one that gives."""
    nodes = (
        GraphNode("x", Input((2,))),
        GraphNode("t", Activation("tanh"), ("x",)),
        GraphNode("r", Activation("relu"), ("t",)),
    )
    conversion = sw.convert(Graph(nodes, {"y": "r"}), spiking=True, scale_firing_rates=10.0)
    run = conversion.run(np.array([[-1.0, 1.0]]), steps=100, dt=0.1)
    counts = run.populations["t"].totals[0]
    assert counts[0] == pytest.approx(counts[1], abs=2)
    assert counts[0] > 50


@pytest.mark.parametrize("engine", sw.engines.available())
@pytest.mark.parametrize(
    "kind",
    [
        sw.SignedIntegrateAndFire(),
        sw.RunningMeanSpiking(sw.Tanh(1.0, amplitude=2.0), 0.5),
        sw.BipolarIntegrateAndFire(0.5, max_spikes_per_step=1),
        sw.BipolarIntegrateAndFire(2.0),
        sw.IntegrateAndFire(2.0),
        sw.SpikingLeakyReLU(0.3, 0.5),
        sw.LeakyReLU(0.3, 2.0),
    ],
    ids=repr,
)
def test_spikes_of_either_sign_cost_and_their_difference_counts(kind, engine):
    """`totals` are spikes sent, which cost; `net` is what values are made of, on every engine.

    The time mean of the layer is that of what it sends.
    """
    graph = Graph((GraphNode("x", Input((6,))), GraphNode("r", RELU, ("x",))), {"y": "r"})
    conversion = sw.convert(graph, spiking={"relu": kind}, scale_firing_rates=3.0)
    x = np.random.default_rng(0).normal(-0.2, 3.0, (4, 40, 6))
    run = conversion.run(x, dt=0.125, engine=engine, batch_size=3)
    population = run.populations["r"]
    height = kind.amplitude / (3.0 * 0.125 if kind.spiking else 1.0)
    sent = run.output.astype(np.float64) / height
    np.testing.assert_allclose(population.totals, np.abs(sent).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(population.net, sent.sum(axis=1), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(run.layer_means()["r"], run.predict(), rtol=1e-5, atol=1e-5)
    assert (population.net is population.totals) != kind.negative
    if kind.spiking:
        assert population.totals.dtype.kind == population.net.dtype.kind == "i"
        np.testing.assert_array_equal(run.spike_counts()["r"], population.totals.sum(axis=1))
        rate = population.totals.sum() / (4 * 6 * 40 * 0.125)
        assert run.firing_rates()["r"] == pytest.approx(rate)
    if kind.negative and kind.spiking:
        assert np.any(population.net < population.totals)


def test_a_neuron_that_takes_all_back_is_neither_silent_nor_saturated():
    """It sent spikes, and its value is zero."""
    totals, net = np.array([[4, 0, 4, 4]]), np.array([[0, 0, 4, -4]])
    population = Population(totals, True, np.array(1.0), 1, net)
    run = Run({}, {}, {"p": population}, 0.5, 4, {"batch": 1})
    assert run.silent_fractions() == {"p": 0.25}
    assert run.saturated_fractions() == {"p": 0.5}
    assert run.firing_rates() == {"p": 1.5}
    np.testing.assert_array_equal(run.spike_counts()["p"], [12])
    np.testing.assert_array_equal(run.layer_means()["p"], [[0.0, 0.0, 2.0, -2.0]])
    records = measure.activity(run)
    assert [r.value for r in select(records, "saturated neurons")] == [0.5]
    assert [r.value for r in select(records, "silent neurons")] == [0.25]


def test_readouts():
    """last, mean and windows of one small array, worked by hand."""
    values = np.arange(10.0).reshape(1, 10, 1)
    run = run_of(values, dt=0.01)
    assert run.predict("last") == [[9.0]]
    assert run.predict() == run.predict("mean") == [[4.5]]
    assert run.predict(sw.Window(0.03)) == [[8.0]]
    assert run.predict(sw.Window(0.02, start=0.01)) == [[1.5]]
    np.testing.assert_allclose(run.predict_at_every_step("mean")[0, :, 0], np.arange(10) / 2)
    np.testing.assert_array_equal(run.predict_at_every_step("last"), values)


@pytest.mark.parametrize("readout", ["median", sw.Window(1.0), sw.Window(0.05, start=0.08), None])
def test_impossible_readouts_are_refused(readout):
    """Unknown names and windows outside the run are errors."""
    with pytest.raises(SimulationError, match=r"readout|lie within"):
        run_of(np.zeros((1, 10, 1)), dt=0.01).predict(readout)


def test_after_is_the_mean_from_a_time_on():
    """Of any run: what follows the start, or what there is where nothing does."""
    values = np.arange(10.0).reshape(1, 10, 1)
    run = run_of(values, dt=0.01)
    assert run.predict(sw.MeanAfter(0.0)) == run.predict("mean")
    assert run.predict(sw.MeanAfter(0.07)) == [[8.0]]
    assert run.predict(sw.MeanAfter(0.1)) == run.predict(sw.MeanAfter(5.0)) == [[4.5]]


@pytest.mark.parametrize("start", [0, 1, 4, 11, 12, 40])
def test_after_at_every_step_is_that_of_a_run_that_ends_there(start):
    """Step by step, before the start, at it and behind it."""
    values = np.random.default_rng(start).normal(size=(3, 12, 2, 2))
    run = run_of(values, dt=0.01)
    readout = sw.MeanAfter(start * 0.01)
    every = run.predict_at_every_step(readout)
    for t in range(1, 13):
        shorter = run_of(values[:, :t], dt=0.01).predict(readout)
        np.testing.assert_allclose(every[:, t - 1], shorter, rtol=0, atol=1e-12)
    labels = [0, 1, 1]
    run = run_of(values[..., 0], dt=0.01)
    over_time = measure.accuracy_over_time(run, labels, readout)
    assert over_time[-1].value == measure.accuracy(run, labels, readout).value


def test_after_waits_for_spikes_to_come_through():
    """Behind four layers that start at rest, the delayed mean has less than 0.7 of the error."""
    rng = np.random.default_rng(0)
    nodes = [GraphNode("x", Input((20,)))]
    for i in range(4):
        weight = Affine(rng.normal(0.0, np.sqrt(0.1), (20, 20)))
        nodes += [
            GraphNode(f"w{i}", weight, (nodes[-1].name,)),
            GraphNode(f"r{i}", RELU, (f"w{i}",)),
        ]
    graph, x = Graph(tuple(nodes), {"y": "r3"}), rng.uniform(0.0, 1.0, (30, 20))
    values = evaluate_all(graph, {"x": x})["r3"]
    run = sw.convert(graph, spiking=True, initial_voltage="zero").run(x, steps=200, dt=0.05)
    late, whole = (np.abs(run.predict(r) - values).mean() for r in (sw.MeanAfter(3.0), "mean"))
    assert late < 0.7 * whole


@pytest.mark.parametrize("start", [-0.1, float("nan"), "soon", None, True])
def test_after_starts_at_a_time(start):
    """A start that is none is named."""
    with pytest.raises(SimulationError, match="starts at 0 s or later"):
        sw.MeanAfter(start)


@pytest.mark.parametrize("bad", [{"seconds": 0}, {"seconds": -1}, {"seconds": 1, "start": -1}])
def test_windows_have_a_length(bad):
    """A window of no length, or before the start, is an error."""
    with pytest.raises(SimulationError, match="window"):
        sw.Window(**bad)


def test_accuracy_at_every_step_ends_in_the_accuracy_of_the_run():
    """The last entry over time is the run's own accuracy, under both readouts."""
    rng = np.random.default_rng(0)
    run = run_of(rng.normal(size=(50, 12, 4)))
    labels = rng.integers(0, 4, 50)
    for readout in ("last", "mean"):
        over_time = measure.accuracy_over_time(run, labels, readout)
        assert len(over_time) == 12
        assert [r.how["steps"] for r in over_time] == list(range(1, 13))
        final = measure.accuracy(run, labels, readout)
        assert over_time[-1].value == final.value
        truth = np.mean(run.predict(readout).argmax(axis=1) == labels)
        assert final.value == truth
        assert final.interval[0] < final.value < final.interval[1]


def test_the_interval_is_wilsons():
    """Known values of the 95 % interval (Wilson 1927): 8 of 10, and all of 10."""
    assert measure.wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert measure.wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_labels_must_fit():
    """A label too few, targets in their place, or several outputs, is an error."""
    run = run_of(np.zeros((3, 2, 4)))
    with pytest.raises(SimulationError, match="must hold 3 labels or targets"):
        measure.accuracy(run, [0, 1])
    with pytest.raises(SimulationError, match="class labels are needed"):
        measure.accuracy(run, np.full((3, 4), 0.25))
    several = Run({"a": run.raw["y"], "b": run.raw["y"]}, {}, {}, 1.0, 2, {"batch": 3})
    with pytest.raises(SimulationError, match="needs one"):
        measure.accuracy(several, [0, 1, 2])


def test_activity_records_add_up():
    """The network's spikes per sample are the sum over its layers."""
    graph = models.mlp()
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=20.0)
    run = conversion.run(models.inputs(graph), steps=50, dt=0.1)
    records = measure.activity(run)
    spikes = select(records, "spikes per sample")
    layers = [r.value for r in spikes if "layer" in r.how]
    (whole,) = [r.value for r in spikes if "layer" not in r.how]
    assert len(layers) == 2
    assert whole == pytest.approx(sum(layers))
    assert {r.unit for r in select(records, "firing rate")} == {"Hz"}
    assert len(select(records, "silent neurons", layer="act1")) == 1


def test_a_population_says_what_it_counts():
    """Totals are per sample and neuron."""
    totals = np.ones((2, 3))
    population = Population(totals, True, np.array(1.0), None)
    run = Run({}, {}, {"p": population}, 0.5, 4, {"batch": 2})
    assert run.firing_rates() == {"p": 0.5}
