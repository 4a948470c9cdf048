"""`--coding`: signed digits in commands, whose runs take the steps of the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from runs import invoke

import spikewright as sw
from spikewright import demo

MODEL = str(demo.MODEL)
CODING = ("--coding", "digits:4,silent_steps=2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, data: str) -> str:
    """A file of a conversion to digits, that the command made."""
    path = str(tmp_path_factory.mktemp("made") / "made.sw")
    invoke("convert", MODEL, *CODING, "--calibration", data, "-o", path)
    return path


def document(*arguments: str) -> Any:
    """What a command prints with --json."""
    return json.loads(invoke(*arguments, "--json").stdout)


def test_a_file_of_digits_is_evaluated_without_steps(made: str, data: str) -> None:
    """The records are those of the library's call, which takes the steps of the file's code."""
    x, y = demo.held_out(40)
    coding = sw.SignedDigits(4, silent_steps=2)
    conversion = sw.convert(MODEL, spiking=True, coding=coding, calibration=x)
    expected = json.loads(json.dumps(conversion.evaluate(x, y, progress=False).as_dict()))
    for steps in ((), ("--steps", "4")):
        found = document("evaluate", made, "--data", data, *steps)
        assert {name: found[name] for name in ("settings", "records")} == expected


@pytest.mark.parametrize("command", ["run", "evaluate", "diagnose"])
def test_commands_that_run_take_the_code_s_steps(command: str, data: str, tmp_path: Path) -> None:
    """Of a model, converted as the option says, with a report; four steps, and not those of rates.

    A coding alone makes spiking neurons, as all that is about spikes does.
    """
    report = tmp_path / "report.html"
    given = ("--data", data, *CODING, "--calibration", data, "--report", str(report))
    found = document(command, MODEL, *given)
    assert found["network"].startswith("spiking") and report.exists()
    measured = [r for r in found["records"] if "change" not in r["how"]]
    assert max(r["how"]["steps"] for r in measured if "steps" in r["how"]) == 4


def test_a_rate_code_is_for_the_command_s_dt(data: str) -> None:
    """Its scale is that of the rule for so many steps of that length, and its steps are taken."""
    given = ("--data", data, "--dt", "0.002", "--calibration", data)
    coded = document("run", MODEL, "--coding", "rate:8", *given)
    rule = ("--scale", "minimum-error:8,spikes_per_step=1")
    ruled = document("run", MODEL, *rule, "--steps", "8", *given)
    assert coded["records"] == ruled["records"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "{made}", "--steps", "8"), "digits in 4 steps each, got --steps 8"),
        (("evaluate", "{made}", "--steps", "8"), "digits in 4 steps each, got --steps 8"),
        (("diagnose", "{made}", "--steps", "8"), "digits in 4 steps each, got --steps 8"),
        (("evaluate", "{made}", "--steps", "8"), "with --coding digits:steps=8"),
        (("evaluate", MODEL), "give a number of steps from 1, got --steps None"),
        (("evaluate", MODEL, "--coding", "rate"), "give a number of steps from 1"),
        (("run", MODEL), "give a number of steps above 0"),
        (("diagnose", MODEL), "give the steps of the run"),
        (("run", MODEL, "--coding", "digits"), "steps is missing; digits takes steps"),
        (("run", MODEL, "--coding", "digits:17"), "from 1 to 16, got 17"),
        (("run", MODEL, "--coding", "digits:4,silent_steps=two"), "not 'two'"),
        (("run", MODEL, "--coding", "digit:4"), "codings are digits, rate"),
        (("run", MODEL, "--coding", "digits:4", "--rate"), "--coding is about spikes"),
    ],
)
def test_steps_and_codes_that_do_not_fit(
    arguments: tuple[str, ...], said: str, made: str, data: str
) -> None:
    """One sentence; steps stay needed where no code says how many."""
    command, model, *rest = (part.replace("{made}", made) for part in arguments)
    found = invoke(command, model, "--data", data, *rest, code=2)
    assert said in " ".join(found.stderr.split())


def test_codes_are_swept(data: str) -> None:
    """`--coding` is repeated, and each code is read after its own steps."""
    codes = ("--coding", "rate:8", "--coding", "digits:4,silent_steps=1")
    found = document("sweep", MODEL, "--data", data, *codes, "--calibration", data)
    steps = {row["scale"]: row["steps"] for row in found["table"]}
    assert steps == {"RateCode(steps=8)": 8, "SignedDigits(steps=4, silent_steps=1)": 4}


def test_codes_are_searched(data: str) -> None:
    """`--coding` is repeated for several, as in a sweep; firing rates are `rate`."""
    codes = ("--coding", "digits:3,silent_steps=1", "--coding", "digits:4,silent_steps=2")
    found = document("tune", MODEL, "--data", data, *codes, "--trials", "3", "--max-drop", "0.05")
    told = {(row["coding"], row["steps"]) for row in found["table"]}
    assert told <= {
        ("SignedDigits(steps=3, silent_steps=1)", 3),
        ("SignedDigits(steps=4, silent_steps=2)", 4),
    }
    assert "coding=sw.SignedDigits" in found["call"]
