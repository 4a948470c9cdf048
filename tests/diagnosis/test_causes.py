"""Causes in words: each is named where it is, with a move that helps, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import damage
import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
import wide_networks as wide
from slowly import in_turn, slow_but
from spikewright.diagnosis.causes import CAUSES, Cause
from spikewright.graph import Graph
from spikewright.graph.layers import Activation, Affine

STEPS = 16


class Case(NamedTuple):
    """A network that has a cause, inputs, how it is converted, and the layers that are to blame."""

    graph: Graph
    x: NDArray
    arguments: Mapping[str, Any]
    layers: set[str]


def narrow_channels() -> Case:
    """Channels around a depthwise layer, of ranges over three decades, one threshold a layer."""
    _, graph, x = wide.before_and_after("depthwise, at most six")
    rule = {"scale_firing_rates": sw.Percentile(per="layer"), "calibration": x}
    return Case(graph, x, rule, {"act1", "act2", "act3"})


def narrow_sign() -> Case:
    """Hard-swish of currents that are mostly below 0, where its values are small."""
    rng = np.random.default_rng(0)
    first = Affine(rng.normal(size=(8, 6)) / 1.6, np.full(8, -1.5))
    layers = {"first": first, "act": Activation("hard_swish"), "head": wide.dense(rng, 5, 8)}
    x = rng.normal(size=(40, 6))
    return Case(wide.chain((6,), **layers), x, {"scale_firing_rates": 60.0}, {"act"})


def cancelling_sums() -> Case:
    """A linear head of differences of channels that are nearly equal, which other layers read."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4, 6))
    first = Affine(np.concatenate([rows, rows + rng.normal(size=rows.shape) / 40]), np.full(8, 2.0))
    layers = {
        "first": first,
        "act": Activation("relu"),
        "boxes": Affine(np.concatenate([np.eye(4), -np.eye(4)], axis=1) * 20),
        "wide": wide.dense(rng, 8, 4),
        "act2": Activation("relu"),
        "head": wide.dense(rng, 5, 8),
    }
    graph = wide.chain((6,), **layers)
    both = Graph(graph.nodes, {"classes": "head", "boxes": "boxes"})
    x = rng.normal(size=(40, 6))
    return Case(both, x, {"scale_firing_rates": 200.0}, {"boxes"})


def rounded_sums() -> Case:
    """A channel of large values behind a small weight, beside a large weight that meets nothing."""
    layers = {
        "first": Affine(np.array([[-1.0, 0.0], [0.0, 1e9]])),
        "act": Activation("relu"),
        "head": Affine(np.array([[1.0, 1e-9], [0.0, 1e-9]])),
    }
    x = np.random.default_rng(0).uniform(1.0, 2.0, (40, 2))
    return Case(wide.chain((2,), **layers), x, {"scale_firing_rates": 1e-6}, {"head"})


MADE: Mapping[str, Callable[[], Case]] = {
    "narrow channels": narrow_channels,
    "narrow sign": narrow_sign,
    "cancelling sums": cancelling_sums,
    "rounded sums": rounded_sums,
}
"""A network for each cause of the registry."""


def test_every_cause_has_a_network() -> None:
    """A cause that is registered is tested."""
    assert {*MADE} == {*CAUSES}


def diagnosed(case: Case, **changes: Any) -> Any:
    """Without truth, by the change of the outputs."""
    made = sw.convert(case.graph, **{"spiking": True, **case.arguments, **changes})
    return made.diagnose(case.x, steps=STEPS, progress=False)


@cache
def plainly(kind: str) -> Any:
    """The diagnosis of the network for a cause."""
    return diagnosed(MADE[kind]())


@pytest.mark.parametrize("kind", MADE)
def test_a_cause_is_named_with_its_layers_figures_and_a_move(kind: str) -> None:
    """By the layers that have it and no other; text, records and plain data have it too."""
    case, found = MADE[kind](), plainly(kind)
    causes = found.causes

    assert {cause.kind for cause in causes} == {kind}
    assert {cause.layer for cause in causes} == case.layers
    for cause in causes:
        assert cause.after <= 0.5 * cause.before
        assert f"{cause.layer}: {cause.text}. {cause.move}." in str(found)
    assert found.as_dict()["causes"][0]["kind"] == kind
    records = [r for r in found.records if r.name == "loss without its cause"]
    assert [r.how["layer"] for r in records] == [cause.layer for cause in causes]
    assert [r.value for r in records] == [cause.after for cause in causes]


