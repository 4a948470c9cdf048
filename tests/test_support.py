"""docs/support.md is what the readers and lowering say."""

from __future__ import annotations

import re

import pytest
from scripts.support import FRONT_ENDS, TARGET, display_name, listed, support

PAGE = TARGET.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_is_up_to_date() -> None:
    """Generated from the code: `python -m scripts.support` writes it anew."""
    assert support() == PAGE


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=lambda front_end: front_end.title)
def test_a_new_reader_is_on_the_page(front_end) -> None:
    """The quick part: every public name that is read stands in its section."""
    part = PAGE.split(f"## {front_end.title}\n")[1].split("\n## ")[0]
    words = {stem for name in re.findall(r"`([^`]+)`", part) for stem in [_stem(name)]}
    names = {display_name(name) for name in front_end.names()}
    assert {n for n in names if not n.startswith("_") and _stem(n) not in words} == set()


def _stem(name: str) -> str:
    """The name without its dimensions."""
    return re.sub(r"[123][Dd](-[123][Dd])?", "#", name)


def test_names_that_differ_in_their_dimensions_are_one() -> None:
    """And all others stand as they are, in alphabetical order."""
    names = ["Dense", "Conv3D", "conv1d", "Conv1D", "Conv2D", "Conv1DTranspose"]
    assert listed(names) == "`Conv1D-3D`, `conv1d`, `Conv1DTranspose`, `Dense`"
