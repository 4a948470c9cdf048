"""docs/sweeps.md is true: its example runs, and its table names all that can be swept."""

from __future__ import annotations

import inspect
import re

import spikewright as sw
from pages import Page

PAGE = Page("sweeps.md")


def test_the_example_prints_what_is_printed_below_it() -> None:
    """Executed as it stands; every character counts."""
    printed, _ = PAGE.run()

    assert printed == PAGE.printed


def test_what_is_swept_are_arguments() -> None:
    """Each row of the table, and everything that is said to be an argument."""
    takes = set(inspect.signature(sw.sweep).parameters)
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE.text, re.MULTILINE))

    assert rows == {"scales", "synapse", "neurons", "steps", "readouts"}
    assert rows | set(re.findall(r"`(\w+)=", PAGE.text)) <= takes
