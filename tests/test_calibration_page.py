"""docs/calibration.md is true: its example runs and prints what stands below it."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from pathlib import Path

import pytest

from spikewright.calibrate import RULES
from spikewright.calibrate.histogram import RESOLUTION
from spikewright.conversion.correction import BiasCorrection, VoltageCorrection

PAGE = (Path(__file__).parents[1] / "docs" / "calibration.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_prints_what_is_printed_below_it() -> None:
    """Every character of the output."""
    (_, code), (_, expected) = BLOCKS
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(code, "calibration.md", "exec"), {})

    assert stream.getvalue() == expected


@pytest.mark.parametrize("kind", [*RULES.values(), BiasCorrection, VoltageCorrection])
def test_every_rule_and_correction_is_on_the_page(kind) -> None:
    """By name; each says in its docstring what it comes from, and the law that it satisfies."""
    words = inspect.getdoc(kind) or ""

    assert f"{kind.__name__}(" in PAGE
    assert "Law" in words
    assert re.search(r"[Ss]ource|Derived", words)


def test_the_resolution_is_the_one_that_is_told() -> None:
    """0.4 % of a value."""
    assert round(100 * RESOLUTION, 1) == 0.4
