"""Comparisons of what engines give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Exceeding = Callable[[], list[Any]]
"""The fixture that gives the native regions in which some count was beyond its byte."""


def assert_same(found: Iterable[NDArray], expected: Iterable[NDArray]) -> None:
    """Bit by bit, array by array."""
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)
