"""Conversions whose first spikes are worth more: input comes at once, sums stay the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from frontends.recurrent import cell_of, graph_of
from spikewright.choosing.measured_activations import sent_means, source_means
from spikewright.errors import ConversionError, SimulationError, TrainingError
from spikewright.graph import Graph

STEPS = 4
KIND = sw.BipolarIntegrateAndFire.in_steps(STEPS)
KINDS = [KIND, sw.BipolarIntegrateAndFire.in_steps(STEPS, 3)]
GRAPHS = {"mlp": models.mlp(seed=3), "residual": models.residual(seed=4, pool=True)}


def converted(graph: Graph, kind: Any = KIND, **arguments: Any) -> tuple[sw.Conversion, NDArray]:
    """A conversion with thresholds for the steps, and samples."""
    x = models.inputs(graph, batch=30, seed=6)
    given = {"scale_firing_rates": sw.MinimumError(STEPS), "calibration": x, **arguments}
    return sw.convert(graph, spiking={"relu": kind}, **given), x


CORRECTED = {"bias_correction": sw.StepCorrection(STEPS)}


@pytest.mark.parametrize("correction", [{}, CORRECTED], ids=["plain", "corrected"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_every_engine_sends_the_same(graph: Graph, kind: Any, correction: dict[str, Any]) -> None:
    """Spikes of every neuron, alone or in a batch, before and behind the steps with heights."""
    conversion, x = converted(graph, kind, **correction)
    for steps in (1, STEPS, STEPS + 3):
        runs = {
            name: conversion.run(x, steps, engine=name, precision="float64", progress=False)
            for name in sw.engines.available()
        }
        alone = conversion.run(x[3:4], steps, engine="reference", progress=False)
        wanted = runs.pop("reference")
        for found in runs.values():
            for name, population in wanted.populations.items():
                np.testing.assert_array_equal(found.populations[name].totals, population.totals)
                np.testing.assert_array_equal(found.populations[name].net, population.net)
        for name, population in alone.populations.items():
            np.testing.assert_array_equal(population.net[0], wanted.populations[name].net[3])


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_it_tends_to_its_source(graph: Graph) -> None:
    """The error falls as 1 / T behind the steps with heights, biases of each step and all."""
    conversion, x = converted(graph, **CORRECTED)
    without_cap = {"relu": replace(KIND, max_spikes_per_step=None)}
    capless = conversion.replace(**{**conversion.resolved, "spiking": without_cap})
    wanted = sw.convert(graph).run(x, 1, progress=False).predict()
    errors = [
        np.abs(capless.run(x, steps, progress=False).predict() - wanted).max()
        for steps in (100, 400, 1600)
    ]
    assert errors[0] > 2.5 * errors[1] > 6 * errors[2]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_a_file_holds_it(graph: Graph, kind: Any, tmp_path: Path) -> None:
    """A loaded conversion, and one made with resolved arguments, send the same spikes."""
    conversion, x = converted(graph, kind, **CORRECTED)
    conversion.save(tmp_path / "made.sw")
    loaded = sw.load(tmp_path / "made.sw")
    again = sw.convert(graph, **conversion.resolved)
    wanted = conversion.run(x, STEPS, progress=False)
    for other in (loaded, again, loaded.replace(**loaded.resolved)):
        assert other.lowered.at_once == STEPS
        found = other.run(x, STEPS, progress=False)
        for name, population in wanted.populations.items():
            np.testing.assert_array_equal(found.populations[name].totals, population.totals)
        np.testing.assert_array_equal(found.predict(), wanted.predict())


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_corrections_aim_at_all_that_is_to_be_sent(graph: Graph, kind: Any) -> None:
    """A correction brings the values sent nearer to the source's, most of all in the first step.

    As far as so many steps can say it. Such small networks gain little by later steps.
    """
    plain, x = converted(graph, kind)
    corrected, _ = converted(graph, kind, **CORRECTED)
    at, samples = range(1, STEPS + 1), plain.as_inputs(x)
    wanted = source_means(plain, samples, at, 0.001)
    gaps = []
    for conversion in (plain, corrected):
        sent = sent_means(conversion, samples, at, 0.001)
        apart = [np.abs(sent[name] - wanted[name]) for name in wanted]
        gaps.append(sum(gap.reshape(STEPS, -1).sum(axis=1) for gap in apart))
    assert gaps[1][0] < 0.8 * gaps[0][0] and gaps[1].sum() < gaps[0].sum()
    first = next(iter(wanted.values()))
    assert np.all(first[0] >= first[-1] - 1e-12)  # as means: at once, less what is out of reach


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_recorded_spikes_are_those_that_are_counted(kind: Any) -> None:
    """At most the cap of either sign a step; less those in the first that are taken as sent."""
    conversion, x = converted(GRAPHS["mlp"], kind, **CORRECTED)
    names = list(conversion.populations())
    run = conversion.run(x, STEPS + 2, record=names, progress=False)
    for name, counts in run.spike_counts().items():
        spikes = run.spikes_over_time(name)
        assert np.abs(spikes).max() == kind.most_spikes
        np.testing.assert_array_equal(np.abs(spikes).sum(axis=(1, 2)), counts)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_trained_networks_send_what_the_training_measured(kind: Any) -> None:
    """Loss and spikes of the kept epoch are those of a run; biases of each step stay."""
    conversion, x = converted(GRAPHS["mlp"], kind, **CORRECTED)
    trained = conversion.train(
        x, steps=STEPS, epochs=2, validation=x[:8], thresholds="kept", keep="last", seed=0,
        progress=False,
    )  # fmt: skip
    assert trained.conversion.lowered.at_once == STEPS
    kept = trained.history[trained.kept - 1].held_back
    run = trained.conversion.run(x[:8], STEPS, progress=False)
    assert kept is not None
    assert kept.spikes == pytest.approx(sum(n.sum() for n in run.spike_counts().values()) / 8)
    with pytest.raises(TrainingError, match=r"steps=3: .* the first 4 steps.* as many spike_heigh"):
        conversion.train(x, steps=3, epochs=1, progress=False)


def test_what_has_no_place_for_them_says_so() -> None:
    """Input that changes, streams, modules, and sequences whose steps share neurons."""
    conversion, x = converted(GRAPHS["mlp"])
    with pytest.raises(SimulationError, match=r"all of 4 steps comes at once.* without spike_heig"):
        conversion.run(np.repeat(x[:, None], 5, axis=1), progress=False)
    with pytest.raises(SimulationError, match=r"a stream takes a frame.* all of 4 steps"):
        conversion.stream()
    with pytest.raises(TrainingError, match=r"have spike_heights.*conversion.train"):
        conversion.to_torch(STEPS)
    with pytest.raises(ConversionError, match=r"'sequence_step': spikes have heights.*without"):
        sw.convert(graph_of(cell_of("relu")), spiking={"relu": KIND}, sequence_step=3)
