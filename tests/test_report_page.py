"""docs/report.md is true: its programs run, and its table is the page's sections."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_its_programs_write_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as they stand: a page with the sections that they feed, a figure."""
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "report.md", "exec"), space)

    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert (tmp_path / "accuracy.svg").exists() and (tmp_path / "accuracy.csv").exists()
    named = re.findall(r"^\| ([A-Z][\w ]+) \|", PAGE, re.MULTILINE)
    assert len(named) == 9
    assert [name for name in named if f">{name}</h2>" not in text] == [
        "The training",
        "One sample",
    ]


def test_links_lead_somewhere() -> None:
    """Every relative link is a file beside the page."""
    targets = re.findall(r"\]\(([^)#:]+)\)", PAGE)

    assert len(targets) >= 3
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []
