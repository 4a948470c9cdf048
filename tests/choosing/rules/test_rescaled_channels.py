"""Channels rescaled without a change of the function: rules for channels give the same network.

Ranges of channels that differ by decades are what batch normalisation leaves behind depthwise
convolutions (Nagel et al. 2019, Data-Free Quantization Through Weight Equalization and Bias
Correction, arXiv 1906.04721). One threshold for a layer then rounds most of them to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from calibrating import EXAMPLES

import spikewright as sw
from spikewright.choosing.rules import RULES, DataFreeCalibration
from spikewright.choosing.rules.rule import StepsRule
from spikewright.graph import Graph, evaluate_all
from wide_networks import CHANNELS, NETWORKS, before_and_after

STEPS = 8


def of_channels(rule: sw.ScaleRule, per: str = "channel", cap: int | None = 1) -> sw.ScaleRule:
    """The rule for channels, or for layers; neurons without a cap have room for two spikes."""
    if isinstance(rule, DataFreeCalibration):
        return replace(rule, rule=of_channels(rule.rule, per, cap))
    rule = replace(rule, per=per)  # type: ignore[call-arg]
    like = getattr(rule, "like", None)
    if like is not None:
        rule = replace(rule, like=of_channels(like, per, cap))  # type: ignore[call-arg]
    if isinstance(rule, StepsRule) and cap is None:
        rule = replace(rule, spikes_per_step=2)
    return rule


def claims_channels(rule: object) -> bool:
    """Whether it has a choice between layers and channels."""
    inner = rule.rule if isinstance(rule, DataFreeCalibration) else rule
    return "per" in {field.name for field in fields(inner)}  # type: ignore[arg-type]


RULES_OF_CHANNELS = [
    rule
    for rules in EXAMPLES.values()
    for rule in dict.fromkeys(of_channels(rule) for rule in rules if claims_channels(rule))
]


def in_turn_on_networks() -> Iterator[Any]:
    """Every rule on three networks, with a cap and without: another one's on the next three."""
    names = list(NETWORKS)
    for place, rule in enumerate(RULES_OF_CHANNELS):
        for turn in range(3):
            name, cap = names[(place + 4 * turn) % len(names)], (1, None)[(place + turn) % 2]
            marks = [] if turn == 0 else [pytest.mark.slow]
            yield pytest.param(rule, name, cap, id=f"{rule}-{name}-{cap}", marks=marks)


def test_every_rule_that_claims_channels_is_tried() -> None:
    """All of the registry but the one that looks at nothing."""
    cases = [param.values for param in in_turn_on_networks()]
    assert {type(rule) for rule, *_ in cases} == {*RULES.values()} - {sw.ConstantScale}
    assert {name for _, name, _ in cases} == {*NETWORKS}


def sent(graph: Graph, x: np.ndarray, rule: sw.ScaleRule, cap: int | None) -> tuple[Any, Any]:
    """Outputs of all samples, and spikes of each layer and sample."""
    made = sw.convert(
        graph, spiking=True, scale_firing_rates=rule, calibration=x, max_spikes_per_step=cap
    )
    run = made.run(x, STEPS, progress=False)
    return run.predict(), run.spike_counts()


@pytest.mark.filterwarnings("ignore:.*has doubts")
@pytest.mark.parametrize(("rule", "name", "cap"), [*in_turn_on_networks()])
def test_a_rule_for_channels_does_not_see_that_they_were_rescaled(
    rule: sw.ScaleRule, name: str, cap: int | None
) -> None:
    """Outputs and the spikes of every layer are those of before, with a cap and without.

    But for one spike in fifty: values between layers are on a grid that the largest of all channels
    determines, so that ties may be broken otherwise, and spikes taken back.
    """
    graph, wide, x = before_and_after(name)
    rule = of_channels(rule, cap=cap)
    (old, spikes), (new, spikes_then) = (sent(each, x, rule, cap) for each in (graph, wide))

    for layer, counts in spikes.items():
        assert np.abs(spikes_then[layer] - counts).sum() <= max(2, counts.sum() // 50)
    assert sum(counts.sum() for counts in spikes.values()) > 0
    alike = np.isclose(new, old, atol=0.01 * np.abs(old).max()).all(axis=1)
    assert alike.mean() > 0.9  # a spike of a tie changes a sample


DEFAULTS = {
    "percentile": sw.Percentile(),
    "target-rate": sw.TargetRate(1000.0),
    "energy-budget": sw.EnergyBudget(STEPS, spikes=1000.0),
    "data-free-calibration": sw.DataFreeCalibration(-2, 2),
}
"""Rules that choose between layers and channels themselves."""


def error(graph: Graph, x: np.ndarray, rule: sw.ScaleRule) -> float:
    """Of the outputs, relative to the source's, without a cap."""
    truth = evaluate_all(graph, {"x": x})["head"]
    found, _ = sent(graph, x, rule, None)
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


@pytest.mark.filterwarnings("ignore:.*has doubts")
@pytest.mark.parametrize("kind", DEFAULTS)
@pytest.mark.parametrize("name", ["depthwise", "depthwise, at most six", "dense"])
def test_by_default_rules_choose_for_channels_where_ranges_differ(name: str, kind: str) -> None:
    """One threshold a layer loses a wide network; the default is the choice for channels there."""
    _, wide, x = before_and_after(name)
    rule = DEFAULTS[kind]
    layers, channels = (of_channels(rule, per, None) for per in ("layer", "channel"))
    made, other = (
        sw.convert(wide, spiking=True, scale_firing_rates=each, calibration=x)
        for each in (rule, channels)
    )
    pairs = NETWORKS[name][2]
    for layer in pairs:
        behind = wide.consumers[layer][0]
        found, expected = (m.resolved["scale_firing_rates"][behind] for m in (made, other))
        np.testing.assert_array_equal(found, expected)
        assert np.size(found) == CHANNELS
    assert error(wide, x, layers) > 1.5 * error(wide, x, rule)


@pytest.mark.filterwarnings("ignore:.*has doubts")
@pytest.mark.parametrize("kind", DEFAULTS)
def test_by_default_rules_choose_for_layers_where_ranges_are_alike(kind: str) -> None:
    """The trace says nothing of channels; where they are chosen it says their ranges."""
    graph, wide, x = before_and_after("dense")
    told = []
    for each in (graph, wide):
        made = sw.convert(each, spiking=True, scale_firing_rates=DEFAULTS[kind], calibration=x)
        told.append("\n".join(str(entry) for entry in made.trace if entry.layer == "act1"))
        scale = made.resolved["scale_firing_rates"]["act1"]
        assert (np.size(scale) == 1) is (each is graph)
    assert "channels" not in told[0]
    assert "for each channel: the largest values of channels span" in told[1]
