"""Rules: the law of each, and what holds for all of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from calibrating import ALL, EXAMPLES, MLP, RESIDUAL, population_names, statistics_of

import models
import spikewright as sw
from spikewright._base.equations import CURVES
from spikewright.choosing import NeuronConfig, RuleContext, Statistics
from spikewright.choosing.rules import RULES
from spikewright.choosing.rules.context import SpikeQuantizer
from spikewright.choosing.rules.least_error import best_threshold, fixed_point
from spikewright.choosing.rules.without_data import evaluate, random_inputs
from spikewright.choosing.statistics.histogram import RESOLUTION, Histogram
from spikewright.choosing.statistics.sensitivity import fan_out, sensitivities
from spikewright.choosing.statistics.statistics import LayerStatistics
from spikewright.errors import ConversionError
from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.layers import Activation, Affine, Input
from spikewright.testing.layers import CURVE_PARAMETERS
from spikewright.testing.modelling import sent_of

X = models.inputs(MLP, batch=60, seed=5)
ONE = NeuronConfig(cap=1)


def case(
    graph: Graph, x: np.ndarray | None, setting: NeuronConfig = ONE, read: Graph | None = None
) -> RuleContext:
    """All activations of a small graph, under one setting."""
    names = population_names(graph)
    statistics = None if x is None else statistics_of(graph, x)
    outputs = tuple(graph.outputs.values())
    return RuleContext(graph, read or graph, dict.fromkeys(names, setting), outputs, statistics)


def scales(rule: sw.ScaleRule, of: RuleContext) -> dict[str, np.ndarray]:
    """What a rule chooses."""
    return {name: choice.scale for name, choice in rule.choose(of).items()}


def scaled(graph: Graph, factors: Mapping[str, float]) -> Graph:
    """Weights and biases of some layers multiplied; biases keep the function where told apart."""
    nodes = []
    for node in graph:
        layer = node.layer
        if node.name in factors:
            factor = factors[node.name]
            bias = layer.bias if factor < 1 else layer.bias * factor
            layer = replace(layer, weight=layer.weight * factor, bias=bias)
        nodes.append(replace(node, layer=layer))
    return Graph(tuple(nodes), graph.outputs)


def test_every_rule_is_tried_here() -> None:
    """The registry and the examples name the same rules."""
    assert set(EXAMPLES) == set(RULES)


@pytest.mark.parametrize("rule", ALL, ids=repr)
@pytest.mark.parametrize("factor", [4.0, 3.0])
def test_rules_follow_the_scale_of_weights(rule, factor) -> None:
    """A layer's weights and bias times c, the next weights by c: its scale by c, no other."""
    other = scaled(MLP, {"fc1": factor, "fc2": 1 / factor})
    one, two = scales(rule, case(MLP, X)), scales(rule, case(other, X))

    allowed = 1e-6 if factor == 4.0 else 4 * RESOLUTION
    assert two["act1"] * factor == pytest.approx(one["act1"], rel=allowed)
    assert two["act2"] == pytest.approx(one["act2"], rel=allowed)


@pytest.mark.parametrize("rule", ALL, ids=repr)
@pytest.mark.parametrize("activation", ["relu", "tanh", "leaky_relu", "sigmoid"])
def test_rules_take_values_of_either_sign(rule, activation) -> None:
    """Every layer has scales above 0 that broadcast to it, and a line that says how it came."""
    parameters = {"negative_slope": 0.3} if activation == "leaky_relu" else {}
    nodes = tuple(
        replace(n, layer=Activation(activation, parameters)) if n.layer.kind == "Activation" else n
        for n in MLP
    )
    graph = Graph(nodes, MLP.outputs)
    for name, choice in rule.choose(case(graph, X)).items():
        assert np.all(choice.scale > 0)
        assert np.all(np.isfinite(choice.scale))
        assert np.broadcast_shapes(choice.scale.shape, graph.shapes[name]) == graph.shapes[name]
        assert "scale" in choice.text


