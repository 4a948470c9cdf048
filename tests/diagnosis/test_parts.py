"""The parts of a gap: they add up to it, and each is nothing where it has no cause."""

from __future__ import annotations

from typing import Any

import damage
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
import spikewright as sw
from spikewright.diagnosis import layer_losses as survey_module
from spikewright.diagnosis.layer_losses import PARTS, DiagnosedSamples, shares
from spikewright.diagnosis.mean_propagation import network_means, outputs_of, single_layer_means
from spikewright.diagnosis.mean_response import passed
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input, LayerNormalization

DT, STEPS = 0.001, 24
CASES: dict[str, dict[str, Any]] = {
    "plain": {"scale_firing_rates": 300.0},
    "capped": {"scale_firing_rates": 1500.0, "max_spikes_per_step": 1},
    "synapse": {"scale_firing_rates": 300.0, "synapse": 0.004},
    "drawn starts": {"scale_firing_rates": 300.0, "initial_voltage": "uniform"},
    "averaged": {"scale_firing_rates": 300.0, "max_pool": "average"},
    "bias": {"scale_firing_rates": 300.0, "bias_correction": 0.2},
    "biases of each step": {
        "scale_firing_rates": 300.0,
        "bias_correction": np.linspace(2.0, -0.5, 6).reshape(-1, 1, 1, 1),
    },
}
TYPES = {
    "integrate and fire": ("relu", sw.IntegrateAndFire()),
    "capped": ("relu", sw.IntegrateAndFire(max_spikes_per_step=2)),
    "bipolar": ("relu", sw.BipolarIntegrateAndFire()),
    "capped bipolar": ("relu", sw.BipolarIntegrateAndFire(max_spikes_per_step=1)),
    "rectified": ("relu", sw.SpikingRectifiedLinear()),
    "running mean": ("relu", sw.RunningMeanSpiking(sw.RectifiedLinear())),
    "curved": ("sigmoid", sw.RunningMeanSpiking(sw.Sigmoid(tau_ref=1.0))),
    "regular": ("sigmoid", sw.RegularSpiking(sw.Sigmoid(tau_ref=1.0))),
    "regular signed": ("tanh", sw.RegularSpiking(sw.Tanh(tau_ref=1.0))),
    "leaky": ("leaky_relu", sw.SpikingLeakyReLU(0.3)),
}


def deep(options: dict[str, Any], seed: int = 0) -> damage.Study:
    """A residual network with max pooling, run on random samples."""
    graph = damage.residual(seed)
    conversion = sw.convert(graph, spiking=True, **options)
    return damage.study(conversion, models.inputs(graph, batch=5), STEPS)


def one_layer(activation: str, neurons: sw.NeuronType, **options: Any) -> sw.Conversion:
    """Input, an activation, and weights that read it."""
    parameters = {"negative_slope": 0.3} if activation == "leaky_relu" else {}
    nodes = (
        GraphNode("x", Input((40,))),
        GraphNode("act", Activation(activation, parameters), ("x",), "act"),
        GraphNode("y", Affine(np.eye(40)), ("act",), "y"),
    )
    graph = Graph(nodes, {"y": "y"})
    return sw.convert(graph, spiking={activation: neurons}, **options)


@pytest.mark.parametrize("case", CASES)
def test_the_parts_add_up_to_the_gap(case: str) -> None:
    """Of every layer, neuron and sample: source less what its readers got, to rounding."""
    found = deep(CASES[case])

    assert len(found.plan.lossy_layers) >= 3
    for name, lossy in found.plan.lossy_layers.items():
        parts = found.batch.parts[name]
        value = found.batch.source[name]
        if lossy.neurons is None:
            continue
        got = lossy.passed_on(found.run.layer_means()[name])
        np.testing.assert_allclose(sum(parts.values()), value - got, rtol=0, atol=1e-9)
        whole, contributed = shares(parts)
        assert set(contributed) == set(PARTS)
        assert sum(contributed.values()) == pytest.approx(whole, rel=1e-9)
        assert whole > 0


@pytest.mark.parametrize("case", [name for name in CASES if name != "synapse"])
def test_means_followed_through_the_graph_are_those_of_the_run(case: str) -> None:
    """With what was lost to arrival order given, the outputs of the run follow, in its float32."""
    found = deep(CASES[case])
    values = network_means(found.plan, found.batch.source, found.batch.disorder)
    (output,) = outputs_of(found.plan, values).values()

    np.testing.assert_allclose(output, found.run.predict(), rtol=0, atol=3e-6 * abs(output).max())


def test_with_a_synapse_means_are_followed_up_to_what_settles_later() -> None:
    """Layers behind a synapse start late, which is of second order in tau over the run."""
    errors = []
    for steps in (50, 200):
        graph = models.mlp()
        conversion = sw.convert(graph, spiking=True, scale_firing_rates=1e4, synapse=0.004)
        found = damage.study(conversion, models.inputs(graph, batch=8), steps)
        values = network_means(found.plan, found.batch.source, found.batch.disorder)
        (output,) = outputs_of(found.plan, values).values()
        errors.append(np.abs(output - found.run.predict()).max() / abs(output).max())

    assert errors[0] < 0.05
    assert errors[1] < errors[0] / 8


