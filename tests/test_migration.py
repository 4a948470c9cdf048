"""Tables of the migration pages: every row has a check, which what is installed passes."""

from __future__ import annotations

import pytest
from benchmarks.migration.__main__ import load, missing
from benchmarks.migration.rows import CHECKS, PAGES, NotTriedError, rows

load()
ROWS = [(page, first) for page in PAGES for first in rows(page)]


def test_every_row_has_a_check() -> None:
    """And every check its row: a row that is changed needs another look."""
    assert len(ROWS) == len(set(ROWS)) > 60
    assert set(ROWS) == set(CHECKS)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "first"), ROWS)
def test_a_row_holds(page: str, first: str) -> None:
    """Where what it needs is installed; `python -m benchmarks.migration` says what is not."""
    check = CHECKS[page, first]
    if lacking := missing(check):
        pytest.skip(f"needs {', '.join(lacking)}")
    try:
        assert check.function()
    except NotTriedError as reason:
        pytest.skip(str(reason))