@pytest.mark.parametrize("rule", [r for r in ALL if r.needs_data], ids=repr)
def test_silent_layers_and_channels_get_a_scale_and_a_word(rule) -> None:
    """One channel never speaks, one layer never does: nothing is divided by zero."""
    fc1 = MLP["fc1"].layer
    quiet = fc1.bias.copy()
    quiet[3] = -1000.0
    nodes = tuple(
        replace(n, layer=replace(fc1, bias=quiet))
        if n.name == "fc1"
        else replace(n, layer=replace(n.layer, bias=n.layer.bias - 1000.0))
        if n.name == "fc2"
        else n
        for n in MLP
    )
    chosen = rule.choose(case(Graph(nodes, MLP.outputs), X))

    assert all(np.all((c.scale > 0) & np.isfinite(c.scale)) for c in chosen.values())
    assert chosen["act2"].doubtful
    assert "sends nothing" in chosen["act2"].text
    assert not chosen["act1"].doubtful


def test_percentile_is_a_percentile() -> None:
    """Of the layer or of each channel, to a bin's width; one spike a step means it."""
    values = evaluate_all(RESIDUAL, {"x": models.inputs(RESIDUAL, 5, 1)})["relu1"]
    of = case(RESIDUAL, models.inputs(RESIDUAL, 5, 1))
    exact = np.percentile(values, 97.0, axis=(0, 2, 3), method="inverted_cdf")

    layer = scales(sw.Percentile(97.0, dt=0.002), of)["relu1"]
    channel = scales(sw.Percentile(97.0, per="channel"), of)["relu1"]
    whole = np.percentile(values, 97.0, method="inverted_cdf")
    assert 1 / (layer * 0.002) == pytest.approx(whole, rel=RESOLUTION)
    assert channel.shape == (6, 1, 1)
    assert 1 / (channel[:, 0, 0] * 0.001) == pytest.approx(exact, rel=RESOLUTION)


def test_a_percentile_of_zeros_is_the_largest_value() -> None:
    """A channel that is zero more often than the percentile still has values to send."""
    values = Histogram.of([[0.0] * 999 + [5.0]])
    layer = LayerStatistics(shape=(1,), axis=0, rectifies=False, values=values)

    assert sw.Percentile(50.0).threshold(layer, ONE) == [5.0]


@pytest.mark.parametrize("start", [0.5, 0.0, None])
@pytest.mark.parametrize("cap", [1, 4])
@pytest.mark.parametrize("steps", [1, 2, 8, 64])
def test_minimum_error_is_the_minimum(start, cap, steps) -> None:
    """No threshold of a dense search on the values themselves has a clearly smaller error."""
    rng = np.random.default_rng(7)
    values = np.stack([np.maximum(rng.normal(size=500), 0), rng.gamma(2.0, size=500)])
    histogram = Histogram.of(values)
    found = best_threshold(histogram, SpikeQuantizer(steps, cap, start))

    def error(theta: float, a: np.ndarray) -> float:
        unit = theta / steps
        offsets = (np.arange(32) + 0.5) / 32 if start is None else np.array([start])
        counts = np.floor(a[:, None] / unit + offsets)
        return float(((np.clip(counts, 0, cap * steps) * unit - a[:, None]) ** 2).mean())

    for channel, a in enumerate(values):
        tried = [error(t, a) for t in np.geomspace(a.max() / cap / 100, a.max() / cap, 200)]
        assert error(found[channel], a) <= 1.02 * min(tried)