@pytest.mark.parametrize("start", ["zero", "half", "uniform"])
@pytest.mark.parametrize("kind", TYPES)
def test_steady_current_is_answered_as_the_engine_does(kind: str, start: str) -> None:
    """What is called steady is what neurons send where their current never changes."""
    activation, neurons = TYPES[kind]
    scale = 730.0 if activation in ("sigmoid", "tanh") else 7.3
    conversion = one_layer(activation, neurons, scale_firing_rates=scale, initial_voltage=start)
    x = np.random.default_rng(1).normal(size=(20, 40)) * 150
    found = damage.study(conversion, x, 37, seed=3)
    neurons = found.plan.lossy_layers["act"].neurons
    counts = found.run.populations["act"].net

    assert neurons is not None
    assert np.abs(counts).max() > 1
    np.testing.assert_allclose(neurons.steady(x) / neurons.unit, counts, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.part("act", "arrival order"), 0, atol=1e-6 * neurons.unit)


@pytest.mark.parametrize("case", [name for name in CASES if name != "biases of each step"])
def test_the_first_layer_inherits_nothing_and_has_no_order(case: str) -> None:
    """Its input is constant: nothing was lost before it, and nothing arrives unevenly."""
    found = deep(CASES[case])
    first = next(iter(found.plan.lossy_layers))

    assert np.abs(found.part(first, "inherited")).max() < 1e-12
    unit = found.plan.lossy_layers[first].neurons.unit  # type: ignore[union-attr]
    assert np.abs(found.part(first, "arrival order")).max() < 1e-6 * np.max(unit)
    assert np.abs(found.part(first, "quantisation")).max() > 0


@pytest.mark.parametrize("case", [name for name in CASES if name != "capped"])
def test_without_a_cap_nothing_is_clipped(case: str) -> None:
    """Neurons may send as many spikes a step as it takes."""
    assert all(not np.any(p["clipping"]) for p in deep(CASES[case]).batch.parts.values())


