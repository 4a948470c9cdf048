"""Rules, calibration data and corrections as options of commands."""

from __future__ import annotations

import json
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

import spikewright as sw
from spikewright import demo
from spikewright.cli import main

MODEL = str(demo.MODEL)


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


def test_statistics_are_collected_once_for_many_rules(data, tmp_path) -> None:
    """`--statistics` saves what `Conversion.calibrate` gives, and shows it layer by layer."""
    asked = ("convert", MODEL, "--calibration", data, "--statistics", tmp_path / "found")
    shown = invoke(*asked, "--json")
    wanted = sw.convert(MODEL).calibrate(demo.held_out(40)[0])

    assert sw.Statistics.load(tmp_path / "found") == wanted
    found = json.loads(shown.stdout)["statistics"]
    assert found["samples"] == 40
    for row in found["layers"]:
        sent = wanted.layers[row["layer"]].magnitude("layer")
        assert row["largest"] == sent.highest[0]
        assert row["percentile_99"] == sent.percentile(99.0)[0]
    told = invoke(*asked, "--scale", "percentile")
    assert "40 samples" in told.stdout and "silent channels" in told.stdout
    assert f"Statistics saved as {tmp_path / 'found'}" in told.stdout


def test_statistics_are_of_the_form_of_recurrent_layers_that_was_asked_for(tmp_path) -> None:
    """Side by side every step of a sequence has layers of its own."""
    model = tmp_path / "recurrent.keras"
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 3))
    keras.Model(x, keras.layers.GRU(4)(x)).save(model)
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(5, 6, 3)))
    files = ("--calibration", tmp_path / "x.npz", "--statistics", tmp_path / "found", "--json")
    beside, after = (
        json.loads(invoke("convert", model, *files, *more).stdout)["statistics"]["layers"]
        for more in ((), ("--sequence-step", 8))
    )
    assert len(beside) > 4 * len(after)  # fewer in the first step, whose state is known
    assert max(row["largest"] for row in beside) == max(row["largest"] for row in after)


def test_statistics_need_samples_and_replace_none(data, tmp_path) -> None:
    """A name that `--calibration` would take for a file of samples is refused."""
    samples = ("convert", MODEL, "--calibration", data)
    left = invoke(*samples, "--statistics", data)
    assert left.exit_code == 2 and "not statistics for calibration" in left.stderr
    refused = invoke(*samples, "--statistics", data, "--force")
    assert refused.exit_code == 2
    assert "would read a .npz file as samples" in refused.stderr
    assert set(np.load(data)) == {"x", "y"}
    none = invoke("convert", MODEL, "--statistics", tmp_path / "found")
    assert none.exit_code == 2 and "give samples, --calibration FILE.npz" in none.stderr


def test_corrections_are_options(data) -> None:
    """Of biases and of initial voltages."""
    entries = trace_of(
        "--spiking", "--scale", 100, "--calibration", data,
        "--bias-correction", 4, "--initial-voltage", "voltage-correction:4",
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
        (("--scale", "percentile", "--calibration", "nowhere.npz"), "no such file"),
        (("--spiking", "--bias-correction", "4"), "runs the network on data"),
        (("--spiking", "--bias-correction", "step-correction:4"), "runs the network on data"),
        (("--bias-correction", "every:4"), "'every:4' is no correction, which takes steps"),
        (("--bias-correction", "0"), "must be a whole number from 1, got 0"),
        (("--initial-voltage", "voltage-correction:some"), "steps is a whole number"),
    ],
)
def test_mistakes_end_in_a_sentence(options, words) -> None:
    """On standard error, with exit code 2."""
    shown = invoke("convert", MODEL, *options)

    assert shown.exit_code == 2
    assert words in shown.stderr
