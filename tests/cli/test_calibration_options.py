"""Rules, calibration data and corrections as options of commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import spikewright as sw
from spikewright import demo
from spikewright.cli import main

MODEL = str(demo.MODEL)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty digits with labels."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    x, y = demo.held_out(40)
    np.savez(path, x=x, y=y)
    return path


def invoke(*arguments: Any) -> Result:
    """Run the program."""
    return CliRunner().invoke(main, [str(a) for a in arguments])


def trace_of(*arguments: Any) -> list[dict[str, str]]:
    """The entries that rules and corrections leave."""
    shown = invoke("convert", MODEL, *arguments, "--json")
    assert shown.exit_code == 0, shown.output
    return [e for e in json.loads(shown.stdout)["trace"] if e["stage"] in ("calibrate", "correct")]


def test_a_rule_chooses_every_layers_scale(data) -> None:
    """The same as in Python, with the same words."""
    options = ("--spiking", "--scale", "target-rate:250", "--calibration", data)
    found = sw.convert(
        MODEL,
        spiking=True,
        scale_firing_rates=sw.TargetRate(250.0),
        calibration=demo.held_out(40)[0],
    )

    assert [e["text"] for e in trace_of(*options)] == [
        e.text for e in found.trace if e.stage == "calibrate"
    ]


def test_layers_may_have_rules_of_their_own(data) -> None:
    """Names before =, rules with arguments after it."""
    entries = trace_of(
        "--spiking", "--max-spikes-per-step", 1, "--calibration", data,
        "--scale", "relu1=minimum-error:8,per=layer", "--scale", "relu2=3",
    )  # fmt: skip

    assert [e["layer"] for e in entries] == ["relu1"]
    assert entries[0]["text"].startswith("MinimumError(steps=8, per=layer)")


def test_saved_statistics_are_calibration_too(data, tmp_path) -> None:
    """Any file that is no .npz."""
    sw.convert(MODEL).calibrate(demo.held_out(40)[0]).save(tmp_path / "statistics")
    options = ("--scale", "percentile")

    assert trace_of(*options, "--calibration", tmp_path / "statistics") == trace_of(
        *options, "--calibration", data
    )


def test_corrections_are_options(data) -> None:
    """Of biases and of initial voltages."""
    entries = trace_of(
        "--spiking", "--scale", 100, "--calibration", data,
        "--bias-correction", 4, "--initial-voltage", "correction:4",
    )  # fmt: skip

    assert [e["text"].partition("(")[0] for e in entries] == [
        "BiasCorrection", "BiasCorrection", "VoltageCorrection", "VoltageCorrection",
    ]  # fmt: skip


def test_rules_are_for_the_steps_of_the_run(data) -> None:
    """Steps of another length: the same spikes, at another rate."""

    def spikes(dt: float) -> float:
        shown = invoke(
            "run", MODEL, "--data", data, "--steps", 4, "--dt", dt, "--spiking", "--json",
            "--scale", "percentile", "--calibration", data,
        )  # fmt: skip
        records = json.loads(shown.stdout)["records"]
        return next(r["value"] for r in records if r["name"] == "spikes per sample")

    assert spikes(0.004) == spikes(0.001)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--scale", "target:3"), "is neither a number nor a rule"),
        (("--scale", "target-rate:fast"), "hz is a number"),
        (("--scale", "target-rate:-1"), "must be a number above 0"),
        (("--scale", "relu1=percentile", "--scale", "percentile"), "LAYER=SCALE"),
        (("--scale", "percentile"), "needs data"),
        (("--scale", "percentile", "--calibration", "nowhere"), "no such file"),
        (("--scale", "percentile", "--calibration", "nowhere.npz"), "No such file"),
        (("--spiking", "--bias-correction", "4"), "runs the network on data"),
        (("--initial-voltage", "correction:some"), "not a whole number"),
    ],
)
def test_mistakes_end_in_a_sentence(options, words) -> None:
    """On standard error, with exit code 2."""
    shown = invoke("convert", MODEL, *options)

    assert shown.exit_code == 2
    assert words in shown.stderr