def test_a_cap_clips_what_is_above_it() -> None:
    """In the first layer: the value less one spike a step, where it is more than that."""
    found = deep(CASES["capped"])
    first, lossy = next(iter(found.plan.lossy_layers.items()))
    most = 1.0 / (1500.0 * DT)

    value = found.batch.source[first]
    assert np.mean(value > most) > 0.05
    assert lossy.neurons is not None
    np.testing.assert_allclose(
        found.part(first, "clipping"), np.maximum(value - most, 0), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("start", ["zero", "half"])
def test_quantisation_falls_as_one_over_the_scale(start: str) -> None:
    """A spike is worth one over it; half a spike at the start halves what whole ones leave."""
    sizes = []
    for scale in (1e3, 1e4, 1e5):
        found = deep({"scale_firing_rates": scale, "initial_voltage": start})
        sizes.append([np.abs(p["quantisation"]).max() for p in found.batch.parts.values()])
        worth = 1.0 / (scale * DT * STEPS)
        assert max(sizes[-1]) <= worth * (1.0 if start == "zero" else 0.5) * 1.001

    np.testing.assert_allclose(np.diff(np.log10(np.array(sizes)), axis=0), -1, atol=0.15)


def test_a_policy_stands_at_the_layer_that_it_changed() -> None:
    """Average for max pooling is the pooling's loss, and its readers inherit it."""
    found = deep(CASES["averaged"])
    pools = [name for name, lossy in found.plan.lossy_layers.items() if lossy.neurons is None]

    assert pools
    for name, parts in found.batch.parts.items():
        assert (np.abs(parts["policy"]).max() > 1e-3) == (name in pools), name
    other = deep(CASES["plain"])
    assert all(lossy.neurons is not None for lossy in other.plan.lossy_layers.values())
    assert all(np.abs(p["policy"]).max() < 1e-12 for p in other.batch.parts.values())


def test_what_was_added_to_the_bias_is_policy() -> None:
    """In the first layer: the rectified current, less the rectified current and what was added."""
    found = deep(CASES["bias"])
    first, lossy = next(iter(found.plan.lossy_layers.items()))
    current = lossy.current(found.batch.source[found.plan.graph[first].inputs[0]])

    expected = np.maximum(current - 0.2, 0) - np.maximum(current, 0)
    np.testing.assert_allclose(found.part(first, "policy"), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "neurons",
    [sw.BipolarIntegrateAndFire(), sw.RunningMeanSpiking(sw.RectifiedLinear())],
    ids=["bipolar", "running mean"],
)
def test_neurons_that_take_spikes_back_lose_nothing_to_order(neurons: sw.NeuronType) -> None:
    """What they sent depends on the sum of what arrived alone; others lose in deep layers."""
    graph = damage.residual()
    x = models.inputs(graph, batch=5)
    found = damage.study(
        sw.convert(graph, spiking={"relu": neurons}, scale_firing_rates=300.0), x, STEPS
    )
    plain = deep(CASES["plain"])
    (last,) = list(found.plan.lossy_layers)[-1:]

    for name, lossy in found.plan.lossy_layers.items():
        assert lossy.neurons is not None
        assert np.mean(np.abs(found.part(name, "arrival order")) > 1e-6) < 0.002, name
    assert np.mean(np.abs(plain.part(last, "arrival order")) > 1e-6) > 0.1


@settings(max_examples=15)
@given(
    tau=st.floats(0.001, 0.02),
    steps=st.integers(1, 40),
    kind=st.sampled_from([sw.Lowpass, sw.Alpha]),
)
def test_settling_is_what_a_steady_value_has_not_passed(tau: float, steps: int, kind: Any) -> None:
    """`passed` is the mean of what a synapse makes of a steady 1, as the simulator has it."""
    with sw.Network() as net:
        node = sw.Node([1.0])
        probe = sw.Probe(node, synapse=kind(tau))
    with sw.Simulator(net, DT, engine="reference", precision="float64", progress=False) as sim:
        sim.run_steps(steps)

    assert passed(kind(tau), steps, DT) == pytest.approx(sim.data[probe].mean(), abs=1e-9)


def test_settling_of_a_layer() -> None:
    """The share that the synapse held back, of what was sent; nothing without a synapse."""
    found, plain = deep(CASES["synapse"]), deep(CASES["plain"])
    share = 1 - passed(sw.Lowpass(0.004), STEPS, DT)

    for name, lossy in found.plan.lossy_layers.items():
        assert lossy.neurons is not None
        sent = found.run.layer_means()[name]
        np.testing.assert_allclose(found.part(name, "settling"), share * sent, atol=1e-12)
    assert 0.1 < share < 0.5
    assert all(not np.any(parts["settling"]) for parts in plain.batch.parts.values())


def test_layers_behind_functions_are_split_too() -> None:
    """Neurons behind a normalisation: its current is the function's value of what arrived."""
    rng = np.random.default_rng(2)
    nodes = (
        GraphNode("x", Input((8,))),
        GraphNode("fc", Affine(rng.normal(size=(8, 8))), ("x",), "fc"),
        GraphNode("act", Activation("relu"), ("fc",), "act"),
        GraphNode("norm", LayerNormalization((0,), 1e-3, None, rng.normal(size=8)), ("act",)),
        GraphNode("out", Affine(rng.normal(size=(3, 8))), ("norm",), "out"),
    )
    conversion = sw.convert(Graph(nodes, {"y": "out"}), spiking=True, scale_firing_rates=200.0)
    found = damage.study(conversion, rng.normal(size=(6, 8)), 40)
    values = network_means(found.plan, found.batch.source, found.batch.disorder)

    assert list(found.plan.lossy_layers) == ["act", "norm"]
    assert np.abs(found.part("norm", "arrival order")).max() < 1e-6
    assert np.abs(found.part("norm", "policy")).max() < 1e-12
    np.testing.assert_allclose(values["out"], found.run.predict(), atol=1e-4)


def test_blame_for_order_is_shared_out_whole() -> None:
    """Every population's loss to order is somebody's, in shares that add up to one."""
    plan = deep(CASES["plain"]).plan

    first, *others = plan.lossy_layers
    assert plan.blamed[first] == {first: 1.0}
    for name in others:
        assert sum(plan.blamed[name].values()) == pytest.approx(1.0)
        assert name not in plan.blamed[name]
    assert any(len(shares) > 1 for shares in plan.blamed.values())


def test_a_layer_alone_that_loses_nothing_changes_nothing() -> None:
    """At an endless rate a layer alone in the source's place gives the source's outputs."""
    found = deep(CASES["plain"])
    for name in found.plan.lossy_layers:
        values = single_layer_means(found.plan, found.batch.source, found.batch.disorder, name, 1e9)
        (output,) = outputs_of(found.plan, values).values()
        (truth,) = outputs_of(found.plan, found.batch.source).values()
        np.testing.assert_allclose(output, truth, atol=1e-6)
        changed = single_layer_means(found.plan, found.batch.source, found.batch.disorder, name)
        assert np.abs(outputs_of(found.plan, changed)["output"] - truth).max() > 1e-6


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples are looked at some at a time; their parts are the same."""
    found = deep(CASES["plain"])
    inputs = found.conversion.as_inputs(models.inputs(damage.residual(), batch=5))
    monkeypatch.setattr(survey_module, "_VALUES", 1)
    parts = list(DiagnosedSamples(found.plan, inputs, found.run))

    assert len(parts) == 5
    for name in found.plan.lossy_layers:
        joined = np.concatenate([batch.parts[name]["quantisation"] for batch in parts])
        np.testing.assert_allclose(joined, found.part(name, "quantisation"), atol=1e-12)