@pytest.mark.parametrize(
    "kind",
    [
        sw.IntegrateAndFire(max_spikes_per_step=2),
        sw.SignedIntegrateAndFire(max_spikes_per_step=2),
        *(
            sw.BipolarIntegrateAndFire(1.0, cap, heights)
            for cap in (1, 2, 3)
            for heights in ((3, 2, 2, 1, 1, 1), (8, 7, 5, 4, 3, 2), (2,) * 6)
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("start", ["half", "zero"])
def test_coding_error_is_what_neurons_do(start, kind) -> None:
    """Neurons with a cap at constant current, run, against the values that they stand for.

    Values below zero are floored too: from a start of zero the smallest of them is a spike. What
    receivers take as sent is no spike. Where spikes have heights all comes in the first step, and
    the error is that of the whole numbers between their multiples.
    """
    rng = np.random.default_rng(8)
    a = rng.normal(size=(1, 400))
    if not isinstance(kind, sw.SignedIntegrateAndFire):
        a = np.maximum(a, 0)
    theta, steps, cap = 0.7, 6, kind.most_spikes
    with sw.Network() as network:
        source = sw.Node(a[0], at_once=len(kind.spike_heights) or 1)
        neurons = sw.Ensemble(
            400,
            neuron_type=kind,
            gain=1.0,
            bias=0.0,
            rate_scale=1 / (theta * 0.001),
            initial_voltage=start,
        )
        sw.Connection(source, neurons.neurons, synapse=None)
        probe = sw.Probe(neurons.neurons)
        counts = sw.Probe(neurons.neurons, "spike_count")
    with sw.Simulator(network, progress=False) as simulator:
        simulator.run_steps(steps)
        sent = simulator.data[probe].mean(axis=0)
        spikes = sent_of(kind, simulator.data[counts]).sum(axis=0).mean()

    offset = {"half": 0.5, "zero": 0.0}[start]
    code = SpikeQuantizer(steps, cap, offset, kind.spike_heights, kind.assumed)
    values = Histogram.of(a)
    told = code.error(values, np.array([theta]))
    least = ((sent - a[0]) ** 2).mean()  # of heights above 1, which cannot say every number
    coarse = kind.height_at(steps) > 1
    assert told < least if coarse else told == pytest.approx(least, rel=0.01)
    assert code.spikes(values, np.array([theta])) == pytest.approx(spikes, rel=0.01)


def test_threshold_iteration_is_the_papers_fixed_point() -> None:
    """Its k, written out from Huang et al. 2025, is 1 there."""
    from math import erf, exp, pi, sqrt

    for mu, sigma, n in [(0.0, 1.0, 4), (-0.5, 2.0, 8), (1.0, 0.5, 3)]:
        theta = fixed_point(np.array([mu]), np.array([sigma]), n, signed=False)[0] * n
        c = [((2 * i - 1) * theta / (2 * n) - mu) / (sqrt(2) * sigma) for i in range(1, n + 1)]
        d = 1 - sum((2 * i - 1) / n**2 * erf(c[i - 1]) for i in range(1, n + 1))
        k = mu / theta * (1 - sum(map(erf, c)) / n) / d
        k += sigma * sqrt(2 / pi) / theta * (sum(exp(-(v**2)) for v in c) / n) / d
        assert k == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("a", "b"), [(0, 3), (0, 15), (-1, 1), (-7, 7)])
@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (-0.4, 1.3), (0.7, 0.5)])
def test_threshold_iteration_is_that_of_any_levels(
    a: int, b: int, mean: float, deviation: float
) -> None:
    """The generalised threshold of levels a to b, written out: its factor k is 1 there."""
    from math import erf, exp, pi, sqrt

    signed = a < 0
    unit = fixed_point(np.array([mean]), np.array([deviation]), b, signed=signed)[0]
    levels = range(a + 1, b + 1)
    z = [((2 * i - 1) * unit / 2 - mean) / (sqrt(2) * deviation) for i in levels]
    q = a**2 + b**2 - sum((2 * i - 1) * erf(v) for i, v in zip(levels, z, strict=True))
    product = mean * (a + b - sum(map(erf, z)))
    product += deviation * sqrt(2 / pi) * sum(exp(-(v**2)) for v in z)
    assert product / (q * unit) == pytest.approx(1.0, abs=1e-6)


def test_it_counts_on_the_levels_of_graded_spikes() -> None:
    """In one step with at most n spikes, neurons have the n levels of n steps with one each."""
    layer = case(MLP, X).statistics.layers["act1"]
    graded = sw.ThresholdIteration(1).threshold(layer, NeuronConfig(cap=7))
    steps = sw.ThresholdIteration(7).threshold(layer, ONE)
    np.testing.assert_allclose(7 * graded, steps, rtol=1e-6)


def test_a_share_of_the_steps_is_as_many_steps_of_higher_spikes() -> None:
    """Counted on in half of eight steps, neurons have the levels of four, each half as high."""
    layer = case(MLP, X).statistics.layers["act1"]
    four = sw.MinimumError(4).threshold(layer, ONE)
    half = sw.MinimumError(8, share=0.5).threshold(layer, ONE)

    np.testing.assert_allclose(half, 2 * four, rtol=1e-9)
    np.testing.assert_array_equal(
        sw.MinimumError(1, share=0.1).threshold(layer, ONE),
        sw.MinimumError(1).threshold(layer, ONE),
    )


