"""The gallery: every example runs, ends in a number within its bound, and stands on the page."""

from __future__ import annotations

import re

import pytest
from scripts.gallery import FOLDER, ORDER, PAGE, PICTURES, example, results, run, sections

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


@pytest.mark.parametrize("name", ORDER)
def test_an_example_is_short_and_says_what_it_shows(name: str) -> None:
    """At most forty lines; a title, and a text below it that is on the page."""
    assert len((FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 40
    item = example(name)
    title, _, what = item.title.partition(": ")
    assert title and what and len(item.text) > 40
    assert PRINTED[name].startswith(f"## {title}\n")
    assert item.text in " ".join(PRINTED[name].split())


@pytest.mark.parametrize("name", ORDER)
def test_an_example_has_a_small_picture(name: str) -> None:
    """A PNG below 100 kB."""
    picture = (PICTURES / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 100_000
