"""The whole line on small graphs: rate networks are exact, spiking ones converge."""

from __future__ import annotations

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright import demo
from spikewright.errors import (
    ConversionError,
    ReadError,
    SimulationError,
    VerificationError,
)
from spikewright.graph import Graph, Node, evaluate
from spikewright.graph.layers import Activation, Affine, Input


@pytest.mark.parametrize("graph", [models.mlp(), models.residual(), models.residual(pool=True)])
def test_a_rate_network_computes_what_the_source_does(graph):
    """Every step of a rate network gives the source's output."""
    x = models.inputs(graph)
    run = sw.convert(graph).run(x, steps=3)
    truth = evaluate(graph, {"x": x})["output"]
    assert run.output.shape == (3, 3, *truth.shape[1:])
    for t in range(3):
        np.testing.assert_allclose(run.output[:, t], truth, rtol=0, atol=2e-6 * abs(truth).max())


def convergence_slope(graph: Graph, steps: list[int], **options: object) -> tuple[float, list]:
    """Log-log slope of the mean error over samples and outputs against the number of steps."""
    x = models.inputs(graph, batch=16)
    truth = evaluate(graph, {"x": x})["output"]
    conversion = sw.convert(graph, spiking=True, **options)
    errors = [
        float(np.abs(conversion.run(x, steps=n, dt=1.0).predict() - truth).mean()) for n in steps
    ]
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0]), errors


@pytest.mark.parametrize(
    "graph", [models.mlp(), models.residual(), models.residual(seed=3, pool=True)]
)
def test_the_error_falls_as_one_over_steps(graph):
    """Signed integration and accumulated maxima converge at slope -1."""
    slope, errors = convergence_slope(graph, [64, 128, 256, 512])
    assert -1.2 < slope < -0.85, errors


def test_steps_and_scale_are_one_knob():
    """Doubling the scale and halving dt's share of it give the same spikes: only s dt counts."""
    graph = models.mlp()
    x = models.inputs(graph)
    first = sw.convert(graph, spiking=True, scale_firing_rates=4.0).run(x, steps=50, dt=0.25)
    second = sw.convert(graph, spiking=True, scale_firing_rates=1.0).run(x, steps=50, dt=1.0)
    for name, counts in first.spike_counts().items():
        np.testing.assert_array_equal(counts, second.spike_counts()[name])
    np.testing.assert_array_equal(first.output, second.output)


def test_softmax_is_applied_to_what_is_read_out():
    """softmax of the mean, never the mean of softmaxes."""
    graph = models.mlp(output="softmax")
    x = models.inputs(graph)
    conversion = sw.convert(graph, spiking=True)
    run = conversion.run(x, steps=20, dt=1.0)
    raw = run.raw["output"].astype(np.float64)
    softmax = Activation("softmax").evaluate
    np.testing.assert_allclose(run.predict("mean"), softmax(raw.mean(axis=1)), rtol=1e-6)
    np.testing.assert_allclose(run.predict("last"), softmax(raw[:, -1]), rtol=1e-6)
    np.testing.assert_allclose(run.output[:, 4], softmax(raw[:, 4]), rtol=1e-6)
    assert not np.allclose(run.predict("mean"), run.output.mean(axis=1), atol=1e-4)
    assert conversion.layers["out"] is conversion.layers["fc3"]


def test_source_names_lead_to_what_they_became():
    """A linear layer that only an activation reads is a part of that population, bias included."""
    graph = models.residual()
    conversion = sw.convert(graph)
    layers = conversion.layers
    assert layers["conv1"] is layers["relu1"]
    assert layers["conv2"] is layers["bn2"] is layers["add"] is layers["relu2"]
    assert isinstance(layers["cat"], sw.Node)
    assert isinstance(layers["fc"], sw.Node)
    assert set(layers) == {node.name for node in graph}
    bias = conversion.layers["relu1"].bias
    np.testing.assert_allclose(np.broadcast_to(bias, (6, 8, 8))[:, 0, 0], graph["conv1"].layer.bias)


