"""docs/reference.md lists everything public, in the words of the docstrings."""

from __future__ import annotations

import inspect

import pytest
from scripts.reference import TARGET, first_line, reference, topics

import spikewright as sw
from spikewright import errors, measure

NAMES = {name: item for names in topics().values() for name, item in names.items()}


def test_the_page_is_up_to_date() -> None:
    """Generated from docstrings: `python scripts/reference.py` writes it anew."""
    assert TARGET.read_text(encoding="utf-8") == reference()


def test_every_public_name_is_on_the_page() -> None:
    """Nothing can be imported from the package, its measures and its errors that has no line."""
    assert {f"sw.{name}" for name in sw.__all__} <= set(NAMES)
    listed = {name.rpartition(".")[2] for name in NAMES}
    assert set(measure.__all__) - {"EveryStep", "Readout"} <= listed
    assert {
        n for n, e in vars(errors).items() if inspect.isclass(e) and n in errors.__doc__
    } <= listed


def test_no_name_is_listed_under_two_topics() -> None:
    """Each has its place."""
    assert len(NAMES) == sum(len(names) for names in topics().values())


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_says_what_it_is(name: str) -> None:
    """A docstring that begins with a sentence of its own, not that of `object` or a dataclass."""
    line = first_line(NAMES[name])
    assert len(line) > 10
    assert not line.startswith(f"{name.rpartition('.')[2]}(")
