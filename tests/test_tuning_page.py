"""docs/tuning.md is true: its example runs, and its table names all that can be searched."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import spikewright as sw
from spikewright.demo import MODEL
from spikewright.tuning.allocation import RULES
from spikewright.tuning.settings import space_of

PAGE = (Path(__file__).parents[1] / "docs" / "tuning.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_runs_and_prints_what_is_printed_below_it() -> None:
    """With a number of trials the search is a function of its arguments."""
    stream, names = io.StringIO(), dict[str, Any]()
    with contextlib.redirect_stdout(stream):
        for language, code in BLOCKS:
            if language == "python":
                exec(compile(code, "tuning.md", "exec"), names)
    printed = "".join(text for language, text in BLOCKS if language == "text")

    assert stream.getvalue() == printed


def test_the_page_names_every_parameter_and_rule() -> None:
    """A new one is described the day it can be searched."""
    named = set(re.findall(r"^\| `([\w ]+)` \|", PAGE, re.MULTILINE))
    space = space_of(sw.convert(MODEL, spiking=True))

    assert named == {re.sub(r"^offset .*", "offset LAYER", name) for name in space}
    assert all(f"`{rule}`" in PAGE for rule in RULES)
