"""docs/training.md is true: its example runs, and training helps as much as it says."""

from __future__ import annotations

import re

import numpy as np

from pages import Page

PAGE = Page("training.md")


def test_the_example_runs_and_helps_as_the_page_says() -> None:
    """Accuracies are those that are printed, to three points; the written model sends the same."""
    printed, names = PAGE.run()
    found, told = (
        [int(n) for n in re.findall(r"(\d+)%", text)] for text in (printed, PAGE.printed)
    )

    assert np.abs(np.subtract(found, told)).max() <= 3
    assert found[1] > found[0]
    runs = [
        c.run(names["x"][:50], steps=1, progress=False).predict()
        for c in (names["trained"].conversion, names["again"])
    ]
    np.testing.assert_array_equal(*runs)