def test_per_layer_choices_reach_their_layers():
    """Dicts set each layer; a linear layer's name stands for the population that it is part of."""
    conversion = sw.convert(
        models.mlp(),
        spiking=True,
        scale_firing_rates={"fc1": 2.0, "act2": 7.0},
        synapse={"act1": None, "act2": 0.01},
        initial_voltage={"act1": "zero", "act2": np.linspace(0, 1, 8)},
    )
    first, second = conversion.layers["act1"], conversion.layers["act2"]
    assert (first.rate_scale, second.rate_scale) == (2.0, 7.0)
    assert first.initial_voltage == "zero"
    np.testing.assert_array_equal(second.initial_voltage, np.linspace(0, 1, 8))
    synapses = {c.pre_obj: c.synapse for c in conversion.network.connections}
    assert synapses[first.neurons] is None
    assert synapses[second.neurons] == sw.Lowpass(0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale_firing_rates": 0.0}, "scale_firing_rates must be above 0"),
        ({"scale_firing_rates": -2}, "scale_firing_rates must be above 0"),
        ({"scale_firing_rates": "fast"}, "not a number"),
        ({"synapse": "slow"}, "synapse"),
        ({"synapse": -1.0}, "0 s or more"),
        ({"initial_voltage": "full"}, "initial_voltage must be one of"),
        ({"initial_voltage": np.zeros(5)}, "broadcast"),
        ({"max_pool": "median"}, "max_pool"),
        ({"calibration": np.zeros((2, 6))}, "calibration"),
        ({"bias_correction": "light"}, "bias_correction"),
        ({"spiking": {"tanh": sw.IntegrateAndFire()}}, "no such activation"),
        ({"spiking": {"relu": "LIF"}}, "no neuron type"),
        ({"spiking": {"relu": sw.LIF()}, "scale_firing_rates": 10}, "curved"),
        ({"max_spikes_per_step": 1, "spiking": False}, "max_spikes_per_step"),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    """Each argument of convert that cannot be honoured gives an error that says which and why."""
    with pytest.raises(ConversionError, match=message):
        sw.convert(models.mlp(), **{"spiking": True, **options})


def test_what_is_no_model_is_refused():
    """Anything that no front end reads is named, with what would do."""
    with pytest.raises(ReadError, match="dict"):
        sw.convert({})
    made = sw.convert(models.mlp(seed=3))
    for call in (sw.convert, lambda model: sw.tune(model, np.zeros((4, 6)), [0, 1, 0, 1])):
        with pytest.raises(ReadError, match=r"a Conversion was made of .*, or its graph as it was"):
            call(made)
    assert sw.convert(made.graph).graph is made.graph
    with pytest.raises(ReadError, match=r"\.onnx"):
        sw.convert("model.txt")


def test_a_cap_limits_spikes_in_every_step():
    """max_spikes_per_step caps counts and is listed as an approximation."""
    conversion = sw.convert(
        models.mlp(), spiking=True, scale_firing_rates=50.0, max_spikes_per_step=1
    )
    run = conversion.run(models.inputs(models.mlp()), steps=30, dt=1.0)
    assert run.populations["act1"].totals.max() == 30
    assert run.saturated_fractions()["act1"] > 0.1
    assert any(e.status == "approximated" and e.layer == "act1" for e in conversion.trace)


def test_the_trace_says_what_is_exact_convergent_and_approximated():
    """Rate networks are exact throughout; spiking forms say what they guarantee."""
    graph = models.residual(pool=True)
    assert {e.status for e in sw.convert(graph).trace} == {"exact"}
    spiking = sw.convert(graph, spiking=True).trace
    status = {e.layer: e.status for e in spiking if e.stage == "lower"}
    convergent = {name for name, found in status.items() if found == "convergent"}
    assert convergent == {"relu1", "relu2", "pool"}
    assert {status[name] for name in status.keys() - convergent} == {"exact"}
    assert status.keys() >= {"conv1", "add", "cat"}
    assert spiking.guarantee == "convergent"
    averaged = sw.convert(graph, spiking=True, max_pool="average").trace
    assert [e.layer for e in averaged.warnings] == ["pool"]
    assert "IntegrateAndFire" in str(spiking)
    rectified = sw.convert(graph, spiking={"relu": sw.SpikingRectifiedLinear()}).trace
    assert {e.layer for e in rectified.warnings} == {"relu1", "relu2"}


@pytest.mark.parametrize(
    ("x", "steps", "message"),
    [
        (np.zeros((2, 5)), 3, "must be"),
        (np.zeros((2, 4, 6)), 3, "4 steps"),
        (np.full((2, 6), np.nan), 3, "NaN"),
        (np.zeros((2, 6)), None, "steps"),
        (np.zeros((2, 6)), 0, "steps"),
        ({"y": np.zeros((2, 6))}, 3, "inputs are"),
        ("hello", 3, "not an array"),
    ],
)
def test_bad_input_is_refused(x, steps, message):
    """Shapes, names, steps and values that do not fit give one clear error."""
    with pytest.raises(SimulationError, match=message):
        sw.convert(models.mlp()).run(x, steps=steps)


def test_verify_sees_a_network_that_differs():
    """The rate network itself is compared, not only the graph that was read."""
    graph = models.mlp()
    conversion = sw.convert(graph)
    nodes = list(conversion.canonical)
    index = next(i for i, n in enumerate(nodes) if n.name == "fc2")
    broken = Affine(nodes[index].layer.weight[::-1].copy(), nodes[index].layer.bias)
    nodes[index] = Node("fc2", broken, ("act1",), "fc2")
    conversion.canonical = Graph(tuple(nodes), conversion.canonical.outputs)
    with pytest.raises(VerificationError, match="rate network"):
        conversion.verify()


def test_every_reason_is_listed_at_once():
    """Lowering refuses all layers that it cannot lower together, not the first."""
    nodes = (
        Node("x", Input((3, 4, 5))),
        Node("first", Activation("gelu"), ("x",)),
        Node("second", Activation("relu"), ("first",)),
        Node("third", Activation("tanh"), ("second",)),
        Node("end", Affine(np.ones((2, 5))), ("third",)),
    )
    chosen = dict.fromkeys(("gelu", "tanh"), sw.RegularSpiking(sw.Tanh()))
    with pytest.raises(ConversionError) as caught:
        sw.convert(Graph(nodes, {"y": "end"}), spiking=chosen, max_spikes_per_step=1)
    assert [r.layer for r in caught.value.refusals] == ["first", "third"]
    assert "2 x Activation (first, third): RegularSpiking has no cap" in str(caught.value)


def test_again_changes_these_arguments_and_keeps_the_others() -> None:
    """A conversion converts its model once more, with the arguments given changed."""
    first = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=5, synapse=0.01)

    second = first.again(scale_firing_rates=7)

    assert {float(e.rate_scale) for e in second.populations().values()} == {7.0}
    assert second.arguments == {**first.arguments, "scale_firing_rates": 7}
    assert {c.synapse for c in second.network.all_connections} == {
        c.synapse for c in first.network.all_connections
    }
    assert {float(e.rate_scale) for e in first.populations().values()} == {5.0}
