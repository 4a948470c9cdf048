"""docs/energy.md is true: its examples print what stands below them, its table is right."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikewright.measure.energy import TABLES, tables

PAGE = (Path(__file__).parents[1] / "docs" / "energy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Leaves the registry of tables as it was."""
    before = dict(tables._registry)
    yield
    tables._registry.clear()
    tables._registry.update(before)


def test_the_examples_run_and_print_what_is_printed_below_them() -> None:
    """In one session, from top to bottom."""
    stream, names = io.StringIO(), dict[str, Any]()
    with contextlib.redirect_stdout(stream):
        for language, code in BLOCKS:
            if language == "python":
                exec(compile(code, "energy.md", "exec"), names)
    assert stream.getvalue() == "".join(text for language, text in BLOCKS if language == "text")


def test_the_page_has_every_table_with_its_numbers() -> None:
    """A new table, or another number, is on the page the day it is published."""
    rows = re.findall(
        r"^\| `([\w-]+)` \| ([\d.]+) pJ \| ([\d.]+) pJ \| ([\d.]+) pJ \|", PAGE, re.MULTILINE
    )
    found = {name: tuple(map(float, values)) for name, *values in rows}
    expected = {
        name: (t.accumulate * 1e12, t.multiply_accumulate * 1e12, t.neuron_update * 1e12)
        for name, t in TABLES.items()
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values), name
