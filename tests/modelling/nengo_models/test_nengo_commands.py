"""What the commands that measure beside Nengo print and write."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import marked
from benchmarks.nengo_reasons import REASONS
from benchmarks.nengo_suite import report


def test_only_what_nengo_itself_passes_is_counted() -> None:
    """Tests that fail there, or are skipped, count for neither; missing ones do not pass."""
    theirs = {
        "m::test_a": ["passed", ""],
        "m::test_b[1]": ["passed", ""],
        "m::test_b[2]": ["passed", ""],
        "n::Group::test_c": ["passed", ""],
        "n::test_d": ["failed", "x"],
        "n::test_e": ["skipped", ""],
    }
    ours = {
        "m::test_a": ["passed", ""],
        "m::test_b[1]": ["failed", "f.py:1: assert 1 | 2"],
        "m::test_b[2]": ["failed", "f.py:1: assert 1 | 2"],
        "n::test_d": ["passed", ""],
    }

    text = report(theirs, ours)

    assert "6 collected" in text
    assert "passes 4 of them" in text
    assert "**1 (25.0 %)**" in text
    assert "| `m` | 3 | 1 |" in text
    assert "| `n` | 1 | 0 |" in text
    assert "| `test_b` | 2 | f.py:1: assert 1 / 2 |" in text
    assert "| `test_c` | 1 | missing |" in text


def test_a_known_reason_is_given_in_place_of_the_message() -> None:
    """By the name of the test, whatever its variant."""
    name = next(iter(REASONS))
    test = f"m::{name}[x]"

    text = report({test: ["passed", ""]}, {test: ["failed", "f.py:1: no"]})

    assert REASONS[name] in text
    assert "f.py" not in text


def test_a_section_of_the_page_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    """Between its marks; without them nothing is written."""
    path = tmp_path / "page.md"
    path.write_text("a\n<!-- x: measured -->\nold\n<!-- x: end -->\nb\n")

    marked.put("x", "new", path)
    marked.put("x", "newer\n", path)

    assert path.read_text() == "a\n<!-- x: measured -->\n\nnewer\n\n<!-- x: end -->\nb\n"
    with pytest.raises(ValueError, match="'y' needs the marks"):
        marked.put("y", "new", path)


@pytest.mark.parametrize("section", ["models", "errors", "suite"])
def test_every_section_of_the_page_has_been_measured(section: str) -> None:
    """A table stands between the marks."""
    text = (marked.DOCS / "nengo.md").read_text(encoding="utf-8")
    measured = text.split(f"<!-- {section}: measured -->")[1].split(f"<!-- {section}: end -->")[0]

    assert measured.count("\n|") > 3
