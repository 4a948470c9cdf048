"""The first hour, from nothing: docs/start.md in a fresh environment, command by command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.pages import Page, alike

PAGE = Page("start.md")
FOLDER = os.environ.get("SPIKEWRIGHT_WHEELS")
_INSTALL = re.compile(r"^pip install 'spikewright(\[[\w,]+\])'$", re.MULTILINE)
_SHELL = (
    "import subprocess\nsubprocess.run({!r}, shell=True, check=True, stdout=subprocess.DEVNULL)\n"
)


def session() -> str:
    """All examples in one session, with the commands in their places; installing left out."""
    parts = [
        code if language == "python" else _SHELL.format("set -e\n" + _INSTALL.sub("", code))
        for language, code in PAGE.blocks
        if language in ("python", "sh")
    ]
    return "\n".join(parts)


@pytest.mark.first_hour
def test_the_path_works_in_a_fresh_environment(tmp_path: Path) -> None:
    """With the extras that the page names, and no other, every line works and prints the same."""
    assert FOLDER is not None, "give the folder of a wheel in SPIKEWRIGHT_WHEELS"
    (wheel,) = Path(FOLDER).resolve().glob("*.whl")
    (extras,) = _INSTALL.findall(PAGE.text)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    programs, folder = tmp_path / "venv" / "bin", tmp_path / "empty"
    folder.mkdir()
    env = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([programs / "pip", "install", "-q", f"{wheel}{extras}"], check=True, env=env)
    path = tmp_path / "session.py"
    path.write_text(session(), encoding="utf-8")
    done = subprocess.run(
        [programs / "python", path], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert alike(done.stdout, PAGE.printed)
    assert (folder / "report.html").stat().st_size > 10_000
