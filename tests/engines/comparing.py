"""Comparisons of what engines give."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def assert_same(found: Iterable[NDArray], expected: Iterable[NDArray]) -> None:
    """Bit by bit, array by array."""
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)
