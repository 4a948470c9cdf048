"""`sw.tune` on the shipped network and a few digits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.datasets import load_digits

import spikewright as sw
from spikewright import demo
from spikewright.cli import main
from spikewright.errors import TuningError
from spikewright.records import select

MODEL = demo.MODEL
FEW = {"trials": 10, "timeout": 60.0, "progress": False}
SPACE = {"steps": [1, 2, 4], "synapse": None}


def digits(count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Digits and their labels."""
    data = load_digits()
    return data.images[:count, None].astype(np.float32), data.target[:count]


@pytest.fixture(scope="module")
def choice() -> sw.StudyResult:
    """A short search."""
    return sw.tune(MODEL, *digits(), max_drop=0.02, space=SPACE, **FEW)


def predictions(conversion: sw.Conversion, choice: sw.StudyResult, x: np.ndarray) -> Any:
    """What a network answers under the choice's steps and readout."""
    return conversion.run(x, **choice.run, progress=False).predict(choice.arguments["readout"])


def test_the_choice_says_what_it_loses_and_costs(choice: sw.StudyResult) -> None:
    """Drop, interval and spikes are those of the held-back samples."""
    low, high = choice.interval

    assert (choice.searched_on, choice.held_back) == (150, 150)
    assert low <= choice.drop <= high
    assert choice.drop <= 0.02
    assert choice.spikes > 0
    assert choice.energy is None
    assert choice.certified is (high <= 0.02)
    assert "spikes a sample" in str(choice)
    for steps in (1, 2):
        told = str(replace(choice, arguments={**choice.arguments, "steps": steps}))
        assert told.endswith(" this is a quantised rate network.") == (steps == 1)


def test_its_arguments_need_no_data_and_give_the_same_predictions(choice: sw.StudyResult) -> None:
    """Numbers alone: converting anew answers bit for bit what the search measured."""
    x, _ = digits()
    first = sw.convert(MODEL, **choice.conversion)
    again = sw.convert(MODEL, **choice.conversion)

    assert choice.arguments["calibration"] is None
    assert all(
        isinstance(scale, float | np.ndarray)
        for scale in choice.arguments["scale_firing_rates"].values()
    )
    assert np.array_equal(predictions(first, choice, x), predictions(again, choice, x))


def test_it_is_reproduced_by_one_line(choice: sw.StudyResult) -> None:
    """The call as text makes the very same network."""
    x, _ = digits(60)
    made = eval(choice.reproduce, {"sw": sw, "np": np})

    expected = predictions(sw.convert(MODEL, **choice.conversion), choice, x)
    assert np.array_equal(predictions(made, choice, x), expected)


def test_spikes_and_drop_are_those_of_the_network(choice: sw.StudyResult) -> None:
    """Measured over again on all samples, what was promised for half of them is about right."""
    x, _ = digits()
    run = sw.convert(MODEL, **choice.conversion).run(x, **choice.run, progress=False)
    spikes = sum(float(counts.mean()) for counts in run.spike_counts().values())

    assert spikes == pytest.approx(choice.spikes, rel=0.1)


def test_runners_up_are_other_prices(choice: sw.StudyResult) -> None:
    """Sorted by cost; each has arguments of its own."""
    spikes = [other.spikes for other in choice.runners_up]

    assert spikes == sorted(spikes)
    assert choice.spikes not in spikes


def test_records_hold_the_front_and_what_was_checked(choice: sw.StudyResult) -> None:
    """Reports draw from them: drops with intervals on the held-back samples, and costs."""
    (drop,) = select(choice.records, "accuracy drop", role="chosen")

    assert drop.value == choice.drop
    assert drop.interval == choice.interval
    assert drop.n == choice.held_back
    assert select(choice.records, "spikes per sample", role="chosen")[0].value == choice.spikes
    assert select(choice.records, "accuracy drop", samples="searched")


def test_a_choice_is_plain_data(choice: sw.StudyResult) -> None:
    """It goes through JSON."""
    plain = json.loads(json.dumps(choice.as_dict(), allow_nan=False))

    assert plain["costs"]["spikes"] == choice.spikes
    assert plain["reproduce"] == choice.reproduce


def test_the_same_seed_gives_the_same_choice() -> None:
    """With a number of trials, time plays no part."""
    found = [
        sw.tune(MODEL, *digits(120), max_drop=0.05, space=SPACE, trials=4, progress=False)
        for _ in range(2)
    ]

    assert found[0].reproduce == found[1].reproduce
    assert found[0].interval == found[1].interval


def test_latency_prefers_few_steps() -> None:
    """What is minimised is steps first: one is enough where spikes are free."""
    found = sw.tune(
        MODEL, *digits(120), max_drop=0.05, minimise="latency", space=SPACE, trials=4,
        timeout=30.0, progress=False,
    )  # fmt: skip

    assert found.arguments["steps"] == 1


def test_energy_is_that_of_the_cost_table() -> None:
    """As `evaluate` counts it, on the same samples."""
    x, y = digits(120)
    found = sw.tune(
        MODEL, x, y, max_drop=0.05, minimise="energy", energy_table="loihi", trials=3,
        space=SPACE, validation=(x, y), progress=False,
    )  # fmt: skip
    evaluation = sw.convert(MODEL, **found.conversion).evaluate(
        x, y, found.arguments["steps"], progress=False
    )
    expected = select(
        evaluation.records, "energy", steps=found.arguments["steps"], table="loihi",
        network="spiking",
    )  # fmt: skip

    assert found.energy == pytest.approx(expected[0].value, rel=1e-6)