def test_threshold_iteration_is_minimum_error_for_normal_currents() -> None:
    """On normally distributed currents both rules find thresholds of the same error."""
    z = np.random.default_rng(9).normal(-0.3, 1.4, (1, 200_000))
    layer = LayerStatistics(shape=(1,), axis=0, rectifies=True, values=Histogram.of(z))
    best = sw.MinimumError(8).threshold(layer, ONE)
    found = sw.ThresholdIteration(8).threshold(layer, ONE)

    errors = [
        SpikeQuantizer(8, 1, 0.5).error(layer.magnitude("channel"), t)[0] for t in (best, found)
    ]
    assert errors[1] <= 1.02 * errors[0]


def test_local_threshold_balancing_grows_to_the_largest_value() -> None:
    """Monotone in the iterations, never beyond what was seen; the first step is two means."""
    layer = case(MLP, X).statistics.layers["act1"]
    found = [sw.LocalThresholdBalancing(n).threshold(layer, ONE) for n in (1, 2, 8, 64, 20_000)]

    magnitudes = layer.magnitude("channel")
    assert found[0] == pytest.approx(np.minimum(2 * magnitudes.mean, magnitudes.highest))
    assert all(np.all(a <= b) for a, b in pairwise(found))
    assert found[-1] == pytest.approx(magnitudes.highest, rel=0.01)


@pytest.mark.parametrize("cap", [None, 1])
def test_an_energy_budget_is_spent_where_it_helps_most(cap) -> None:
    """The cost is the budget, and no other split of it has a clearly smaller expected error."""
    steps, budget = 8, 15.0
    of = case(MLP, X, NeuronConfig(cap=cap))
    found = scales(sw.EnergyBudget(steps, spikes=budget), of)
    weights = sensitivities(MLP, list(found), of.statistics.examples.values, of.outputs)

    def told(name: str, theta: float) -> tuple[float, float]:
        values = of.statistics.layers[name].magnitude("layer")
        active = 1 - values.counts[values.means == 0].sum() / values.total[0]
        code = SpikeQuantizer(steps, cap, 0.5)
        error = code.error(values, np.array([theta]))[0] / active
        spikes = code.spikes(values, np.array([theta]))[0]
        return float(weights[name][0]) * error, spikes * MLP.shapes[name][0]

    chosen = [told(name, 1 / (float(s) * 0.001)) for name, s in found.items()]
    splits = [
        (first[0] + second[0], first[1] + second[1])
        for first in (told("act1", t) for t in np.geomspace(0.3, 30, 80))
        for second in (told("act2", t) for t in np.geomspace(0.3, 30, 80))
    ]
    best = min(error for error, spikes in splits if spikes <= budget)
    assert sum(c[1] for c in chosen) == pytest.approx(budget, rel=0.02)
    assert sum(c[0] for c in chosen) <= 1.05 * best


def test_no_layer_falls_silent_for_the_others() -> None:
    """However small a budget is: what says nothing leaves those behind it nothing to say."""
    of = case(MLP, X, NeuronConfig(cap=None, start=0.0))
    spending = sw.EnergyBudget(8, spikes=0.5).allocator(of)
    found = spending.split()

    assert sum(found.expected.values()) == pytest.approx(0.5, rel=0.05)
    assert all(cost > 0.01 for cost in found.expected.values())
    dear = spending.split({"act2": 8.0})
    assert dear.expected["act1"] + 8 * dear.expected["act2"] == pytest.approx(0.5, rel=0.05)
    assert dear.expected["act2"] < found.expected["act2"]


def test_an_energy_budget_beyond_use_is_not_spent() -> None:
    """Under a cap there are best thresholds; smaller ones would only cut off."""
    of = case(MLP, X)
    plenty = scales(sw.EnergyBudget(8, spikes=1e9), of)
    best = scales(sw.MinimumError(8, per="layer"), of)

    for name, scale in plenty.items():
        assert scale == pytest.approx(best[name], rel=0.05)


def test_joules_are_additions() -> None:
    """A budget of energy pays for spikes times the weights that each meets."""
    of = case(MLP, X, NeuronConfig(cap=None))
    paid = 0.0
    for name, scale in scales(sw.EnergyBudget(8, joules=2e-9), of).items():
        values = of.statistics.layers[name].magnitude("layer")
        spikes = SpikeQuantizer(8, None, 0.5).spikes(values, np.array([1 / (scale * 0.001)]))[0]
        paid += spikes * MLP.shapes[name][0] * fan_out(MLP, name) * 0.9e-12

    assert paid == pytest.approx(2e-9, rel=0.01)
    assert [fan_out(MLP, n) for n in ("act1", "act2")] == [8.0, 3.0]
    assert fan_out(RESIDUAL, "relu1") == pytest.approx(6 * 9)  # the sum goes into neurons


