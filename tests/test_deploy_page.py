"""docs/deploy.md is true: its example runs, and prints what stands below it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import Page

PAGE = Page("deploy.md")


def test_the_example_runs_and_prints_what_is_printed_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is written, and run without this package."""
    monkeypatch.chdir(tmp_path)
    assert PAGE.run()[0] == PAGE.printed
