"""`sw.tune` with codes of values: signed digits alone, and beside firing rates."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import spikewright as sw
from spikewright import demo
from spikewright.errors import BuildError, ConversionError, SimulationError, TuningError
from spikewright.records import select
from spikewright.study.search.coding import code_of, waiting_otherwise, with_code

MODEL = demo.MODEL
FEW: dict[str, Any] = {"trials": 5, "timeout": 60.0, "max_drop": 0.02, "progress": False}
DIGITS = sw.SignedDigits(4, 2)


class OwnDigits(sw.SignedDigits):
    """A code that files hold none of."""


def digits(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits and their labels."""
    data = load_digits()
    return data.images[first:last, None].astype(np.float32), data.target[first:last]


def coded(found: sw.results.StudyResult) -> dict[str, sw.results.OperatingPoint]:
    """A point of each code, by its text; those of firing rates are ""."""
    return {str(point.setting.how.get("coding", "")): point for point in found.points}


def test_points_are_what_an_evaluation_measures() -> None:
    """Loss, spikes, energy and steps on the held-back samples; tables and JSON name the code."""
    held, codes = digits(150, 300), [sw.SignedDigits(2), DIGITS]
    given = {**FEW, "trials": 2, "minimise": "energy", "validation": held}
    found = sw.tune(MODEL, *digits(0, 150), coding=codes, **given)
    lengths = {name: (point.steps, point.latency) for name, point in coded(found).items()}
    assert lengths == {
        "SignedDigits(steps=2, silent_steps=1)": (2, 3),
        "SignedDigits(steps=4, silent_steps=2)": (4, 6),
    }
    for point in found.points:
        seen = point.conversion.evaluate(*held, progress=False)
        (spikes,) = select(seen.records, "spikes per sample", layer=None)
        (energy,) = select(seen.records, "energy", network="spiking", table="45nm-fp32")
        assert point.spikes == pytest.approx(spikes.value)
        assert point.energy == pytest.approx(energy.value)
        (source,) = select(seen.records, "source accuracy")
        assert point.lost == pytest.approx(source.value - seen.accuracy().value)
        assert point.latency == seen.settings["network_steps"]
        assert point.rule is None
    rows = json.loads(json.dumps(found.as_dict()))["table"]
    assert {(r["coding"], (r["steps"], r["network steps"])) for r in rows} == {*lengths.items()}
    best = found.best
    assert found.conclusion.startswith(f"{best.steps} steps ({best.latency} of the network), ")
    made = sw.convert(MODEL, **best.arguments)
    run = made.run(held[0], **best.run, progress=False)
    wanted = best.conversion.run(held[0], progress=False).predict()
    np.testing.assert_array_equal(run.predict(best.readout), wanted)