def test_sensitivity_of_the_last_layer_is_that_of_its_weights() -> None:
    """Independent errors in active neurons: the sum of squared weights behind them."""
    x = X[:10]
    values = evaluate_all(MLP, {"x": x})
    squares = (MLP["fc3"].layer.weight ** 2).sum(axis=0)
    expected = ((values["act2"] != 0) @ squares).mean()
    found = sensitivities(MLP, ["act2"], {"x": np.repeat(x, 30, axis=0)}, ["fc3"])

    assert found["act2"] == pytest.approx(expected, rel=0.1)


CURVED = [name for name, curve in CURVES.items() if not curve.jumps and name != "linear"]


def behind_cells(name: str, x: np.ndarray, per: Any) -> tuple[np.ndarray, np.ndarray]:
    """The sensitivity of neurons in front of a curve, without a warning, and the curve's slopes."""
    nodes = (
        GraphNode("x", Input(x.shape)),
        GraphNode("cells", Activation("relu"), ("x",)),
        GraphNode("curve", Activation(name, CURVE_PARAMETERS.get(name, {})), ("cells",)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = Graph(nodes, {"y": "curve"})
        found = sensitivities(graph, ["cells"], {"x": x[None]}, ["curve"], per)["cells"]
    up, down = (graph["curve"].layer.evaluate(x * factor) for factor in (1.05, 0.95))
    return found, (up - down) / (0.1 * x)


@pytest.mark.parametrize("name", CURVED)
def test_sensitivity_follows_the_slope_of_every_curve_behind(name: str) -> None:
    """It is the sum of squared slopes at the values of the data, where these change slowly."""
    found, slopes = behind_cells(name, np.linspace(0.5, 1.5, 200), "layer")

    assert found == pytest.approx(np.square(slopes).sum(), rel=0.15)


@pytest.mark.parametrize("per", ["layer", "channel"])
@pytest.mark.parametrize("name", CURVED)
def test_sensitivity_is_a_number_near_the_steep_place_of_every_curve(name: str, per: Any) -> None:
    """Of values of three decades, beside a place where some curves have none; the steeper, the more
    it is.
    """
    found, _ = behind_cells(name, np.geomspace(0.001, 1.0, 200), per)
    assert np.isfinite(found).all() and (found >= 0).all()
    if CURVES[name].domain != "all" and per == "layer":
        far, _ = behind_cells(name, np.linspace(0.5, 1.0, 200), per)
        order = CURVES[name].order_with(CURVE_PARAMETERS.get(name, {}))
        assert order == 1 or found > far


def test_a_budget_is_spent_where_a_root_is_steep() -> None:
    """Neurons in front of a root are as fine as it needs: no worse than by their values alone."""
    rng = np.random.default_rng(0)
    nodes = (
        GraphNode("x", Input((12,))),
        GraphNode("first", Affine(rng.normal(size=(40, 12)) / 3), ("x",)),
        GraphNode("cells", Activation("relu"), ("first",)),
        GraphNode("root", Activation("sqrt"), ("cells",)),
        GraphNode("end", Affine(rng.normal(size=(10, 40)) / 6), ("root",)),
    )
    graph, x = Graph(nodes, {"y": "end"}), rng.normal(size=(200, 12))
    wanted = evaluate(graph, {"x": x})["end"]
    errors, spikes = {}, 400.0
    for rule in (sw.EnergyBudget(16, spikes=spikes), sw.EnergyBudget(16, spikes=spikes,
                 like=sw.MinimumError(16, spikes_per_step=1))):  # fmt: skip
        found = sw.convert(graph, spiking=True, scale_firing_rates=rule, calibration=x[:100])
        run = found.run(x, steps=16, progress=False)
        errors[rule.like is None] = float(np.square(run.predict("mean") - wanted).mean())

    assert errors[True] < 1.05 * errors[False]


def test_batch_norm_statistics_stand_for_data() -> None:
    """Without data, normalised channels have the mean and deviation that training left."""
    rng = np.random.default_rng(0)
    nodes = (
        GraphNode("x", Input((2, 8, 8))),
        GraphNode("conv", models.convolution(rng, 6, 2), ("x",)),
        GraphNode("bn", models.batch_norm(rng, 6), ("conv",)),
        GraphNode("relu", Activation("relu"), ("bn",)),
    )
    graph = Graph(nodes, {"out": "relu"})
    values = evaluate(graph, random_inputs(graph, 0.0, 1.0, 64, 0))["bn"]
    layer = graph["bn"].layer

    assert values.mean(axis=(0, 2, 3)) == pytest.approx(layer.beta, abs=1e-9)
    assert values.std(axis=(0, 2, 3)) == pytest.approx(layer.gamma, rel=0.05)
    chosen = sw.DataFreeCalibration(0, 1).choose(case(graph, None))
    assert "batch-norm statistics" in chosen["relu"].text
    assert "not from data" in chosen["relu"].text
    assert chosen["relu"].doubtful


def test_what_is_read_out_last_averages_over_the_synapse() -> None:
    """Thresholds for the last value are those of as many steps as the synapse averages over."""
    layer = case(MLP, X).statistics.layers["act1"]
    setting = NeuronConfig(cap=1, averages=lambda dt: 4.0)

    last = sw.MinimumError(32, readout="last").threshold(layer, setting)
    assert np.array_equal(last, sw.MinimumError(4).threshold(layer, ONE))
    assert np.array_equal(
        sw.MinimumError(32).threshold(layer, setting), sw.MinimumError(32).threshold(layer, ONE)
    )


@pytest.mark.parametrize("kind", [sw.MinimumError, sw.ThresholdIteration])
def test_neurons_without_a_cap_have_no_smallest_error(kind) -> None:
    """Every layer is refused with the two ways out; room for spikes a step is one."""
    of = case(MLP, X, NeuronConfig(cap=None))
    with pytest.raises(ConversionError, match="nothing bounds the spikes") as caught:
        kind(8).choose(of)
    assert [r.layer for r in caught.value.refusals] == ["act1", "act2"]

    roomy = scales(kind(8, spikes_per_step=1), of)
    capped = scales(kind(8), case(MLP, X))
    assert all(np.array_equal(roomy[name], capped[name]) for name in roomy)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: sw.TargetRate(0.0), "TargetRate.hz': it must be a number above 0"),
        (lambda: sw.TargetRate(np.nan), "above 0"),
        (lambda: sw.TargetRate(10.0, 101.0), "at most 100"),
        (lambda: sw.Percentile(per="neuron"), '"auto", "layer" or "channel"'),
        (lambda: sw.MinimumError(0), "whole number from 1"),
        (lambda: sw.MinimumError(2.5), "whole number from 1"),
        (lambda: sw.MinimumError(8, readout="middle"), '"mean", "last" or MeanAfter'),
        (lambda: sw.MinimumError(8, spikes_per_step=0), "whole number from 1"),
        (lambda: sw.MinimumError(8, share=1.5), "at most 1"),
        (lambda: sw.MinimumError(8, share=0.0), "above 0"),
        (lambda: sw.ThresholdIteration(True), "whole number from 1"),
        (lambda: sw.LocalThresholdBalancing(0), "whole number from 1"),
        (lambda: sw.EnergyBudget(8), "one of them"),
        (lambda: sw.EnergyBudget(8, spikes=1.0, joules=1.0), "one of them"),
        (lambda: sw.EnergyBudget(8, spikes=-1.0), "above 0"),
        (lambda: sw.DataFreeCalibration(1.0, 0.0), "from low to high"),
        (lambda: sw.DataFreeCalibration(rule=8), "a rule for data"),
        (lambda: sw.DataFreeCalibration(seed=-1), "whole number from 0"),
    ],
)
def test_impossible_arguments_are_refused(make, words) -> None:
    """By name, with the value."""
    with pytest.raises(ConversionError, match=words):
        make()


def test_statistics_know_their_layers() -> None:
    """A rule of one layer sees that layer alone."""
    of = case(MLP, X)
    alone = replace(of, settings={"act2": ONE})

    assert isinstance(of.statistics, Statistics)
    assert list(scales(sw.MinimumError(8), alone)) == ["act2"]
