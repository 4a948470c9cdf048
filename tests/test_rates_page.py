"""docs/rates.md is true: its example runs, and the regulariser holds rates in their range."""

from __future__ import annotations

import re

import numpy as np

from pages import Page


def test_the_example_runs_and_holds_rates() -> None:
    """Accuracies and shares are those that are printed, to five points; fewer rates are outside."""
    page = Page("rates.md")
    printed, _ = page.run()
    found, told = (
        [int(n) for n in re.findall(r"(\d+)%", text)] for text in (printed, page.printed)
    )

    assert np.abs(np.subtract(found, told)).max() <= 5
    assert found[3] < 0.75 * found[1]
    assert found[2] >= found[0] - 3
