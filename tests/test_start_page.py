"""docs/start.md is true: its examples print what stands below them, and its commands work."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from pages import Page, alike
from spikewright.cli import main

PAGE = Page("start.md")


def _commands(lines: str) -> None:
    """Commands of the page, as they stand, installing left out."""
    for line in lines.splitlines():
        if not line.startswith("pip install "):
            words = shlex.split(line)
            assert words[0] == "spikewright", line
            done = CliRunner().invoke(main, words[1:])
            assert done.exit_code == 0, (line, done.output)


def test_the_path_from_nothing_to_a_report_is_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples and commands from top to bottom in one empty folder, installing left out."""
    monkeypatch.chdir(tmp_path)
    printed, _ = PAGE.run(_commands)
    assert alike(printed, PAGE.printed)
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_every_extra_is_named() -> None:
    """The table of extras is that of the project, but for those of its developers."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    extras = set(project["project"]["optional-dependencies"]) - {"dev", "docs", "benchmark", "all"}
    assert [name for name in extras if f"`{name}`" not in PAGE.text] == []
