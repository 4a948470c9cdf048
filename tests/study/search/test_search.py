"""The search on an objective with a known optimum, in memory and in a database."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spikewright.errors import SimulationError, TuningError
from spikewright.study.search.certificate import PairedLoss
from spikewright.study.search.measurement import Measurement, PenalizedCost
from spikewright.study.search.search import ProposedSetting, Search
from spikewright.study.search.space import Choices, Range, Values
from spikewright.study.search.trials import Study, open_study, points_as_json, without_password

SPACE = {
    "kind": Choices(("plain", "good")),
    "level": Range(-4.0, 6.0, 2.0),
    "tilt": Range(-3.0, 3.0, 0.0),
}
N = 1000
FACTS = {"model": "one", "max_drop": 0.02}


def measure(values: Mapping[str, Any], part: slice) -> Sequence[Measurement]:
    """Cost is 2 ** level; what is lost falls with it, and rises with the tilt's distance from 1."""
    n = part.stop - part.start
    cost = 2.0 ** float(values["level"]) * (1.0 if values["kind"] == "good" else 1.5)
    share = min(0.9, 0.05 * 2.0 ** (abs(float(values["tilt"]) - 1.0) - float(values["level"])))
    return [
        Measurement(
            1, "mean", PairedLoss.counts(n, round(share * n), 0), cost, {"spikes": cost}, share
        )
    ]


@dataclass
class Made:
    """An objective with a known optimum, whose values stand for themselves."""

    measure: Any = measure
    space: Any = field(default_factory=lambda: SPACE)
    samples: Any = range(N)
    minimise: str = "spikes"

    def shorten(self, values: Values, steps: int) -> Values:
        """The same."""
        return values

    def identify(self, values: Values) -> str:
        """The values as text."""
        return repr(sorted((k, str(v)) for k, v in values.items()))

    def affordable(self, values: Values) -> bool:
        """There is time for all."""
        return True


def searching(
    study: Study, measuring: Any = measure, starts: Sequence[Values] = (), sampling: bool = True
) -> Search:
    """A search for the least cost at which at most 2 % are lost."""
    begin = starts or [{"kind": "plain", "level": 5.0, "tilt": 0.0}]
    generators = [lambda study: [ProposedSetting(values, "start") for values in begin]]
    made: Any = Made(measuring)
    criteria = [PenalizedCost.of(0.02, 0.02, N)]
    return Search(study, made, lambda *place: [], criteria, generators, sampling=sampling)


def limits(trials: int, seconds: float = 60.0) -> Callable[[int], bool]:
    """A number of trials."""
    end = time.monotonic() + seconds
    return lambda done: done >= trials or time.monotonic() >= end


def best_cost(study: Study) -> float:
    """The least cost that was found within the limit."""
    study.refresh()
    return min(p.cost for p in study.finished() if p.drop <= 0.02)


def test_without_sampling_all_begins_with_what_is_proposed() -> None:
    """Steps lead on from there; it ends when none is left, and waits for nothing else."""
    study = open_study(None, FACTS, 0)
    searching(study, sampling=False).run(limits(1000))
    study.refresh()
    assert "free" not in {trial.user_attrs["origin"] for trial in study.trials}
    assert 10 < len(study.trials) < 1000 and best_cost(study) < 3.0


def test_the_optimum_is_found() -> None:
    """The least cost at which the limit holds is 2.5; steps lead there from one start."""
    study = open_study(None, FACTS, 0)

    searching(study).run(limits(70))

    assert best_cost(study) <= 1.15 * 2.5


def test_a_search_is_a_function_of_its_seed() -> None:
    """The same trials in the same order."""
    found = []
    for _ in range(2):
        study = open_study(None, FACTS, 3)
        searching(study).run(limits(25))
        found.append([(p.trial, p.values, p.origin) for p in study.finished()])

    assert found[0] == found[1]


def test_hopeless_settings_are_pruned_early() -> None:
    """What loses far too much is not measured to the end."""
    seen: list[tuple[float, int]] = []

    def counting(values: Mapping[str, Any], part: slice) -> Sequence[Measurement]:
        seen.append((float(values["level"]), part.stop))
        return measure(values, part)

    starts: list[Values] = [{"kind": "good", "level": level, "tilt": 1.0} for level in (3.0, -3.0)]
    study = open_study(None, FACTS, 0)
    searching(study, counting, starts).run(limits(2))

    assert study.counts() == {"COMPLETE": 1, "PRUNED": 1}
    assert max(stop for level, stop in seen if level == -3.0) == 200


def test_a_search_goes_on_where_it_ended(tmp_path: Path) -> None:
    """The same database: no start is tried twice, and the trials are those of one long search."""
    path = tmp_path / "study.db"
    for trials in (10, 20):
        study = open_study(path, FACTS, 0)
        searching(study).run(limits(trials))

    found = [(p.values, p.origin) for p in study.finished()]
    assert searching(study).done == 20
    assert [origin for _, origin in found].count("start") == 1
    assert len({repr(values) for values, _ in found}) == len(found)


