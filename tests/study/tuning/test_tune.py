"""`sw.tune` on the shipped network and a few digits."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
from spikewright.measure import readout
from spikewright.measure.readout import AtEveryStep
from spikewright.records import select

MODEL = demo.MODEL
FEW = {"trials": 10, "timeout": 60.0, "progress": False}
SPACE = {"steps": [1, 2, 4], "synapse": None}


def digits(count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Digits and their labels."""
    data = load_digits()
    return data.images[:count, None].astype(np.float32), data.target[:count]


@pytest.fixture(scope="module")
def choice() -> sw.results.StudyResult:
    """A short search."""
    return sw.tune(MODEL, *digits(), max_drop=0.02, space=SPACE, **FEW)


def predictions(conversion: sw.Conversion, best: sw.results.OperatingPoint, x: np.ndarray) -> Any:
    """What a network answers under the steps and the readout of a point."""
    return conversion.run(x, **best.run, progress=False).predict(best.readout)


def program(found: sw.results.StudyResult, **names: Any) -> Any:
    """What the printed program predicts."""
    *made, run = found.call.splitlines()
    exec("\n".join(made), names)
    return eval(run, names)


def test_the_best_says_what_it_loses_and_costs(choice: sw.results.StudyResult) -> None:
    """Drop, interval and spikes are those of the held-back samples, in words and records."""
    best = choice.best
    (drop,) = select(choice.records, "accuracy drop", role="chosen")
    low, high = drop.interval

    assert (choice.facts["searched_on"], choice.facts["held_back"], drop.n) == (150, 150, 150)
    assert low <= best.lost == drop.value <= min(high, choice.limit)
    assert best.spikes == select(choice.records, "spikes per sample", role="chosen")[0].value > 0
    assert best.energy is None
    assert best.check.certified is (high <= 0.02)
    assert "spikes a sample" in choice.conclusion
    assert choice.conclusion.endswith("a quantised rate network.") == (best.steps == 1)
    assert select(choice.records, "accuracy drop", samples="searched")
    json.dumps(choice.as_dict(), allow_nan=False)


def test_arguments_and_program_make_the_network_without_data(
    choice: sw.results.StudyResult,
) -> None:
    """Bit for bit what was measured: spikes of half of the samples are about those of all."""
    x, _ = digits()
    best = choice.best
    made = sw.convert(MODEL, **best.arguments)
    expected = predictions(best.conversion, best, x)

    assert best.arguments["calibration"] is None
    assert np.array_equal(predictions(made, best, x), expected)
    assert np.array_equal(program(choice, x=x), expected)
    counts = made.run(x, **best.run, progress=False).spike_counts().values()
    assert sum(float(n.mean()) for n in counts) == pytest.approx(best.spikes, rel=0.1)


@dataclass(frozen=True)
class Late(AtEveryStep):
    """The mean without a share of the steps, which come first."""

    share: float = 0.5

    def left_out(self, steps: int, dt: float) -> int:
        return int(self.share * steps)

    @classmethod
    def searched(cls, name: str, steps: int, dt: float) -> dict[str, AtEveryStep]:
        return {f"{name} {share}": cls(share) for share in (0.25,)}


@pytest.mark.parametrize("kind", ["mean-after", "of one's own"])
def test_the_program_of_a_readout_with_a_parameter_runs(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As printed: its class is imported, or one of the package, and it has its argument."""
    monkeypatch.setitem(readout.READOUTS._members, "of one's own", Late)
    x, y = digits(120)
    space = {"steps": 4, "readout": kind}
    found = sw.tune(MODEL, x, y, max_drop=0.2, trials=2, space=space, progress=False)
    point = next(p for p in found.points if not isinstance(p.readout, str))
    *made, run = point.call.splitlines()
    names: dict[str, Any] = {"x": x}
    exec("\n".join(made), names)
    assert np.array_equal(eval(run, names), predictions(point.conversion, point, x))


def test_other_points_are_other_prices(choice: sw.results.StudyResult) -> None:
    """Sorted by cost, the best among them; the curve is those that none beats."""
    spikes = [point.spikes for point in choice.points]

    assert spikes == sorted(spikes) and len(set(spikes)) == len(spikes)
    assert choice.best in choice.points and choice.closest in choice.curve


def test_the_same_seed_gives_the_same_choice() -> None:
    """With a number of trials, time plays no part."""
    found = [
        sw.tune(MODEL, *digits(120), max_drop=0.05, space=SPACE, trials=4, progress=False)
        for _ in range(2)
    ]

    assert found[0].call == found[1].call
    assert found[0].records == found[1].records


def test_latency_prefers_few_steps() -> None:
    """What is minimised is steps first: one is enough where spikes are free."""
    found = sw.tune(
        MODEL, *digits(120), max_drop=0.05, minimise="latency", space=SPACE, trials=4,
        timeout=30.0, progress=False,
    )  # fmt: skip

    assert found.best.steps == 1


def test_energy_is_that_of_the_cost_table() -> None:
    """As `evaluate` counts it, on the same samples."""
    x, y = digits(120)
    found = sw.tune(
        MODEL, x, y, max_drop=0.05, minimise="energy", energy_table="loihi", trials=3,
        space=SPACE, validation=(x, y), progress=False,
    )  # fmt: skip
    best = found.best
    evaluation = best.conversion.evaluate(x, y, best.steps, progress=False)
    how = {"steps": best.steps, "table": "loihi", "network": "spiking"}
    expected = select(evaluation.records, "energy", **how)

    assert best.energy == pytest.approx(expected[0].value, rel=1e-6)


def test_a_restricted_space_is_kept_to() -> None:
    """Hardware that sends one spike a step gets no more; neurons are part of the program."""
    space = {**SPACE, "max_spikes_per_step": 1, "neuron": "bipolar"}
    found = sw.tune(MODEL, *digits(120), max_drop=0.1, trials=4, progress=False, space=space)

    assert found.best.arguments["max_spikes_per_step"] == 1
    assert "sw.BipolarIntegrateAndFire(" in found.call


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_drop": 1.0}, "max_drop"),
        ({"max_drop": -0.1}, "max_drop"),
        ({"minimise": "money"}, "'spikes', 'energy', 'latency'"),
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
        ({"space": {"steps": [0]}}, "whole number from 1"),
        ({"space": {"level": (np.float32(0), 1)}}, r"\(low, high\)"),
        ({"space": {"neuron": "fast"}}, "'default', 'bipolar'"),
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

    expected = predictions(sw.convert(model, **found.best.arguments), found.best, x)
    assert np.array_equal(program(found, model=model, example_input=x[:1], x=x), expected)
