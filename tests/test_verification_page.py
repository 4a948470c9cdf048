"""docs/verification.md is true: its example runs, and its figures are those of the code."""

from __future__ import annotations

import re

from pages import Page
from spikewright.conversion import rounding

PAGE = Page("verification.md")


def test_the_example_runs_and_prints_a_line_and_a_table() -> None:
    """The line names a layer that the table has."""
    printed, names = PAGE.run()
    line, *table = printed.splitlines()

    assert names["found"].worst.layer in line
    assert len(table) == 1 + len(names["found"].differences)


def test_the_formula_is_that_of_the_code() -> None:
    """The factor, and the unit of every precision."""
    assert f"    {rounding._ROUNDINGS} (u + v sqrt(n))" in PAGE.text
    told = dict(re.findall(r"2\^-(\d+)\s+for\s+(\w+)", PAGE.text))
    assert {name: 2.0 ** -int(power) for power, name in told.items()} == rounding.UNITS
