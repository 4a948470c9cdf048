"""docs/learning.md is true: its examples print what stands below them, its table is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from pages import Page
from spikewright.network.learning import LEARNING_RULES, base

PAGE = Page("learning.md")
RULES = frozenset(LEARNING_RULES)


@pytest.fixture(autouse=True)
def _without_the_page_s_rule() -> Iterator[None]:
    """The page's own rule is known for as long as the page runs."""
    yield
    for name in set(base._registry) - RULES:
        del base._registry[name]


def test_the_examples_run_and_print_what_is_printed_below_them() -> None:
    """In one session, from top to bottom."""
    printed, _ = PAGE.run()

    assert printed == PAGE.printed


def test_the_page_names_every_rule() -> None:
    """A new one is in the table the day it is registered."""
    rows = set(re.findall(r"^\| `(\w+)\(", PAGE.text, re.MULTILINE))

    assert rows == RULES


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_page_names_every_signal(name: str) -> None:
    """What a probe of a rule can record is on the page."""
    for signal in LEARNING_RULES[name]().probeable:
        assert f"`{signal}`" in PAGE.text or f'"{signal}"' in PAGE.text or signal in PAGE.text
