"""docs/explore.md is true: its example runs, and its commands exist."""

from __future__ import annotations

import re

from pages import Page
from spikewright.cli import main
from spikewright.explorer.measuring import ENERGY_TABLE

PAGE = Page("explore.md")


def test_the_example_prints_an_address() -> None:
    """With a token, on this machine."""
    printed, _ = PAGE.run()

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/\n", printed)


def test_its_options_are_those_of_the_command() -> None:
    """Each option on the page, and the cost table."""
    known = {
        option for p in main.commands["explore"].params for option in [*p.opts, *p.secondary_opts]
    }
    named = set(re.findall(r"(?<![-|])--[a-z][a-z-]+", PAGE.text))

    assert {"--data", "--no-browser", "--port"} == named <= known
    assert f"`{ENERGY_TABLE}`" in PAGE.text
