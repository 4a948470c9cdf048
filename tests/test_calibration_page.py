"""docs/calibration.md is true: its example runs and prints what stands below it."""

from __future__ import annotations

import inspect
import re

import pytest

from pages import Page
from spikewright.choosing.correction import CORRECTIONS
from spikewright.choosing.rules import RULES
from spikewright.choosing.statistics.histogram import RESOLUTION

PAGE = Page("calibration.md")


def test_the_example_prints_what_is_printed_below_it() -> None:
    """Every character of the output."""
    printed, _ = PAGE.run()

    assert printed == PAGE.printed


@pytest.mark.parametrize("kind", [*RULES.values(), *CORRECTIONS])
def test_every_rule_and_correction_is_on_the_page(kind) -> None:
    """By name; each says in its docstring what it comes from, and the law that it satisfies."""
    words = inspect.getdoc(kind) or ""

    assert f"{kind.__name__}(" in PAGE.text
    assert "Law" in words
    assert re.search(r"[Ss]ource|Derived", words)


def test_the_resolution_is_the_one_that_is_told() -> None:
    """0.4 % of a value."""
    assert round(100 * RESOLUTION, 1) == 0.4
