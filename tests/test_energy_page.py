"""docs/energy.md is true: its examples print what stands below them, its table is right."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from pages import Page
from spikewright.measure.energy import TABLES, tables

PAGE = Page("energy.md")


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Leaves the registry of tables as it was."""
    before = dict(tables._registry)
    yield
    tables._registry.clear()
    tables._registry.update(before)


def test_the_examples_run_and_print_what_is_printed_below_them() -> None:
    """In one session, from top to bottom."""
    printed, _ = PAGE.run()

    assert printed == PAGE.printed


def test_the_page_has_every_table_with_its_numbers() -> None:
    """A new table, or another number, is on the page the day it is published."""
    rows = re.findall(
        r"^\| `([\w-]+)` \| ([\d.]+) pJ \| ([\d.]+) pJ \| ([\d.]+) pJ \|", PAGE.text, re.MULTILINE
    )
    found = {name: tuple(map(float, values)) for name, *values in rows}
    expected = {
        name: (t.accumulate * 1e12, t.multiply_accumulate * 1e12, t.neuron_update * 1e12)
        for name, t in TABLES.items()
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values), name
