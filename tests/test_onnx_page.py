"""docs/onnx.md is true: its example runs, and prints what stands below it."""

from __future__ import annotations

from pages import Page
from spikewright._base.budget import NODES

PAGE = Page("onnx.md")


def test_the_example_runs_and_prints_what_is_printed_below_it() -> None:
    """In one session; a tail is refused, and cut by what the refusal says."""
    assert PAGE.run()[0] == PAGE.printed


def test_the_page_names_the_limit_of_loops() -> None:
    """As the code has it."""
    assert f"up to {NODES} nodes" in PAGE.text
