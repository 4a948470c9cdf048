"""The worked example: the rows that must always hold, through the library."""

from __future__ import annotations

import pytest

from spikewright import engines
from spikewright.showing.explain import worked_example

STEADY = ["1/2"] * 12
ROWS: dict[float | None, list[tuple[str, list[str]]]] = {
    None: [("rate A / B", STEADY)],
    1: [("s = 1: A", ["0"] * 9 + ["10", "0", "0"]), ("s = 1: B", ["0"] * 9 + ["20", "0", "0"])],
    5: [("s = 5: A", ["0", "2"] * 6), ("s = 5: B", ["0", "4"] * 6)],
    10: [("s = 10: A / B", STEADY)],
}


@pytest.mark.parametrize("precision", engines.PRECISIONS)
@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("scale", ROWS)
def test_the_rows_of_the_worked_example(scale: float | None, engine: str, precision: str) -> None:
    """A spike at step 10 at scale 1, at every other step at 5, the rate network itself at 10."""
    found = worked_example(scale, engine=engine, precision=precision)  # type: ignore[arg-type]

    assert found.rows == ROWS[scale]
