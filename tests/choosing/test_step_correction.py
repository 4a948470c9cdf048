"""Biases of each step: measured, given, run on every engine, saved, and refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from frontends.recurrent import cell_of
from frontends.recurrent import graph_of as sequence_of
from spikewright import engines
from spikewright.choosing.correction import StepCorrection
from spikewright.choosing.measured_activations import sent_means, source_means
from spikewright.errors import ConversionError, TrainingError
from spikewright.graph import Graph
from spikewright.graph.layers import Affine

MLP = models.mlp(seed=3)
RESIDUAL = models.residual(seed=4, pool=True)
X = models.inputs(MLP, batch=60, seed=5)
IMAGES = models.inputs(RESIDUAL, batch=12, seed=6)
NEURONS = [True, {"relu": sw.BipolarIntegrateAndFire()}]
STEPS = 4


def convert(graph: Graph, x: NDArray | None = None, **changes: Any) -> sw.Conversion:
    """Spiking, at most one spike a step, thresholds for four steps."""
    given = {"spiking": True, "max_spikes_per_step": 1, **changes}
    if x is None:
        return sw.convert(graph, scale_firing_rates=300.0, **given)
    return sw.convert(graph, scale_firing_rates=sw.MinimumError(STEPS), calibration=x, **given)


def mlp_of(weights: Mapping[str, NDArray]) -> Graph:
    """The network of dense layers with these weights, and without biases."""
    nodes = [
        replace(node, layer=Affine(weights[node.name], None)) if node.name in weights else node
        for node in MLP
    ]
    return Graph(tuple(nodes), MLP.outputs)


def gaps(conversion: sw.Conversion, x: NDArray) -> dict[str, NDArray]:
    """Source less spiking mean after each of the first steps, `(steps, *shape)`."""
    samples = {conversion.canonical.inputs[0]: x}
    source = source_means(conversion, samples, (STEPS,), 0.001)
    sent = sent_means(conversion, samples, range(1, STEPS + 1), 0.001)
    return {name: source[name] - sent[name] for name in sent}


def biases_of(graph: Graph) -> dict[str, NDArray]:
    """Random biases of three steps for every layer, of its channels or of its neurons."""
    rng = np.random.default_rng(8)
    populations = convert(graph).populations()
    shapes = [(e.shape[0], *[1] * (len(e.shape) - 1)) for e in populations.values()]
    shapes[-1] = list(populations.values())[-1].shape
    return {
        name: rng.normal(scale=0.5, size=(3, *shape))
        for name, shape in zip(populations, shapes, strict=True)
    }


@pytest.mark.parametrize("per", ["channel", "neuron"])
@pytest.mark.parametrize("neurons", NEURONS, ids=["sends", "takes back"])
@pytest.mark.parametrize(("graph", "x"), [(MLP, X), (RESIDUAL, IMAGES)], ids=["mlp", "residual"])
def test_the_gap_after_each_step_is_smaller(graph, x, neurons, per) -> None:
    """On the data it was measured on, layer by layer; the trace names every layer."""
    plain = convert(graph, x, spiking=neurons)
    found = convert(graph, x, spiking=neurons, bias_correction=StepCorrection(STEPS, per=per))
    before, after = gaps(plain, x), gaps(found, x)

    for name, gap in before.items():
        axes = tuple(range(2, gap.ndim)) if per == "channel" else ()
        assert np.abs(after[name].mean(axes)).mean() < np.abs(gap.mean(axes)).mean()
    entries = [e for e in found.trace if e.stage == "correct"]
    assert [e.layer for e in entries] == list(before)
    assert all("StepCorrection(steps=4" in e.text for e in entries)


def test_what_has_no_error_stays_as_it_is() -> None:
    """Where every value is a whole number of spikes, after every step, no bias is added."""
    x = np.random.default_rng(0).integers(0, 3, (20, 6)).astype(float)
    found = sw.convert(
        mlp_of({"fc1": np.eye(6), "fc2": np.ones((2, 6)), "fc3": np.ones((1, 2))}),
        spiking=True, scale_firing_rates=1000.0, calibration=x,
        bias_correction=StepCorrection(STEPS),
    )  # fmt: skip

    assert not any(b.any() for b in found.resolved["bias_correction"].values())


@pytest.mark.parametrize("engine", [name for name in engines.NAMES if name != "reference"])
@pytest.mark.parametrize("graph", [MLP, RESIDUAL], ids=["mlp", "residual"])
@pytest.mark.parametrize("neurons", NEURONS, ids=["sends", "takes back"])
def test_engines_send_the_same_spikes(graph, neurons, engine) -> None:
    """Of every neuron, during the biased steps and after them, in blocks and step by step."""
    x = X if graph is MLP else IMAGES
    found = convert(graph, spiking=neurons, bias_correction=biases_of(graph))
    plain = convert(graph, spiking=neurons)
    for steps in (2, 3, 11):
        wanted = found.run(x, steps, engine="reference", progress=False)
        run = found.run(x, steps, engine=engine, progress=False, batch_size=5)
        without = plain.run(x, steps, engine="reference", progress=False)
        for name, population in wanted.populations.items():
            assert np.array_equal(run.populations[name].net, population.net)
            assert not np.array_equal(without.populations[name].net, population.net)


def test_a_bias_is_a_current_of_its_step() -> None:
    """No input, thresholds of 1000: voltages of 1.2, 2.4 and -.3 spikes, and nothing afterwards."""
    biases = np.array([1200.0, 1200.0, -2700.0])[:, None]
    found = sw.convert(
        mlp_of({"fc1": np.zeros((12, 6)), "fc2": np.zeros((8, 12)), "fc3": np.ones((1, 8))}),
        spiking={"relu": sw.BipolarIntegrateAndFire()}, initial_voltage="zero",
        bias_correction={"act1": biases, "act2": 0.0},
    )  # fmt: skip
    runs = [found.run(X[:1], steps, progress=False) for steps in range(1, 6)]

    assert [int(run.populations["act1"].net[0, 3]) for run in runs] == [1, 2, 0, 0, 0]


def test_biases_are_kept(tmp_path) -> None:
    """As arrays that make the network again without data, and in its file."""
    found = convert(RESIDUAL, IMAGES, bias_correction=StepCorrection(STEPS, per="channel"))
    wanted = found.run(IMAGES, 9, progress=False).output
    found.save(tmp_path / "network")
    loaded = sw.load(tmp_path / "network")

    assert {b.shape for b in found.resolved["bias_correction"].values()} == {(STEPS, 6, 1, 1)}
    for other in (sw.convert(RESIDUAL, **found.resolved), loaded, loaded.replace()):
        assert np.array_equal(other.run(IMAGES, 9, progress=False).output, wanted)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bias_correction": {"act1": np.ones((4, 5)), "act2": 0.0}}, r"act1.*5 values.*takes 12"),
        (
            {"bias_correction": {"act1": np.full((4, 1), np.nan), "act2": 0.0}},
            r"act1.*finite numbers, got nan at \(0, 0\)",
        ),
        ({"bias_correction": {"act1": np.ones((0, 12)), "act2": 0.0}}, r"act1.*\(0, 12\)"),
        ({"bias_correction": {"act1": np.ones((2, 2, 12)), "act2": 0.0}}, "act1.*broadcast"),
        ({"bias_correction": {"act3": np.ones((4, 12)), "act2": 0.0}}, "act3.*Did you mean"),
        ({"bias_correction": np.ones((4, 1)), "spiking": False}, "rate neurons"),
    ],
)  # fmt: skip
def test_biases_that_cannot_be_are_refused(changes, words) -> None:
    """By layer, with the reason."""
    with pytest.raises(ConversionError, match=words):
        sw.convert(MLP, **{"spiking": True, **changes})


def test_what_cannot_keep_the_biases_says_so() -> None:
    """Steps of a sequence, a module through time, and NIR."""
    found = convert(MLP, bias_correction=np.ones((4, 1)))
    with pytest.raises(TrainingError, match=r"act1.*biases of each step.*bias_correction=None"):
        found.to_torch(steps=4)
    with pytest.raises(ConversionError, match="every step of the sequence is a start"):
        sw.convert(
            sequence_of(cell_of("gru")), spiking=True, sequence_step=4,
            bias_correction=np.ones((2, 1)),
        )  # fmt: skip
