"""`spikewright fission`: a network with more neurons, from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import spikewright as sw
from spikewright import demo
from spikewright.cli import main

MODEL = str(demo.MODEL)
CAPPED = ["--max-spikes-per-step", "1"]


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Digits."""
    path = tmp_path / "digits.npz"
    np.savez(path, x=demo.held_out(60)[0])
    return str(path)


def run(tmp_path: Path, data: str, *given: str, model: str = MODEL) -> Result:
    """The command, for three steps."""
    out = str(tmp_path / "out.sw")
    arguments = ["fission", model, "--data", data, "--steps", "3", "-o", out, *given]
    return CliRunner().invoke(main, arguments)


def test_a_model_and_a_saved_network_become_larger(tmp_path: Path, data: str) -> None:
    """By what is allowed at most; the file holds what the library makes of the same choices."""
    x, _ = demo.held_out(60)
    rule = sw.MinimumError(3)
    plain = sw.convert(
        demo.MODEL, spiking=True, max_spikes_per_step=1, scale_firing_rates=rule, calibration=x
    )
    plain.save(tmp_path / "plain.sw")
    wanted = plain.fission(x, steps=3, extra=0.4).run(x, steps=3, progress=False).predict()
    for model, given in ((MODEL, CAPPED), (str(tmp_path / "plain.sw"), [])):
        found = run(tmp_path, data, "--extra", "0.4", *given, model=model)
        assert found.exit_code == 0, found.output
        assert "neurons before" in found.stdout
        made = sw.load(tmp_path / "out.sw")
        np.testing.assert_array_equal(made.run(x, steps=3, progress=False).predict(), wanted)


def test_corrections_are_measured_on_the_data(tmp_path: Path, data: str) -> None:
    """JSON names layers, neurons and the file."""
    found = run(tmp_path, data, *CAPPED, "--bias-correction", "each:3", "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["layers"] and told["saved"].endswith("out.sw")
    assert told["neurons"]["before"] < told["neurons"]["after"] <= 1.5 * told["neurons"]["before"]
    biases = sw.load(tmp_path / "out.sw").resolved["bias_correction"]
    assert all(len(value) == 3 for value in biases.values())


@pytest.mark.parametrize(
    ("given", "message"), [([], "nothing bounds the spikes"), (["--scale", "50"], "without a cap")]
)
def test_without_a_cap_the_mistake_is_explained(
    tmp_path: Path, data: str, given: list[str], message: str
) -> None:
    """A larger scale gives the same levels for no neurons; nothing is written."""
    found = run(tmp_path, data, *given)
    assert found.exit_code == 2
    assert message in found.stderr
    assert not (tmp_path / "out.sw").exists()


def test_it_is_an_option_of_other_commands(tmp_path: Path, data: str) -> None:
    """As `STEPS` or `STEPS:EXTRA`, for steps of the length that a command has."""
    x, _ = demo.held_out(60)
    arguments = [*CAPPED, "--scale", "minimum-error:3", "--calibration", data, "-o"]
    for text, rule in (("3", sw.Fission(3)), ("3:0.25", sw.Fission(3, 0.25))):
        out = str(tmp_path / "made.sw")
        found = CliRunner().invoke(main, ["convert", MODEL, "--fission", text, *arguments, out])
        assert found.exit_code == 0, found.output
        made = sw.load(out)
        wanted = sw.convert(
            demo.MODEL, spiking=True, max_spikes_per_step=1, calibration=x, fission=rule,
            scale_firing_rates=sw.MinimumError(3),
        )  # fmt: skip
        assert made.network.n_neurons == wanted.network.n_neurons
        assert wanted.network.n_neurons > sw.convert(demo.MODEL).network.n_neurons


@pytest.mark.parametrize("text", ["x", "0", "3:-1", "3:much"])
def test_other_texts_are_refused(tmp_path: Path, data: str, text: str) -> None:
    """With what is meant."""
    out = str(tmp_path / "made.sw")
    given = ["convert", MODEL, *CAPPED, "--fission", text, "--calibration", data, "-o", out]
    found = CliRunner().invoke(main, given)
    assert found.exit_code == 2 and "no number of steps such as 4, or 4:0.5" in found.stderr
