"""The command `fits`: tables, JSON, and how it ends."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import spikewright as sw
from spikewright import chips, demo
from spikewright.cli import main

MODEL = str(demo.MODEL)


def _asked(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["fits", *arguments])
    return result.exit_code, result.stdout + result.stderr


def test_one_chip() -> None:
    """The verdict of the library, with every layer, its broken rules and their sources."""
    code, text = _asked(MODEL, "--chip", "speck")
    fit = sw.convert(MODEL, spiking=True).fits("speck")

    assert code == (0 if fit.fits else 2)
    assert str(fit) in text
    assert all(layer.layer in text for layer in fit.layers)


def test_all_chips() -> None:
    """One row a chip; it ends well where any of them does."""
    code, text = _asked(MODEL, "--chip", "all", "--chip", "speck")
    fits = {name: sw.convert(MODEL, spiking=True).fits(name) for name in chips.names()}

    assert any(fit.fits for fit in fits.values())
    assert code == 0
    for name, fit in fits.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        assert fit.verdict in row


def test_json_is_the_document_of_the_library() -> None:
    """With --json there is one document and nothing else."""
    _, text = _asked(MODEL, "--chip", "xylo_audio2", "--json")
    fit = sw.convert(MODEL, spiking=True).fits("xylo_audio2")

    assert json.loads(text) == json.loads(json.dumps({"chips": [fit.as_dict()]}))
    assert not fit.fits


def test_a_network_that_fits_nowhere_ends_with_one() -> None:
    """A program can ask, and tell it from a mistake, which ends with two."""
    code, text = _asked(MODEL, "--chip", "xylo_audio2")

    assert code == 1
    assert "inputs fewer" in text


@pytest.mark.parametrize("chip", ["spek", "none.toml"])
def test_an_unknown_chip_is_a_sentence(chip: str) -> None:
    """No traceback, and the name that was meant, or the file that is missing."""
    code, text = _asked(MODEL, "--chip", chip)

    assert code == 2
    assert "Traceback" not in text
    assert ("'speck'" if chip == "spek" else "none.toml") in text
