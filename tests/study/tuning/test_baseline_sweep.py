"""The baseline sweep that comes first: its scales, its time, and that no choice costs more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import spikewright as sw
from spikewright import demo
from spikewright.study.search import tune
from spikewright.study.search.certificate import PairedLoss
from spikewright.study.search.generators import ORIGIN, BaselineSweep
from spikewright.study.search.measurement import Measurement
from spikewright.study.search.space import Choices, Range
from spikewright.study.search.trials import Study

SPACE = {
    "steps": Choices((1, 4, 16)),
    "rule": Choices(("sensitivity", "one scale")),
    "level": Range(-2.0, 4.0, 0.0),
}


def sweep(seconds: float = 0.0, trials: int | None = None, **space: Any) -> BaselineSweep:
    """A sweep of 100 seconds; a step takes so many of them."""

    def holds(point: Measurement) -> bool:
        return point.drop <= 0.02

    return BaselineSweep({**SPACE, **space}, lambda steps: seconds * steps, 100.0, holds, trials)


class Kept(Study):
    """A study whose trials are given: settings of the sweep with points."""

    def __init__(self, trials: list[list[Measurement]], steps: int = 16) -> None:
        asked = {"steps": steps, "rule": "one scale"}
        super().__init__(None, [Given({"origin": ORIGIN, "asked": asked}) for _ in trials])
        self._points = [point for points in trials for point in points]

    def finished(self) -> list[Measurement]:
        """Those that were given."""
        return self._points


class Given:
    """An Optuna trial, as far as a sweep looks at it."""

    def __init__(self, user_attrs: dict[str, Any]) -> None:
        self.user_attrs = user_attrs


def tried(
    number: int, level: float, *points: tuple[int, int, float], origin: str = ORIGIN
) -> list[Measurement]:
    """A trial at a level in 16 steps; points are steps, samples lost of a hundred, and cost."""
    values: Any = {"steps": 16, "rule": "one scale", "level": level}
    setting: Any = {"values": values, "trial": number, "origin": origin}
    return [
        Measurement(t, "mean", PairedLoss.counts(100, lost, 0), cost, {}, **setting)
        for t, lost, cost in points
    ]


def test_octaves_come_first_within_the_range_and_in_one_long_run() -> None:
    """Whatever number of steps is asked for, it is read off the longest run."""
    found = [proposal.values for proposal in sweep()(Kept([]))]
    levels = [values["level"] for values in found]
    assert levels == sorted(levels, reverse=True)
    assert (max(levels), min(levels)) == (4.0, -2.0)
    assert {(values["rule"], values["steps"]) for values in found} == {("one scale", 16)}


@pytest.mark.parametrize(
    ("seconds", "steps"), [(0.1, 16), (0.2, 4), (1.0, 1), (5.0, None)]
)  # fmt: skip
def test_it_runs_as_many_steps_as_there_is_time_for(seconds: float, steps: int | None) -> None:
    """Three tenths of the time are its own; where one step is too long there is no sweep."""
    assert {p.values["steps"] for p in sweep(seconds)(Kept([]))} == ({steps} if steps else set())


def test_trials_that_are_counted_leave_it_a_third() -> None:
    """Of twelve four: then others have their turn."""
    three = [tried(i, 1.0) for i in range(3)]
    assert list(sweep(trials=12)(Kept(three)))
    assert not list(sweep(trials=12)(Kept([*three, tried(3, 0.0)])))


def test_without_one_scale_in_the_space_there_is_no_sweep() -> None:
    """A user who restricts the rules has not asked for it."""
    assert not list(sweep(rule=Choices(("percentile",)))(Kept([])))


def test_neighbours_of_the_cheapest_that_holds_are_tried_in_short_runs() -> None:
    """Level 2 in one step is the cheapest that loses at most two: its scale means 0 in 4 steps."""
    study = Kept([
        tried(0, 3.0, (1, 0, 9.0), (16, 0, 90.0)),
        tried(1, 2.0, (1, 2, 5.0), (16, 0, 50.0)),
        tried(2, 1.0, (1, 3, 2.0), (16, 1, 20.0)),
    ])  # fmt: skip
    found = [p.values for p in sweep().finer(study)]
    assert [(values["steps"], values["level"]) for values in found[:6]] == [
        (4, -0.25), (4, 0.25), (4, -0.125), (4, 0.125), (4, -0.0625), (4, 0.0625)
    ]  # fmt: skip


def test_far_behind_others_it_has_no_neighbours() -> None:
    """Neighbours are tried if the sweep costs at most a quarter more than another that holds."""
    mine = tried(0, 2.0, (1, 2, 5.0))
    for cost, finer in ((3.0, False), (4.5, True), (9.0, True)):
        other = tried(1, 2.0, (1, 2, cost), origin="start")
        assert bool(list(sweep().finer(Kept([mine, other])))) == finer
    worse = tried(1, 2.0, (1, 9, 1.0), origin="start")
    assert list(sweep().finer(Kept([mine, worse])))


def test_where_estimates_decide_neighbours_come_at_once() -> None:
    """Whatever else seems to cost less: estimates are too kind."""
    mine = tried(0, 2.0, (1, 2, 5.0))
    other = tried(1, 2.0, (1, 0, 0.1), origin="start")
    kept, levels = Kept([mine, other]), len(list(sweep()(Kept([]))))
    assert not list(sweep().finer(kept))
    assert len(list(replace(sweep(), settled=False)(kept))) > levels


def test_the_cheapest_points_are_one_a_scale_and_number_of_steps() -> None:
    """Those that hold, the cheapest first; of two readouts the one that loses less."""
    trial = tried(0, 3.0, (4, 2, 5.0), (4, 1, 5.0), (16, 0, 9.0), (1, 7, 1.0))
    other = [replace(point, trial=1, origin="start") for point in trial]
    found = sweep().cheapest([*trial, *other], 9)
    assert [(c.steps, c.paired.lost) for c in found] == [(4, 1), (16, 0)]
    assert len(sweep().cheapest([*trial, *other], 1)) == 1


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Digits and their labels."""
    data = load_digits()
    return data.images[:300, None].astype(np.float32), data.target[:300]


