"""docs/tuning.md is true: its example runs, and its table names all that can be searched."""

from __future__ import annotations

import re

import spikewright as sw
from pages import Page
from spikewright.showing.demo import MODEL
from spikewright.study.search.parameters import searched_rules, space_of

PAGE = Page("tuning.md")


def test_the_example_runs_and_prints_what_is_printed_below_it() -> None:
    """With a number of trials the search is a function of its arguments."""
    printed, _ = PAGE.run()

    assert printed == PAGE.printed


def test_the_page_names_every_parameter_and_rule() -> None:
    """A new one is described the day it can be searched."""
    named = set(re.findall(r"^\| `([\w ]+)` \|", PAGE.text, re.MULTILINE))
    space = space_of(sw.convert(MODEL, spiking=True))

    assert named == {re.sub(r"^offset .*", "offset LAYER", name) for name in space}
    assert all(f"`{rule}`" in PAGE.text for rule in searched_rules())
