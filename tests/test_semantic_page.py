"""docs/semantic.md is true: its examples print what stands below them, its table is complete."""

from __future__ import annotations

import re

from pages import Page
from spikewright.modelling.semantic import modules

PAGE = Page("semantic.md")


def test_the_examples_run_and_print_what_is_printed_below_them() -> None:
    """In one session, from top to bottom."""
    printed, _ = PAGE.run()

    assert printed == PAGE.printed


def test_the_page_names_every_module() -> None:
    """A new one is in the table the day it is published."""
    assert set(re.findall(r"^\| `(\w+)\(", PAGE.text, re.MULTILINE)) == set(modules.__all__)
