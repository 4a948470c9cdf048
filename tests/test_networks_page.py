"""docs/networks.md is true: its examples print what stands below them, its table is complete."""

from __future__ import annotations

import re

import spikewright as sw
from pages import Page

PAGE = Page("networks.md")


def test_the_examples_run_and_print_what_is_printed_below_them() -> None:
    """In one session, from top to bottom."""
    printed, _ = PAGE.run()

    assert printed == PAGE.printed


def test_the_page_names_every_network() -> None:
    """A new one is in the table the day it is published."""
    rows = set(re.findall(r"^\| `(\w+)\(", PAGE.text, re.MULTILINE))
    networks = {n for n in sw.networks.__all__ if isinstance(getattr(sw.networks, n), type)}
    assert rows == networks - {"ThresholdingEnsembles"}
    assert "ThresholdingEnsembles" in PAGE.text
