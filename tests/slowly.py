"""Cases of which some are tried in the default run, and all in the slow one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow_but(quick: Collection[Any], cases: Iterable[Any]) -> list[Any]:
    """Cases as parameters, all but the quick ones marked slow; the quick ones are among them."""
    every = list(cases)
    assert set(quick) <= set(every), set(quick) - set(every)
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in every]
