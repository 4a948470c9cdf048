"""Benchmarks in processes of their own: whatever becomes of one is a row of the table."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from benchmarks.families import apart

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are bounded by rlimits")


def _done(key: str) -> dict[str, Any]:
    sys.stdout.write("not a row")
    return {"outcome": key}


def _wrong(key: str) -> dict[str, Any]:
    raise ValueError("two\nlines") from KeyError(key)


def _end(key: str) -> dict[str, Any]:
    os._exit(3)


def _much(key: str) -> dict[str, Any]:
    return {"outcome": np.ones(2 << 30, np.uint8).size}


def _long(key: str) -> dict[str, Any]:
    while True:
        pass


@pytest.mark.parametrize(
    ("work", "outcome", "why"),
    [
        (_done, "x", ""),
        (_wrong, "failed", "KeyError: 'x'"),
        (_end, "failed", "exit code 3"),
        (_much, "failed", "Unable to allocate"),
        (_long, "failed", "not done in 2 s"),
    ],
)
def test_whatever_becomes_of_a_process_is_a_row(
    work: Callable[[str], dict[str, Any]], outcome: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error, a crash, too much memory, too much time: each says so, and nothing else ends."""
    monkeypatch.setattr(apart, "IMPORTED", [])
    row = apart.apart(work, "x", longest=2 if work is _long else 60, most=1 << 30)

    assert row["outcome"] == outcome
    assert why in row.get("why", "")