def test_a_trial_of_a_dead_worker_is_tried_again(tmp_path: Path) -> None:
    """Left running by a process that is gone: failed, and its setting is measured after all."""
    path = tmp_path / "study.db"
    study = open_study(path, FACTS, 0)
    dead = subprocess.run(
        [
            sys.executable,
            "-c",
            "from spikewright.study.search.trials import worker_name; print(worker_name())",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    values = {"kind": "good", "level": 4.5, "tilt": 0.5}
    marks = {"origin": "start", "asked": values, "key": "a key", "worker": dead}
    study.inner.enqueue_trial(values, user_attrs=marks)
    study.inner.ask()

    again = open_study(path, FACTS, 0)
    assert again.counts() == {"RUNNING": 1}
    searching(again).run(limits(3))

    assert again.counts()["FAIL"] == 1
    assert values in [point.values for point in again.finished()]


ASKED = {"kind": "good", "level": 4.5, "tilt": 0.5}


def test_a_study_of_something_else_is_refused(tmp_path: Path) -> None:
    """What differs is said, with both values."""
    open_study(tmp_path / "study.db", FACTS, 0)

    with pytest.raises(TuningError, match="another model: it has 'one', and now it is 'two'"):
        open_study(tmp_path / "study.db", {**FACTS, "model": "two"}, 0)


def test_a_study_from_before_a_parameter_goes_on(tmp_path: Path) -> None:
    """Its space may lack parameters; any other difference of the space is refused."""
    older, newer = ({**FACTS, "space": space} for space in ({"a": "1"}, {"a": "1", "b": "2"}))
    open_study(tmp_path / "study.db", older, 0)
    open_study(tmp_path / "study.db", newer, 0)
    with pytest.raises(TuningError, match="another space"):
        open_study(tmp_path / "study.db", {**newer, "space": {"a": "2", "b": "2"}}, 0)
    open_study(tmp_path / "newer.db", newer, 0)
    with pytest.raises(TuningError, match="another space"):
        open_study(tmp_path / "newer.db", {**FACTS, "space": {"a": "1", "b": "3"}}, 0)
    with pytest.raises(TuningError, match="another space"):
        open_study(tmp_path / "newer.db", older, 0)


@pytest.mark.parametrize("storage", ["sqlite:////nowhere/at/all.db", "nonsense://x", "/proc/a.db"])
def test_a_storage_that_cannot_be_reached_is_refused(storage: str) -> None:
    """The storage and the reason are said."""
    with pytest.raises(TuningError, match="cannot be opened"):
        open_study(storage, FACTS, 0)


def test_passwords_of_databases_are_not_shown() -> None:
    """Neither in errors nor in results."""
    assert without_password("mysql://me:secret@host/studies") == "mysql://me:***@host/studies"
    assert without_password(Path("a/study.db")) == "a/study.db"


def test_settings_that_all_fail_end_the_search() -> None:
    """Every reason is told once, with how often it was one."""
    met: list[int] = []

    def failing(values: Mapping[str, Any], part: slice) -> Sequence[Measurement]:
        met.append(1)
        raise SimulationError("the moon is full" if len(met) % 2 else "the moon is new")

    study = open_study(None, FACTS, 0)
    with pytest.raises(TuningError, match="no setting") as caught:
        searching(study, failing).run(limits(50))
    assert str(caught.value).count("the moon is full") == 1
    assert f"{len(met) // 2} x the moon is new" in str(caught.value)


def test_a_setting_that_fails_does_not_end_the_search() -> None:
    """It is noted with its reason, and the search goes on."""

    def failing(values: Mapping[str, Any], part: slice) -> Sequence[Measurement]:
        if values["kind"] == "plain":
            raise SimulationError("not this one")
        return measure(values, part)

    starts: list[Values] = [{"kind": kind, "level": 4.0, "tilt": 0.0} for kind in ("plain", "good")]
    study = open_study(None, FACTS, 0)
    searching(study, failing, starts).run(limits(10))

    assert study.counts()["FAIL"] >= 1
    assert any(t.user_attrs.get("error") == "not this one" for t in study.trials)
    assert searching(study).done == 10


def test_a_search_that_gets_nowhere_ends() -> None:
    """When no step is left and the sampler finds nothing better, it is over before its time."""
    space_of_one = {"kind": "good", "level": 2.0, "tilt": 1.0}

    def constant(values: Mapping[str, Any], part: slice) -> Sequence[Measurement]:
        return measure(space_of_one, part)

    study = open_study(None, FACTS, 0)
    searching(study, constant).run(limits(10_000, seconds=50))

    assert searching(study).done < 300


@pytest.mark.parametrize(
    "changes",
    [
        {"values": "{"},
        {"values": "[" * 100_000},
        {"values": '{"level": [1.0]}'},
        {"values": '{"level": NaN}'},
        {"values": "[]"},
        {"values": '{"coding": "digits"}'},
        {"values": '{"coding": "[\\"Digits\\", {}]"}'},
        {"points": "3"},
        {"points": "[{}]"},
        {"points": None},
    ],
)
def test_a_trial_that_cannot_be_read_is_named(changes: dict[str, Any]) -> None:
    """A study goes on from what it holds, so it is looked through; whole trials are taken."""
    optuna = pytest.importorskip("optuna")
    whole = {"values": json.dumps(ASKED), "points": points_as_json(measure(ASKED, slice(0, N)))}
    for attributes in (whole, whole | changes):
        study = open_study(None, FACTS, 0)
        study.inner.add_trial(optuna.trial.create_trial(value=1.0, user_attrs=attributes))
        study.refresh()
        if attributes == whole:
            assert [point.values for point in study.finished()] == [ASKED]
        else:
            with pytest.raises(TuningError, match="trial 0 of the study was not"):
                study.finished()


def test_the_later_of_two_trials_of_one_setting_gives_way(tmp_path: Path) -> None:
    """Two workers had the same idea at once: one of them measures it."""
    study = open_study(tmp_path / "study.db", FACTS, 0)
    first, second = study.inner.ask(), study.inner.ask()
    for trial in (first, second):
        trial.set_user_attr("key", "same")
    assert study.has_twin(second.number, "same")
    assert not study.has_twin(first.number, "same")
    assert not study.has_twin(second.number, "another")
