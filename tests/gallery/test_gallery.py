"""The gallery: every example runs, ends in a number within its bound, and stands on the page."""

from __future__ import annotations

import re

import pytest
from scripts.gallery import FOLDER, ORDER, PAGE, results, run, sections

PRINTED = sections(PAGE.read_text(encoding="utf-8"))
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@pytest.mark.parametrize("name", ORDER)
def test_an_example_keeps_its_bound(name: str) -> None:
    """It ends in a number that says how good it is; what it prints is on the page, but for digits.

    Decoders are solved by the machine's own matrix library, so the last digits may be others.
    """
    printed, names = run(name)
    found = results(printed.splitlines()[-1])
    assert len(found) == 1
    for number, word, bound in found:
        assert number <= bound if word == "at most" else number >= bound
    assert names["figure"].axes
    block = re.findall(r"```text\n(.*?)```", PRINTED[name], re.DOTALL)[0]
    assert _NUMBER.sub("#", block) == _NUMBER.sub("#", printed)


def test_every_file_is_an_example() -> None:
    """The page shows all there are, in the order of what they build on."""
    assert sorted(ORDER) == sorted(path.stem for path in FOLDER.glob("*.py"))
    assert tuple(PRINTED) == ORDER
