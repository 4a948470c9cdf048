"""Readouts are one registry: runs, rules, searches, comparisons and commands ask it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
from scripts.pages import Page

import models
import spikewright as sw
from spikewright.choosing import NeuronConfig
from spikewright.errors import SimulationError
from spikewright.measure import readout as readouts
from spikewright.measure.readout import (
    READOUTS,
    AtEveryStep,
    kind_of,
    named,
    read_out,
    read_out_at_every_step,
)
from spikewright.study.candidates import candidates_of
from spikewright.study.search.objective import Objective
from spikewright.study.search.parameters import space_of
from spikewright.study.search.samples import Running
from spikewright.study.search.space import choices_of, restricted

VALUES = np.random.default_rng(0).normal(size=(3, 12, 2))
X = np.random.default_rng(1).normal(size=(5, 6))


@pytest.fixture
def late_half() -> Iterator[str]:
    """A readout of one's own, known for the length of a test."""

    @readouts.register("second half")
    @dataclass(frozen=True)
    class SecondHalf(AtEveryStep):
        """The mean over the second half of the run."""

        def left_out(self, steps: int, dt: float) -> int:
            return steps // 2

    yield "second half"
    del readouts.READOUTS._members["second half"]


def some_of(name: str) -> list[object]:
    """Readouts of a kind: by its name, or with arguments."""
    return [name] if not fields(READOUTS[name]) else [READOUTS[name](start) for start in (0, 0.004)]


@pytest.mark.parametrize("name", READOUTS)
def test_a_readout_at_a_step_is_that_of_a_run_that_ends_there(name: str) -> None:
    """The law of every kind: one function of the steps so far."""
    for readout in some_of(name):
        over_time = read_out_at_every_step(VALUES, readout, 0.001)
        for steps in range(1, VALUES.shape[1] + 1):
            alone = read_out(VALUES[:, :steps], readout, 0.001)
            assert over_time[:, steps - 1] == pytest.approx(alone)


@pytest.mark.parametrize("name", READOUTS)
def test_every_readout_is_offered_everywhere(name: str) -> None:
    """By evaluations, rules, and the space of a search; the page of searches names it."""
    conversion = sw.convert(models.mlp(), spiking=True, scale_firing_rates=20.0)
    some = some_of(name)
    found = conversion.evaluate(X, None, 12, readouts=some, progress=False)
    assert found.settings["readouts"] == [str(readout) for readout in some]

    for readout in some:
        rule = sw.MinimumError(12, readout=readout, spikes_per_step=1)
        assert 1 <= NeuronConfig().window(12, rule.dt, rule.readout) <= 12

    space = space_of(conversion)
    assert name in choices_of(space, "readout")
    restricted(space, {"readout": name})
    assert f"`{name}`" in Page("choosing.md").text


def test_a_readout_of_ones_own_is_taken_everywhere(late_half: str) -> None:
    """Registered once: of a run, an evaluation, a rule, a search, a comparison."""
    conversion = sw.convert(models.mlp(), spiking=True, scale_firing_rates=20.0)
    run = conversion.run(X, 12, progress=False)
    (raw,) = run.raw.values()
    assert run.predict(late_half) == pytest.approx(raw[:, 6:].mean(axis=1))

    found = conversion.evaluate(X, None, 12, readouts=[late_half], progress=False)
    assert found.settings["readouts"] == [late_half]
    assert NeuronConfig().window(12, 0.001, late_half) == 6
    assert late_half in named()

    space = space_of(conversion)
    translation: Any = None  # nothing is converted
    objective = Objective(conversion, translation, space, "spikes", Running(), translation, 1.0)
    assert list(objective._readouts(conversion, [4, 12])) == [
        "mean",
        "last",
        "after 2",
        "after 4",
        "after 8",
        late_half,
    ]
    (candidate,) = candidates_of({"it": sw.Percentile()}, 12, 0.001, 1, rectifies=False)
    assert late_half in candidate.readouts


@pytest.mark.parametrize("given", ["first", "mean-after", "", None, 3, sw.Window(0.01)])
def test_what_is_no_readout_at_every_step_is_refused(given: object) -> None:
    """With all that there are; a kind that takes arguments goes by no name alone."""
    assert kind_of(given) is None
    with pytest.raises(SimulationError, match=r'"mean", "last" or MeanAfter\(seconds\)'):
        read_out_at_every_step(VALUES, given)  # type: ignore[arg-type]
