"""`--fission`: a network with more neurons, from files to files."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import spikewright as sw
from spikewright import demo
from spikewright.cli import main

MODEL = str(demo.MODEL)
CAPPED = ["--max-spikes-per-step", "1"]


def test_channels_become_several_from_the_command_line(tmp_path: Path, data: str) -> None:
    """As `STEPS` or `STEPS,EXTRA`, for steps of the length that a command has."""
    x, _ = demo.held_out(40)
    arguments = [*CAPPED, "--scale", "minimum-error:3", "--calibration", data, "-o"]
    for text, rule in (("3", sw.Fission(3)), ("3,0.25", sw.Fission(3, 0.25))):
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "which takes steps, extra=0.5"),
        ("0", "must be a whole number from 1, got 0"),
        ("3,-1", "from 0, got -1"),
        ("3,much", "extra is a number, not 'much'"),
    ],
)
def test_other_texts_are_refused(tmp_path: Path, data: str, text: str, words: str) -> None:
    """With what is meant."""
    out = str(tmp_path / "made.sw")
    given = ["convert", MODEL, *CAPPED, "--fission", text, "--calibration", data, "-o", out]
    found = CliRunner().invoke(main, given)
    assert found.exit_code == 2 and words in found.stderr
