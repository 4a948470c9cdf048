"""docs/diagnosis.md is true: its examples run, and print what stands below them."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from spikewright.conversion.diagnosis import PARTS

PAGE = (Path(__file__).parents[1] / "docs" / "diagnosis.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_examples_run_and_print_what_is_printed_below_them() -> None:
    """In one session, from top to bottom."""
    stream, names = io.StringIO(), dict[str, Any]()
    with contextlib.redirect_stdout(stream):
        for language, code in BLOCKS:
            if language == "python":
                exec(compile(code, "diagnosis.md", "exec"), names)

    assert stream.getvalue() == "".join(text for language, text in BLOCKS if language == "text")


def test_the_page_defines_every_part() -> None:
    """In the order of the code."""
    assert re.findall(r"^\| ([a-z ]+) \| `", PAGE, re.MULTILINE) == list(PARTS)
