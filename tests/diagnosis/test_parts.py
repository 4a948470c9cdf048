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
from spikewright.diagnosis.cells import passed
from spikewright.diagnosis.means import outputs_of, present
from spikewright.diagnosis.parts import PARTS, shares
from spikewright.graph import Graph, Node
from spikewright.graph.layers import Activation, Affine, Input

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
        Node("x", Input((40,))),
        Node("act", Activation(activation, parameters), ("x",), "act"),
        Node("y", Affine(np.eye(40)), ("act",), "y"),
    )
    graph = Graph(nodes, {"y": "y"})
    return sw.convert(graph, spiking={activation: neurons}, **options)


@pytest.mark.parametrize("case", CASES)
def test_the_parts_add_up_to_the_gap(case: str) -> None:
    """Of every layer, neuron and sample: source less what its readers got, to rounding."""
    found = deep(CASES[case])

    assert len(found.plan.sites) >= 3
    for name, site in found.plan.sites.items():
        parts = found.batch.parts[name]
        value = found.batch.source[name]
        if site.cells is None:
            continue
        got = site.passed_on(found.run.layer_means()[name])
        np.testing.assert_allclose(sum(parts.values()), value - got, rtol=0, atol=1e-9)
        whole, contributed = shares(parts)
        assert set(contributed) == set(PARTS)
        assert sum(contributed.values()) == pytest.approx(whole, rel=1e-9)
        assert whole > 0


@pytest.mark.parametrize("case", [name for name in CASES if name != "synapse"])
def test_means_followed_through_the_graph_are_those_of_the_run(case: str) -> None:
    """With what was lost to arrival order given, the outputs of the run follow, in its float32."""
    found = deep(CASES[case])
    values = present(found.plan, found.batch.source, found.batch.disorder)
    (output,) = outputs_of(found.plan, values).values()

    np.testing.assert_allclose(output, found.run.predict(), rtol=0, atol=3e-6 * abs(output).max())


@pytest.mark.parametrize("start", ["zero", "half", "uniform"])
@pytest.mark.parametrize("kind", TYPES)
def test_steady_current_is_answered_as_the_engine_does(kind: str, start: str) -> None:
    """What is called steady is what neurons send where their current never changes."""
    activation, neurons = TYPES[kind]
    scale = 730.0 if activation in ("sigmoid", "tanh") else 7.3
    conversion = one_layer(activation, neurons, scale_firing_rates=scale, initial_voltage=start)
    x = np.random.default_rng(1).normal(size=(20, 40)) * 150
    found = damage.study(conversion, x, 37, seed=3)
    cells = found.plan.sites["act"].cells
    counts = found.run.populations["act"].net

    assert cells is not None
    assert np.abs(counts).max() > 1
    np.testing.assert_allclose(cells.steady(x) / cells.unit, counts, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.part("act", "arrival order"), 0, atol=1e-6 * cells.unit)


@pytest.mark.parametrize("case", [name for name in CASES if name != "biases of each step"])
def test_the_first_layer_inherits_nothing_and_has_no_order(case: str) -> None:
    """Its input is constant: nothing was lost before it, and nothing arrives unevenly."""
    found = deep(CASES[case])
    first = next(iter(found.plan.sites))

    assert np.abs(found.part(first, "inherited")).max() < 1e-12
    unit = found.plan.sites[first].cells.unit  # type: ignore[union-attr]
    assert np.abs(found.part(first, "arrival order")).max() < 1e-6 * np.max(unit)
    assert np.abs(found.part(first, "quantisation")).max() > 0


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
    pools = [name for name, site in found.plan.sites.items() if site.cells is None]

    assert pools
    for name, parts in found.batch.parts.items():
        assert (np.abs(parts["policy"]).max() > 1e-3) == (name in pools), name
    other = deep(CASES["plain"])
    assert all(site.cells is not None for site in other.plan.sites.values())
    assert all(np.abs(p["policy"]).max() < 1e-12 for p in other.batch.parts.values())


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
    (last,) = list(found.plan.sites)[-1:]

    for name, site in found.plan.sites.items():
        assert site.cells is not None
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


def test_blame_for_order_is_shared_out_whole() -> None:
    """Every population's loss to order is somebody's, in shares that add up to one."""
    plan = deep(CASES["plain"]).plan

    first, *others = plan.sites
    assert plan.blamed[first] == {first: 1.0}
    for name in others:
        assert sum(plan.blamed[name].values()) == pytest.approx(1.0)
        assert name not in plan.blamed[name]
    assert any(len(shares) > 1 for shares in plan.blamed.values())
