"""Output that cannot be written: a sentence and an exit code, for every command."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spikewright as sw
from cli.runs import line
from slowly import slow_but
from spikewright import demo
from spikewright.cli import main

SENTENCE = "standard output cannot be written to"


class Broken(io.StringIO):
    """A stream that takes some characters, and then no more."""

    def __init__(self, room: int, number: int) -> None:
        super().__init__()
        self.room, self.number = room, number

    def write(self, text: str) -> int:
        if self.tell() + len(text) > self.room:
            raise OSError(self.number, "No more")
        return super().write(text)

    def fileno(self) -> int:
        raise io.UnsupportedOperation


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, with a model, its conversion and data in it."""
    monkeypatch.chdir(tmp_path)
    x, y = demo.held_out(60)
    np.savez("data.npz", x=x, y=y)
    Path("model.onnx").write_bytes(demo.MODEL.read_bytes())
    sw.convert(demo.MODEL, spiking=True, scale_firing_rates=100.0).save("net.sw")


def lost(capsys: pytest.CaptureFixture[str], number: int, *arguments: str) -> None:
    """Run a command whose output cannot be written: it ends with 2 and the sentence.

    Where the reader has left, as `head` does when it has enough, it ends with 141 and says nothing.
    """
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    left = number == errno.EPIPE
    assert ended.value.code == (141 if left else 2)
    sentence = f"Error: {SENTENCE} (No more), so output is lost\n"
    assert (sentence in capsys.readouterr().err) == (not left)


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("option", [(), ("--json",)])
@pytest.mark.parametrize("command", slow_but(sorted({*main.commands} - {"demo"}), main.commands))
def test_every_command_says_that_its_output_is_lost(
    command: str,
    option: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At once, or after some of it; whether the reader has left or the disk is full."""
    number = errno.EPIPE if option else errno.ENOSPC
    monkeypatch.setattr(sys, "stdout", Broken(40, number))
    lost(capsys, number, *line(command, tmp_path), *option)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EBADF])
def test_help_is_output_too(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the program, of each command, and the version."""
    for arguments in ((), ("--help",), ("--version",), *((name, "-h") for name in main.commands)):
        monkeypatch.setattr(sys, "stdout", Broken(0, number))
        if arguments:
            lost(capsys, number, *arguments)


@pytest.mark.parametrize("where", [">&-", "> /dev/full", "| head -c 0"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_in_a_process_of_its_own(where: str) -> None:
    """No traceback, and nothing of the interpreter's at its end; before `head`, nothing at all."""
    program = f"{sys.executable} -c 'from spikewright.cli import main; main()'"
    line = f"{program} demo --two-neurons --json {where}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)

    assert done.stdout == ""
    if "head" in where:
        assert (done.returncode, done.stderr) == (141, "")
        return
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {SENTENCE} (")
    assert done.stderr.count("\n") == 1


def test_nothing_is_said_where_all_is_printed() -> None:
    """A reader that reads."""
    program = f"{sys.executable} -c 'from spikewright.cli import main; main()'"
    line = f"{program} demo --two-neurons --json | cat > /dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
