"""One allocator spends budgets of layers and of channels: what two gave before, number by number.

`budgets_before.json` holds what they gave, with ten digits. Numbers of channels are of the present
allocator: it moves every channel by its own size, and tries thresholds below its own largest value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from calibrating import MLP, RESIDUAL, population_names, statistics_of
from numpy.typing import NDArray

import spikewright as sw
from spikewright.choosing.rules.context import NeuronConfig, RuleContext
from spikewright.choosing.statistics.sensitivity import sensitivities
from spikewright.graph import Graph
from spikewright.study.search.parameters import Allocation, searched_rules

BEFORE = json.loads(Path(__file__).with_name("budgets_before.json").read_text())
GRAPHS = {"mlp": MLP, "residual": RESIDUAL}
NAMES = ("sensitivity", "percentile", "channel percentile", "minimum error", "one scale")

each_graph = pytest.mark.parametrize("name", GRAPHS)


def data(graph: Graph) -> NDArray:
    """Fifty samples."""
    return np.random.default_rng(7).normal(size=(50, *graph.shapes[graph.inputs[0]]))


def case(graph: Graph, setting: NeuronConfig) -> RuleContext:
    """All layers of a graph in this setting."""
    layers = dict.fromkeys(population_names(graph), setting)
    outputs = tuple(graph.outputs.values())
    return RuleContext(graph, graph, layers, outputs, statistics_of(graph, data(graph)))


def agree(found: Mapping[str, NDArray], key: str) -> None:
    """That numbers are those of before, and some of them differ from the others."""
    for layer, values in BEFORE[key].items():
        assert np.reshape(found[layer], -1) == pytest.approx(values, rel=1e-8), (key, layer)
    assert len({repr(values) for values in BEFORE[key].values()}) > 1 or "one scale" in key


@each_graph
def test_sensitivities_of_layers_and_channels_are_one_function(name: str) -> None:
    """Of layers, of channels, and of channels where there is little time."""
    graph = GRAPHS[name]
    given = case(graph, NeuronConfig())
    inputs, layers = {graph.inputs[0]: data(graph)}, population_names(graph)

    agree(sensitivities(graph, layers, given.examples, given.outputs), f"{name}, by layer")
    for work, key in ((1e9, "by channel"), (1.0, "coarse")):
        found = sensitivities(graph, layers, inputs, given.outputs, "channel", work)
        agree(found, f"{name}, {key}")


@each_graph
@pytest.mark.parametrize("rule", NAMES)
def test_thresholds_of_a_search_are_those_of_before(name: str, rule: str) -> None:
    """Without a cap, and with one and a layer that has a share of its own."""
    graph = GRAPHS[name]
    given, layers = case(graph, NeuronConfig()), population_names(graph)
    inputs = {graph.inputs[0]: data(graph)}
    weights = sensitivities(graph, layers, inputs, given.outputs, "channel", 1e9)
    of = Allocation(given, weights, searched_rules())

    even = of.thresholds(rule, 0.5 * of.neurons, {}, 4, NeuronConfig())
    agree(even, f"{name}, {rule}, 0.0")
    shares = {layers[0]: 1.0}
    agree(
        of.thresholds(rule, 2.0 * of.neurons, shares, 8, NeuronConfig(1, 0.0)),
        f"{name}, {rule}, 1.0",
    )


@each_graph
@pytest.mark.parametrize(
    "setting", [NeuronConfig(), NeuronConfig(1, 0.0), NeuronConfig(2, None)], ids=repr
)
def test_budgets_of_layers_are_split_as_before(name: str, setting: NeuronConfig) -> None:
    """A small and a large one."""
    given = case(GRAPHS[name], setting)
    for spikes in (20.0, 200.0):
        found = sw.EnergyBudget(8, spikes=spikes).choose(given)
        scales = {layer: choice.scale for layer, choice in found.items()}
        agree(scales, f"{name}, budget, {setting.cap}, {spikes}")


@each_graph
@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("cap", [None, 1])
def test_budgets_are_kept_as_before(name: str, cap: int | None) -> None:
    """The network is run, and scales are those that keep the budget."""
    graph = GRAPHS[name]
    made = sw.convert(
        graph, spiking=True, scale_firing_rates=sw.EnergyBudget(8, spikes=150.0),
        calibration=data(graph), max_spikes_per_step=cap,
    )  # fmt: skip
    agree(made.resolved["scale_firing_rates"], f"{name}, kept, {cap}")


@each_graph
@pytest.mark.parametrize("like", [None, sw.ConstantScale(), sw.Percentile(per="channel")], ids=str)
def test_a_budget_of_channels_is_kept(name: str, like: sw.ScaleRule | None) -> None:
    """By running: channels have thresholds of their own, or those of another rule, all moved."""
    graph, steps, spikes = GRAPHS[name], 8, 150.0
    rule = sw.EnergyBudget(steps, spikes=spikes, per="channel", like=like)
    made = sw.convert(graph, spiking=True, scale_firing_rates=rule, calibration=data(graph))
    counts = made.run(data(graph), steps, progress=False).spike_counts()
    scales = made.resolved["scale_firing_rates"]

    assert sum(float(c.mean()) for c in counts.values()) == pytest.approx(spikes, rel=0.05)
    different = {round(float(s), 6) for scale in scales.values() for s in np.reshape(scale, -1)}
    assert (len(different) == 1) == isinstance(like, sw.ConstantScale)
    if isinstance(like, sw.Percentile):
        alone = like.choose(case(graph, NeuronConfig()))
        ratios = [alone[layer].scale / scale for layer, scale in scales.items()]
        for ratio in ratios:
            assert ratio == pytest.approx(ratios[0].flat[0], rel=1e-6)


def test_channels_err_less_than_layers_for_the_same_spikes() -> None:
    """The law of the split: the outputs' expected error falls with every choice that is free."""
    given = case(MLP, NeuronConfig())
    weights = sw.EnergyBudget(8, spikes=100.0, per="channel").allocator(given)

    def error(scales: Mapping[str, NDArray]) -> float:
        total = 0.0
        for name, item in weights.layers.items():
            theta = 1.0 / (np.broadcast_to(np.reshape(scales[name], -1), item.weights.shape) * 1e-3)
            total += float(item.errors(theta).sum())
        return total

    found = {}
    for per, like in (("channel", None), ("channel", sw.ConstantScale())):
        rule = sw.EnergyBudget(8, spikes=100.0, per=per, like=like)  # type: ignore[arg-type]
        found[like is None] = {n: c.scale for n, c in rule.choose(given).items()}
    assert error(found[True]) < error(found[False])


