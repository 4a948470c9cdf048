"""docs/diagnosis.md is true: its examples run, and print what stands below them."""

from __future__ import annotations

import re

from pages import Page
from spikewright.diagnosis import CAUSES, PARTS

PAGE = Page("diagnosis.md")


def test_the_examples_run_and_print_what_is_printed_below_them() -> None:
    """In one session, from top to bottom."""
    printed, _ = PAGE.run()

    assert printed == PAGE.printed


def test_the_page_defines_every_part() -> None:
    """In the order of the code."""
    assert re.findall(r"^\| ([a-z ]+) \| `", PAGE.text, re.MULTILINE) == list(PARTS)


def test_the_page_defines_every_cause() -> None:
    """A row of the table for each of the registry."""
    _, _, rest = PAGE.text.partition("## Causes in words")
    section, _, _ = rest.partition("\n## ")
    assert re.findall(r"^\| ([a-z ]+) \| (?!what)", section, re.MULTILINE) == list(CAUSES)
