"""Tables of the migration pages: every row has a check, which what is installed passes."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from benchmarks.migration import old_python
from benchmarks.migration.__main__ import load
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
    needs_old = "nengo_dl" in check.needs and old_python.python() is None
    missing = [name for name in check.needs if name != "nengo_dl" and not find_spec(name)]
    if needs_old or missing:
        pytest.skip(f"needs {', '.join(missing) or 'a Python with NengoDL'}")
    try:
        assert check.function()
    except NotTriedError as reason:
        pytest.skip(str(reason))