def kept(study: Path) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Values and points of the finished trials in a file."""
    asked = "select value_json from trial_user_attributes where key = ? order by trial_id"
    with sqlite3.connect(study) as file:
        values, points = (file.execute(asked, (key,)).fetchall() for key in ("values", "points"))
    read = [[json.loads(json.loads(text)) for (text,) in rows] for rows in (values, points)]
    return list(zip(*read, strict=True))


@pytest.mark.parametrize("most", [None, 5, 4])
def test_silent_steps_are_searched_within_the_steps_of_the_network(
    most: int | None, tmp_path: Path
) -> None:
    """They begin with those of the code, or as few as the bound needs, and change by one."""
    study = tmp_path / "search.db"
    given = {**FEW, "trials": 3, "minimise": "latency", "study": study, "max_network_steps": most}
    sw.tune(MODEL, *digits(0, 150), coding=DIGITS, **given)
    found = {
        json.loads(values["coding"])[1]["silent_steps"]: int(points[0]["cost"])
        for values, points in kept(study)
    }
    assert next(iter(found)) == (2 if most is None else most - 4)
    assert all(length == 4 + silent for silent, length in found.items())
    assert found.keys() == {0} if most == 4 else len(found) > 1
    assert max(found.values()) <= (most or 7)


@pytest.mark.parametrize(
    ("silent", "others"),
    [(1, [0, 2]), (0, [0, 1]), (3, [2, 3]),
     ({"a": 0, "b": 2}, [{"a": 0, "b": 1}, {"a": 1, "b": 3}])],
)  # fmt: skip
def test_other_silent_steps_are_one_less_and_one_more(silent: Any, others: list[Any]) -> None:
    """From none to the steps of the code, in every layer; firing rates have none."""
    values = with_code({"level": 1.0}, sw.SignedDigits(3, silent))
    found = list(waiting_otherwise(values))
    assert [code_of(v) for v in found] == [sw.SignedDigits(3, other) for other in others]
    assert all(v["level"] == 1.0 for v in found)
    assert not list(waiting_otherwise({"level": 1.0}))


def test_rates_keep_within_the_steps_of_the_network_too() -> None:
    """A study of rates has no more steps than an answer may take."""
    found = sw.tune(MODEL, *digits(0, 150), max_network_steps=3, **FEW)
    assert {point.steps for point in found.points} <= {1, 2, 3}
    assert found.records


def test_latency_is_that_of_the_network(tmp_path: Path) -> None:
    """Of codes; beside firing rates, whose steps are those of the network."""
    codes = [sw.RateCode(), sw.SignedDigits(3), DIGITS]
    space = {"max_spikes_per_step": 1, "steps": [3, 4]}
    given = {**FEW, "trials": 6, "minimise": "latency", "space": space}
    study = tmp_path / "search.db"
    sw.tune(MODEL, *digits(0, 120), coding=codes, study=study, **given)
    found = {
        (values.get("coding", ""), point["steps"], int(point["cost"]))
        for values, points in kept(study)
        for point in points
    }
    assert found == {
        ('["SignedDigits", {"steps": 3, "silent_steps": 1}]', 3, 4),
        ('["SignedDigits", {"steps": 4, "silent_steps": 2}]', 4, 6),
        ("", 3, 3),
        ("", 4, 4),
    }


def test_a_study_goes_on_with_the_same_codes(tmp_path: Path) -> None:
    """A resumed study does not try a code a second time, and refuses other codes."""
    given = {**FEW, "study": tmp_path / "search.db", "coding": [sw.SignedDigits(3), DIGITS]}
    data = digits(0, 120)
    sw.tune(MODEL, *data, **{**given, "trials": 1})
    found = sw.tune(MODEL, *data, **{**given, "trials": 4})
    assert sum(found.facts["trials"].values()) == 4
    tried = [json.dumps(values) for values, _ in kept(given["study"])]
    assert len(set(tried)) == len(tried)
    for other in (None, DIGITS):
        with pytest.raises(TuningError, match="the study is one of another coding"):
            sw.tune(MODEL, *data, **{**given, "coding": other})


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"space": {"steps": [8, 16]}}, TuningError, r"'steps' is \[8, 16\], and SignedDigits"),
        ({"space": {"max_spikes_per_step": 2}}, ConversionError, "max_spikes_per_step"),
        ({"space": {"synapse": 0.005}}, ConversionError, "synapse"),
        ({"space": {"initial_voltage": "zero"}}, ConversionError, "initial_voltage"),
        ({"space": {"neuron": "bipolar"}}, ConversionError, "signed digits choose the neurons"),
        ({"space": {"correction": "each step"}}, ConversionError, "bias_correction"),
        ({"space": {"readout": "last"}}, SimulationError, "one readout, the complete value"),
        ({"weights": sw.Quantised(8)}, ConversionError, "in whole numbers send no digits"),
        ({"dt": 0.002}, BuildError, r"steps of 0\.001 s"),
        ({"coding": "digits:4"}, TuningError, "coding is a code of values"),
        ({"coding": []}, TuningError, "coding is a code of values"),
        ({"coding": OwnDigits(4, 1)}, TuningError, "'OwnDigits' is none of the registered codes"),
        ({"max_network_steps": 3}, TuningError, r"=3: SignedDigits.*silent_steps=0.* takes 4 st"),
        ({"max_network_steps": 2, "space": {"steps": [4, 8]}}, TuningError, r"'steps' .* \[4, 8\]"),
    ],
)
def test_what_has_no_place_is_refused(given: dict, error: type, said: str) -> None:
    """Before any trial, as `convert` and `run` refuse it, and steps that are not the code's."""
    with pytest.raises(error, match=said):
        sw.tune(MODEL, *digits(0, 120), **{**FEW, "coding": [sw.RateCode(), DIGITS], **given})


def test_restrictions_that_leave_room_are_no_contradiction() -> None:
    """Of several values the first is taken that the code has a place for."""
    space = {"initial_voltage": ["zero", "half"], "max_spikes_per_step": [2, 1], "steps": [4, 8]}
    found = sw.tune(MODEL, *digits(0, 120), coding=DIGITS, space=space, **{**FEW, "trials": 1})
    assert found.best.arguments["initial_voltage"] == "half"
    assert found.best.arguments["max_spikes_per_step"] == 1


def test_firing_rates_may_have_steps_too() -> None:
    """A rate code with steps runs for that many, with its own scales first."""
    x, y = digits(0, 120)
    found = sw.tune(MODEL, x, y, coding=sw.RateCode(8), **{**FEW, "trials": 1})
    assert coded(found).keys() == {"RateCode(steps=8)"}
    assert (found.best.steps, found.best.latency) == (8, 8)
