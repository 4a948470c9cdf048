"""Results are printed by one implementation: what `print` shows is what commands show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import spikewright as sw
from spikewright import demo
from spikewright.cli import main, output

MODEL, STEPS = str(demo.MODEL), ("--steps", "8")
Results = dict[str, tuple[tuple[str, ...], Callable[[], Any]]]


def _network() -> sw.Conversion:
    return sw.convert(MODEL, spiking=True, scale_firing_rates=200.0)


X, Y = demo.held_out(40)
RESULTS: Results = {
    "evaluate": (
        (*STEPS, "--scale", "200"),
        lambda: _network().evaluate(X, Y, steps=8, progress=False),
    ),
    "diagnose": ((*STEPS, "--scale", "200"), lambda: _network().diagnose(X, Y, steps=8)),
    "sweep": (
        (*STEPS, "--scale", "20,100"),
        lambda: sw.sweep(MODEL, X, Y, scales=[20.0, 100.0], steps=8, progress=False),
    ),
    "train": (
        (*STEPS, "--epochs", "1", "-o", "trained.sw"),
        lambda: sw.convert(MODEL, spiking=True).train(X, steps=8, epochs=1, progress=False),
    ),
}


def _words(text: str) -> Counter[str]:
    """The words of a text, without the lines of tables."""
    return Counter(word for word in text.split() if not set(word) <= set("─━-"))


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("command", RESULTS)
def test_print_has_every_word_of_the_command(
    command: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In lines of one length; the command adds which model it was and where it was saved."""
    monkeypatch.setattr(output, "_FILE_WIDTH", 80)
    monkeypatch.chdir(tmp_path)
    options, library = RESULTS[command]
    found = CliRunner().invoke(main, [command, MODEL, "--data", data, *options])
    assert found.exit_code == 0, found.output
    text = str(library())
    missing = _words(text) - _words(found.stdout)
    added = _words(found.stdout) - _words(text)
    assert not missing and sum(added.values()) <= 16, (missing, added)
    if command in ("evaluate", "sweep"):
        assert "95 % interval" in text and "steps" in text and "spikes" in text
