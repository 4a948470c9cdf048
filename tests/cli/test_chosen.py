"""Commands choose all else for `--steps`, as `convert(steps=...)` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import invoke

import spikewright as sw
from spikewright import demo

MODEL = str(demo.MODEL)


def document(*arguments: str) -> Any:
    """What a command prints with --json."""
    return json.loads(invoke(*arguments, "--json").stdout)


def test_the_first_half_of_the_data_chooses_and_the_rest_is_measured(data: str) -> None:
    """The records are those of the library's one-line choice; a line says which samples."""
    x, y = demo.held_out(40)
    made = sw.convert(MODEL, spiking=True, calibration=x[:20], steps=8)
    expected = json.loads(json.dumps(made.evaluate(x[20:], y[20:], progress=False).as_dict()))
    found = document("evaluate", MODEL, "--data", data, "--steps", "8")
    assert {name: found[name] for name in ("settings", "records")} == expected
    assert found["chosen"].startswith("Chosen on the first 20 of 40 samples, measured on the other")
    assert found["chosen"] in invoke("run", MODEL, "--data", data, "--steps", "8").stdout


def test_of_many_samples_few_choose(tmp_path: Path) -> None:
    """At most 256, so that a choice on a large file takes as long as on a small one."""
    x, y = (np.concatenate([part] * 2) for part in demo.held_out())
    np.savez(tmp_path / "many.npz", x=x, y=y)
    found = document("evaluate", MODEL, "--data", str(tmp_path / "many.npz"), "--steps", "4")
    left = len(x) - 256
    assert found["chosen"].startswith(f"Chosen on the first 256 of {len(x)} samples, measured on ")
    assert found["settings"]["samples"] == left


def test_the_same_samples_choose_the_same_network() -> None:
    """Again, and with another number of threads: thresholds, scales and spikes are equal."""
    x, _ = demo.held_out(60)
    first, again = (sw.convert(MODEL, spiking=True, calibration=x[:40], steps=8) for _ in range(2))
    assert first.resolved.keys() == again.resolved.keys()
    np.testing.assert_equal(first.resolved, again.resolved)
    runs = [c.run(x, progress=False, threads=n) for c, n in ((first, 1), (again, 2))]
    for name, counts in runs[0].spike_counts().items():
        np.testing.assert_array_equal(counts, runs[1].spike_counts()[name])
    np.testing.assert_array_equal(runs[0].output, runs[1].output)


def test_samples_of_calibration_choose_and_all_the_data_is_measured(data: str) -> None:
    """The same network is made by `convert`, whose file knows its steps."""
    given = ("--calibration", data, "--steps", "8")
    found = document("run", MODEL, "--data", data, *given)
    assert found["run"]["batch"] == 40 and "of --calibration: signed digits" in found["chosen"]
    told = document("convert", MODEL, *given)
    assert told["chosen"] == found["chosen"]


def test_a_file_of_a_choice_runs_its_steps(data: str, tmp_path: Path) -> None:
    """`convert --steps` saves what `run` then takes without steps."""
    out = str(tmp_path / "made.sw")
    invoke("convert", MODEL, "--calibration", data, "--steps", "6", "-o", out)
    found = document("run", out, "--data", data)
    assert found["run"]["steps"] == 6 and found["chosen"] is None


@pytest.mark.parametrize(
    "given", [("--scale", "20"), ("--coding", "rate"), ("--rate",), ("--encoder", "poisson:100"),
              ("--dt", "0.002"), ("--limit", "1")]
)  # fmt: skip
def test_nothing_is_chosen_beside(given: tuple[str, ...], data: str) -> None:
    """Rates, a code, an encoder or another step that were given, or with one sample."""
    found = document("run", MODEL, "--data", data, "--steps", "8", *given)
    assert found["chosen"] is None
    assert found["run"]["batch"] == (1 if "--limit" in given else 40)


def test_input_over_time_is_run_as_it_is(tmp_path: Path) -> None:
    """No choice can be made on it."""
    x = np.repeat(demo.held_out(4)[0][:, None], 8, axis=1)
    np.savez(tmp_path / "x.npz", x=x)
    found = document("run", MODEL, "--data", str(tmp_path / "x.npz"), "--steps", "8")
    assert found["chosen"] is None and found["run"]["batch"] == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--spiking",), "Give a file with some hundred samples: --calibration data.npz"),
        (("--scale", "20"), "--steps and --scale say different things"),
        (("--rate",), "--steps and --rate say different things"),
    ],
)
def test_a_conversion_for_steps_needs_samples_and_the_choice(
    given: tuple[str, ...], said: str
) -> None:
    """Each error names the next move."""
    found = invoke("convert", MODEL, "--steps", "8", *given, code=2)
    assert said in " ".join(found.stderr.split())
