"""What float32 sources mean by zero: no rule makes spikes of rounding errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibrating import ALL, MLP, statistics_of

import models
import spikewright as sw
from spikewright.choosing.statistics.sensitivity import above_rounding
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Add, Affine, Input, ScaleShift

X = np.random.default_rng(0).normal(size=(40, 6))
STEPS = 8


def cancelling(apart: float = 0.0) -> Graph:
    """`tanh(relu(h) - relu(.37 h) / .37)`, and beside it `relu(h)`; the first channel `apart`."""
    rng = np.random.default_rng(1)
    back = np.full(9, -1 / 0.37)
    back[0] -= apart
    nodes = (
        GraphNode("x", Input((6,))),
        GraphNode("h", Affine(rng.normal(size=(9, 6)), rng.normal(size=9)), ("x",)),
        GraphNode("once", Activation("relu"), ("h",)),
        GraphNode("less", ScaleShift(np.array(0.37), None), ("h",)),
        GraphNode("twice", Activation("relu"), ("less",)),
        GraphNode("more", ScaleShift(back, None), ("twice",)),
        GraphNode("nothing", Add(), ("once", "more")),
        GraphNode("tanh", Activation("tanh"), ("nothing",)),
        GraphNode("end", Affine(rng.normal(size=(3, 9)), None), ("tanh",)),
        GraphNode("beside", Affine(rng.normal(size=(3, 9)), None), ("once",)),
        GraphNode("sum", Add(), ("end", "beside")),
    )
    return Graph(nodes, {"y": "sum"})


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("rule", ALL, ids=repr)
def test_no_rule_makes_spikes_of_rounding_errors(rule) -> None:
    """A layer that is zero but for rounding is silent to all rules, and their trace says so."""
    source = sw.convert(cancelling())
    values = source.calibrate(X, progress=False).layers["tanh"].values
    assert 0 < np.abs([values.lowest, values.highest]).max() < 1e-6

    data = {"calibration": X} if rule.needs_data else {}
    found = source.replace(spiking=True, max_spikes_per_step=1, scale_firing_rates=rule, **data)

    assert np.max(found.resolved["scale_firing_rates"]["tanh"]) < 1e6
    (line,) = [e for e in found.trace if e.stage == "calibrate" and e.layer == "tanh"]
    assert line.status == "warning"
    assert "nothing but rounding errors" in line.text
    free = source.replace(**{**found.resolved, "max_spikes_per_step": None})
    assert free.run(X, STEPS, progress=False).spike_counts()["tanh"].max() < 100


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("rule", [r for r in ALL if r.needs_data], ids=repr)
def test_channels_beside_rounding_errors_keep_their_values(rule) -> None:
    """One channel is no rounding error: it is sent, and its scale is what it would be alone."""
    source = sw.convert(cancelling(apart=0.01))
    layer = above_rounding(source.calibrate(X, progress=False), source.canonical, "tanh")
    sends = layer.sent.highest - layer.sent.lowest > 0
    assert sends.tolist() == [True] + [False] * 8

    found = source.replace(
        spiking=True, max_spikes_per_step=1, scale_firing_rates=rule, calibration=X
    )
    (line,) = [e for e in found.trace if e.stage == "calibrate" and e.layer == "tanh"]
    assert "are rounding errors and count as 0" in line.text
    scale = np.broadcast_to(found.resolved["scale_firing_rates"]["tanh"], 9)
    assert np.all(scale <= scale[0])


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_small_values_are_no_rounding_errors(size) -> None:
    """Weights may be as small as they like: only what is small beside its own terms is nothing."""
    nodes = tuple(
        replace(node, layer=replace(node.layer, weight=size * node.layer.weight, bias=None))
        if node.name == "fc1"
        else node
        for node in MLP
    )
    graph = Graph(nodes, MLP.outputs)
    statistics = statistics_of(graph, X)

    for layer in (above_rounding(statistics, graph, name) for name in statistics.layers):
        assert not layer.rounded
        assert not layer.is_silent
    assert np.all(statistics.rounding["act1"] < 1e-4 * statistics.layers["act1"].values.highest)


def test_rounding_errors_are_measured_once() -> None:
    """Statistics keep them, and stay what they are: equal, in files and joined, to others."""
    graph = models.residual(seed=4, pool=True)
    x = models.inputs(graph, 5, 1)
    one, two = (sw.convert(graph).calibrate(x, progress=False) for _ in range(2))
    above_rounding(one, sw.convert(graph).canonical, next(iter(one.layers)))
    kept = dict(one.rounding)

    assert one == two
    for name in one.layers:
        above_rounding(one, sw.convert(graph).canonical, name)
    assert one.rounding.keys() == kept.keys() == one.layers.keys()
    assert all(one.rounding[name] is kept[name] for name in kept)
    assert sw.Statistics.join([one, two]).rounding == {}
