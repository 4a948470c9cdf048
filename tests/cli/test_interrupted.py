"""Ctrl-C: what a command says when it is stopped, and when it goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright import demo
from spikewright.cli import main

KEEPING = {"evaluate": "--checkpoint", "sweep": "--checkpoint", "tune": "--study"}


@pytest.fixture
def stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """A function that runs a command, stops it at its first result, and gives what it says."""
    monkeypatch.chdir(tmp_path)
    x, y = demo.held_out(20)
    np.savez("data.npz", x=x, y=y)

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    def run(command: str, *options: str) -> str:
        with monkeypatch.context() as patched, pytest.raises(SystemExit) as ended:
            for name in ("evaluate", "run"):
                patched.setattr(sw.Conversion, name, stop)
            for name in ("library_sweep", "library_tune"):
                patched.setattr(f"spikewright.cli.studies.{name}", stop)
            main([command, str(demo.MODEL), "--data=data.npz", *options])
        assert ended.value.code == 130
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize("command", KEEPING)
def test_a_stopped_command_says_how_to_go_on(command: str, stopped: Callable[..., str]) -> None:
    """With a place for what is finished: the same command; without one: the option that has it."""
    steps = [] if command == "tune" else ["--steps=4"]
    option = KEEPING[command]
    assert stopped(command, *steps, f"{option}=kept") == (
        "Stopped. kept keeps what is finished: run the same command again to go on\n"
    )
    assert stopped(command, *steps) == (
        f"Stopped, and nothing is kept. With {option} PATH it would go on from there\n"
    )


def test_others_just_stop(stopped: Callable[..., str]) -> None:
    """A run has no place for parts of it."""
    assert stopped("run", "--steps=4") == "Stopped\n"


def test_a_run_that_goes_on_says_from_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The finished parts that are there; of a first run nothing is said."""
    monkeypatch.chdir(tmp_path)
    x, y = demo.held_out(20)
    np.savez("data.npz", x=x, y=y)
    line = [
        "evaluate",
        str(demo.MODEL),
        "--data=data.npz",
        "--steps=4",
        "--scale=200",
        "--checkpoint=kept",
    ]
    main(line, standalone_mode=False)
    first = capsys.readouterr()
    main(line, standalone_mode=False)
    second = capsys.readouterr()

    assert (first.err, second.err) == ("", "Goes on from kept, which holds 1 finished part\n")
    assert first.out == second.out
