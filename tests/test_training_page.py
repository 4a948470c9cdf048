"""docs/training.md is true: its example runs, and training helps as much as it says."""

from __future__ import annotations

import re

import numpy as np

from pages import Page
from spikewright.training.surrogates import SURROGATES, surrogate_of

PAGE = Page("training.md")


def test_the_example_runs_and_helps_as_the_page_says() -> None:
    """Accuracies are those that are printed, to three points; the written model sends the same."""
    printed, names = PAGE.run()
    found, told = (
        [int(n) for n in re.findall(r"(\d+)%", text)] for text in (printed, PAGE.printed)
    )

    assert np.abs(np.subtract(found, told)).max() <= 3
    assert "{'0 Linear': ('weight', 'bias')}" in printed
    assert "{'0 Linear': ('weight', 'bias')}" in PAGE.printed
    assert found[1] > found[0]
    runs = [
        c.run(names["x"][:50], steps=1, progress=False).predict()
        for c in (names["trained"].conversion, names["again"])
    ]
    np.testing.assert_array_equal(*runs)
    capped, mine = (
        (names[n].run(names["x"][1200:], steps=3, progress=False).predict().argmax(axis=1))
        for n in ("capped", "mine")
    )
    truth = names["y"][1200:]
    assert (mine == truth).mean() > (capped == truth).mean()


def test_a_loop_of_ones_own_takes_twelve_lines() -> None:
    """The example of a module through time is as short as that."""
    (_, loop) = next(block for block in PAGE.blocks if "torch_module" in block[1])
    assert len(loop.splitlines()) <= 12


def test_the_table_of_surrogates_is_that_of_the_registry() -> None:
    """Names and usual widths of the page are those of the code."""
    told = dict(re.findall(r'^\| `"([a-z ]+)"` \| .* \| ([\d.]+) \|$', PAGE.text, re.MULTILINE))
    assert {n: float(w) for n, w in told.items()} == {
        name: surrogate_of(name).width for name in SURROGATES
    }
