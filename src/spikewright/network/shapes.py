"""Shapes as users give them."""

from __future__ import annotations

import numpy as np

from spikewright.errors import NetworkError
from spikewright.network.transforms import Shape


def as_shape(value: int | tuple[int, ...], what: str) -> Shape:
    """A shape from a number or a tuple; raises `NetworkError` naming `what` otherwise."""
    shape = (value,) if isinstance(value, int | np.integer) else tuple(value)
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
        raise NetworkError(f"{what} must be a whole number or a tuple of them, got {value!r}")
    return tuple(int(n) for n in shape)