@pytest.mark.parametrize("like", [sw.ConstantScale(), sw.Percentile(per="channel")], ids=str)
def test_proportions_are_not_driven_beyond_their_best(like: sw.ScaleRule) -> None:
    """Under a cap a huge budget is not spent: smaller thresholds would only cut off."""
    given = case(MLP, NeuronConfig(cap=1))
    rule = sw.EnergyBudget(8, spikes=1e9, per="channel", like=like)
    allocator = rule.allocator(given)
    split = allocator.split()

    def error(factor: float) -> float:
        thetas = {name: theta * factor for name, theta in split.thresholds.items()}
        return sum(float(allocator.layers[n].errors(theta).sum()) for n, theta in thetas.items())

    assert not split.spends_all
    assert all(error(1.0) <= error(factor) for factor in (0.5, 0.8, 1.25, 2.0))


@pytest.mark.parametrize("like", [sw.EnergyBudget(8, spikes=1.0), "percentile"])
def test_a_budget_is_like_no_other_budget(like: object) -> None:
    """Only a rule that chooses by values alone has proportions."""
    with pytest.raises(sw.errors.ConversionError, match=r"EnergyBudget\.like"):  # type: ignore[attr-defined]
        sw.EnergyBudget(8, spikes=1.0, like=like)  # type: ignore[arg-type]
