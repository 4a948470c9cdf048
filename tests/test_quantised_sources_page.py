"""docs/quantised_sources.md is true: its example runs, and spikes answer as the source does."""

from __future__ import annotations

import re

import numpy as np

from pages import Page


def test_the_example_runs_and_loses_nothing() -> None:
    """Accuracies are those that are printed, to three points; both networks answer alike."""
    page = Page("quantised_sources.md")
    printed, names = page.run()
    found, told = (
        [int(n) for n in re.findall(r"(\d+)%", text)] for text in (printed, page.printed)
    )

    assert np.abs(np.subtract(found, told)).max() <= 3
    assert found[0] == found[1]
    assert found[2] == 100
    assert names["conversion"].trace.guarantee == "exact after 2 steps"
