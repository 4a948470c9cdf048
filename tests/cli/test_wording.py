"""Sentences of the library on the command line: options in the place of arguments."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from spikewright import demo
from spikewright.cli.main import main
from spikewright.cli.output import in_options, options_of

OPTIONS = options_of(main.commands.values())
MODEL = str(demo.MODEL)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("argument 'max_spikes_per_step': no. Use spiking=True.",
         "--max-spikes-per-step: no. Use --spiking."),
        ("layer 'a' (key of synapse): none", "layer 'a' (key of --synapse): none"),
        ("Give scale_firing_rates=sw.MinimumError(steps=8), or leave it out",
         "Give --scale minimum-error:steps=8, or leave it out"),
        ('Use initial_voltage="half"', "Use --initial-voltage half"),
        ("initial_voltage=sw.VoltageCorrection(8)", "--initial-voltage voltage-correction:8"),
        ("weights=sw.Quantised(bits=8)", "--weights quantised:bits=8"),
        ("a rule in scale_firing_rates needs data", "a rule in --scale needs data"),
        ("x is (batch, *shape)", "x is (batch, *shape)"),
    ],
)  # fmt: skip
def test_arguments_become_options(said: str, shown: str) -> None:
    """Names, values, and the rules among them, as commands take them."""
    assert in_options(said, OPTIONS) == shown


@pytest.mark.parametrize(
    ("mistake", "mended"),
    [
        (("convert", MODEL, "--scale", "percentile"), ("--calibration", "data.npz")),
        (("convert", MODEL, "--spiking", "--calibration", "data.npz"), ("--scale", "percentile")),
        (("convert", MODEL, "--synapse", "0.01", "--sequence-step", "4"), ()),
        (("convert", MODEL, "--scale", "nowhere=3"), ()),
        (("convert", MODEL, "--outputs", "nowhere"), ()),
    ],
    ids=lambda words: " ".join(words[2:]) if words[:1] == ("convert",) else "",
)
def test_mistakes_are_told_in_options(
    mistake: tuple[str, ...],
    mended: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No argument of Python stands in what a command prints; what it says to add mends it."""
    monkeypatch.chdir(tmp_path)
    x, y = demo.held_out(20)
    np.savez("data.npz", x=x, y=y)
    found = CliRunner().invoke(main, mistake)
    assert found.exit_code == 2
    assert not re.search(r"\bsw\.|\w=(True|False|sw|\[|\")|argument '", found.output)
    assert all(word in found.output for word in mended if word.startswith("--"))
    if mended:
        assert CliRunner().invoke(main, [*mistake, *mended]).exit_code == 0