def test_heads_that_lose_differently_are_told_apart() -> None:
    """Each of several outputs with its own distance, whose mean square is the whole."""
    found = plainly("cancelling sums")
    changes = found.loss.by_output

    assert changes["boxes"] != pytest.approx(changes["classes"], rel=0.01)
    assert found.loss.change == pytest.approx(np.sqrt(np.mean(np.square(list(changes.values())))))
    records = {r.how["output"]: r.value for r in found.records if r.name == "change of one output"}
    assert records == changes
    told = {f"{name} {100 * change:.1f} %" for name, change in changes.items()}
    assert all(text in str(found) for text in told)
    assert "Away from" not in str(plainly("narrow sign"))


@pytest.mark.parametrize("cap", slow_but([1], [1, None]))
def test_the_rule_that_is_named_for_narrow_channels_wins_back_most(cap: int | None) -> None:
    """It stands in the text as one would write it, and no layer has the cause any more."""
    case = narrow_channels()
    before = diagnosed(case, max_spikes_per_step=cap)
    (rule,) = {cause.move.split("scale_firing_rates=")[1] for cause in before.causes}
    after = diagnosed(case, max_spikes_per_step=cap, scale_firing_rates=eval(rule, {"sw": sw}))

    assert after.loss.change < 0.5 * before.loss.change
    assert not [cause for cause in after.causes if cause.kind == "narrow channels"]


def test_under_a_cap_one_layer_is_offered_thresholds_of_channels() -> None:
    """Where its channels differ; the scales of the other layers stay as they are."""
    case = narrow_channels()
    found = diagnosed(case, max_spikes_per_step=1)
    offered = [p.arguments for p in found.proposals if p.kind.startswith("scale of act")]
    sizes = [[np.size(s) for s in p["scale_firing_rates"].values()] for p in offered]

    assert sizes
    assert all(sorted(each) == [1, 1, wide.CHANNELS] for each in sizes)


@pytest.mark.parametrize(("kind", "layer"), [("narrow sign", "act"), ("cancelling sums", "act")])
def test_the_scale_that_is_named_wins_back_most(kind: str, layer: str) -> None:
    """So many times the scale of the layer in which levels are few."""
    case, before = MADE[kind](), plainly(kind)
    found = re.search(rf"(\d+) times the scale of {layer}\b", before.causes[0].move)
    assert found is not None
    made = sw.convert(case.graph, spiking=True, **case.arguments)
    scales = dict.fromkeys(made.populations(), made.arguments["scale_firing_rates"])
    scales[layer] *= int(found[1])
    after = diagnosed(case, scale_firing_rates=scales)

    assert int(found[1]) >= 2
    assert after.loss.change < 0.5 * before.loss.change


def test_many_layers_of_one_cause_are_told_in_a_line() -> None:
    """The first in full, and the names of the others."""
    cause = Cause("narrow channels", "a", "it is so", "Do this", 1.0, 0.1)
    causes = tuple(replace(cause, layer=name) for name in "abcde")
    found = replace(plainly("narrow channels"), causes=causes)

    assert "c: it is so. Do this.\nSo it is (narrow channels) in d, e." in str(found)


@pytest.mark.parametrize(("name", "cap"), in_turn(wide.NETWORKS, [1, None]))
def test_networks_without_a_cause_get_no_such_sentence(name: str, cap: int | None) -> None:
    """Ranges of channels are alike, values are of one sign or reach as far, sums do not cancel."""
    graph, _, x = wide.before_and_after(name)
    rule = sw.MinimumError(STEPS, spikes_per_step=2 if cap is None else None)
    arguments = {"scale_firing_rates": rule, "calibration": x}
    found = diagnosed(Case(graph, x, arguments, set()), max_spikes_per_step=cap)

    assert found.causes == ()
    assert found.loss.change > 0


def test_a_residual_network_under_one_scale_has_no_such_cause() -> None:
    """It loses to rounding, in every layer alike."""
    graph = damage.residual()
    x = np.random.default_rng(1).normal(size=(20, 2, 6, 6))
    found = diagnosed(Case(graph, x, {"scale_firing_rates": 100.0}, set()))

    assert found.loss.change > 0.02
    assert found.causes == ()