QUICK = {"max_drop": 0.02, "timeout": 60.0, "progress": False}


@pytest.fixture
def worst_list(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A search that has only its dearest setting to show."""
    real = tune.short_list

    def dearest(*args: Any, **kwargs: Any) -> Any:
        found = [*real(*args, **kwargs)]
        return [max(found, key=lambda candidate: candidate.cost)]

    monkeypatch.setattr(tune, "short_list", dearest)
    yield


@pytest.mark.slow
def test_the_choice_costs_no_more_than_the_sweep(worst_list: None, tmp_path: Path) -> None:
    """Where the search has nothing better, the cheapest of the sweep that holds is chosen."""
    study = tmp_path / "study.db"
    choice = sw.tune(demo.MODEL, *digits(), trials=30, study=study, **QUICK)
    others = [point.spikes for point in choice.points]
    assert len(others) > 3
    held = [point.spikes for point in choice.points if point.lost <= 0.02]
    assert choice.best.spikes == min(held)
    assert choice.best.spikes < max(others)
    rule = choice.best.arguments["scale_firing_rates"]
    assert len({round(1e3 * float(np.ravel(scale)[0])) for scale in rule.values()}) == 1


@pytest.mark.slow
def test_a_study_from_before_the_sweep_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its trials are kept, and the sweep follows."""
    study = tmp_path / "study.db"
    with monkeypatch.context() as before:
        before.setattr(BaselineSweep, "__call__", lambda self, study: iter(()))
        first = sw.tune(demo.MODEL, *digits(), trials=4, study=study, **QUICK)
    then = sw.tune(demo.MODEL, *digits(), trials=12, study=study, **QUICK)
    assert sum(first.facts["trials"].values()) == 4
    assert sum(then.facts["trials"].values()) == 12
    optuna = pytest.importorskip("optuna")
    trials = optuna.load_study(study_name="spikewright", storage=f"sqlite:///{study}").trials
    origins = [trial.user_attrs["origin"] for trial in trials]
    assert ORIGIN not in origins[:4]
    assert origins[4:8] == [ORIGIN] * 4