def test_one_spike_a_step_can_be_asked_for() -> None:
    """A restricted space is kept to: hardware that sends one spike a step gets no more."""
    found = sw.tune(
        MODEL, *digits(120), max_drop=0.1, trials=4, progress=False,
        space={**SPACE, "max_spikes_per_step": 1, "neuron": "default"},
    )  # fmt: skip

    assert found.arguments["max_spikes_per_step"] == 1


def test_bipolar_neurons_can_be_asked_for() -> None:
    """The neuron type is part of the arguments and of the line that reproduces them."""
    found = sw.tune(
        MODEL, *digits(120), max_drop=0.1, trials=3, progress=False,
        space={**SPACE, "neuron": "bipolar"},
    )  # fmt: skip

    assert "sw.BipolarIntegrateAndFire(" in found.reproduce
    eval(found.reproduce, {"sw": sw, "np": np})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_drop": 1.0}, "max_drop"),
        ({"max_drop": -0.1}, "max_drop"),
        ({"minimise": "money"}, "spikes, energy, latency"),
        ({"timeout": 0}, "timeout"),
        ({"trials": 0}, "trials"),
        ({"trials": np.int64(2)}, "trials"),  # a study holds Python's own numbers
        ({"max_drop": np.float32(0.1)}, "max_drop"),
        ({"searched": 2.5}, "searched"),
        ({"confidence": 1}, "confidence"),
        ({"validation": 1.5}, "fraction"),
        ({"validation": "half"}, "validation"),
        ({"validation": 0.05}, "at least 20"),
        ({"space": {"speed": 1}}, "no parameter 'speed'"),
        ({"space": {"steps": [0]}}, "whole numbers from 1"),
        ({"space": {"level": (np.float32(0), 1)}}, r"\(low, high\)"),
        ({"space": {"neuron": "fast"}}, "default, bipolar"),
        ({"space": {"max_spikes_per_step": 0}}, "max_spikes_per_step"),
        ({"space": {"synapse": -1.0}}, "synapse"),
        ({"y": None}, "no labels"),
        ({"y": np.zeros(7)}, "must hold 120 labels or targets"),
        ({"y": np.full(120, 0.5)}, "class labels are whole numbers"),
        ({"y": np.full((120, 10), 0.1)}, "class labels are needed"),
        ({"y": np.full(120, 11)}, "between 0 and 9"),
        ({"x": np.zeros((5, 1, 8, 8)), "y": np.zeros(5)}, "5 samples"),
    ],
)
def test_what_no_search_can_do_is_refused(changes: dict[str, Any], message: str) -> None:
    """Before anything is tried, with the value and what would do."""
    x, y = digits(120)
    arguments = {"x": x, "y": y, **FEW, **changes}

    with pytest.raises(TuningError, match=message):
        sw.tune(MODEL, **arguments)


def test_a_study_of_other_data_is_refused(tmp_path: Path) -> None:
    """A study goes on with the arguments that it was begun with."""
    x, y = digits(120)
    study = tmp_path / "study.db"
    sw.tune(MODEL, x, y, max_drop=0.1, space=SPACE, study=study, trials=2, progress=False)

    with pytest.raises(TuningError, match="another data"):
        sw.tune(MODEL, x + 1, y, max_drop=0.1, space=SPACE, study=study, trials=3, progress=False)


def test_the_command_prints_choice_prices_and_line(tmp_path: Path) -> None:
    """A table, a sentence and the call; with --json the same as plain data."""
    data = tmp_path / "digits.npz"
    x, y = digits(120)
    np.savez(data, x=x, y=y)
    common = ["tune", str(MODEL), "--data", str(data), "--max-drop", "0.05", "--trials", "3"]
    common += ["--space", "steps=[1,2]"]

    shown = CliRunner().invoke(main, common)
    plain = CliRunner().invoke(main, [*common, "--json"])

    assert shown.exit_code == plain.exit_code == 0, shown.output + plain.output
    assert "chosen" in shown.stdout
    assert "conversion = sw.convert(" in shown.stdout
    assert json.loads(plain.stdout)["limit"] == 0.05


def test_the_command_explains_mistakes(tmp_path: Path) -> None:
    """Without labels there is nothing to keep: a sentence, and exit status 2."""
    data = tmp_path / "digits.npz"
    np.savez(data, x=digits(60)[0])

    found = CliRunner().invoke(main, ["tune", str(MODEL), "--data", str(data)])

    assert found.exit_code == 2
    assert "no labels" in found.output


def test_models_of_other_frameworks_are_searched_too() -> None:
    """A PyTorch module, which needs an example; the line says so."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 20), torch.nn.ReLU(),
                                torch.nn.Linear(20, 10))  # fmt: skip
    x, y = digits(120)

    found = sw.tune(
        model, x, y, max_drop=0.2, trials=2, space=SPACE, example_input=x[:1], progress=False
    )

    names = {"sw": sw, "np": np, "model": model, "example_input": x[:1]}
    made = eval(found.reproduce, names)
    expected = sw.convert(model, example_input=x[:1], **found.conversion)
    assert np.array_equal(predictions(made, found, x), predictions(expected, found, x))
