"""Values as pictures: which axes of a value are lines and columns."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_COLOURS = (1, 3)
_LEAST_SIDE = 4
_LEAST_SQUARE = 7  # pixels on a side, from which a vector may be a picture


def picture_shape(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Lines, columns and colours of a value that is a picture; None for any other.

    A picture is `(lines, columns)`, with one or three colours before or after these, or a vector
    whose length is a square.
    """
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        return (side, side, 1) if side * side == shape[0] and side >= _LEAST_SQUARE else None
    if len(shape) == 3 and shape[0] in _COLOURS:
        found = (shape[1], shape[2], shape[0])
    elif len(shape) == 3 and shape[2] in _COLOURS:
        found = (shape[0], shape[1], shape[2])
    elif len(shape) == 2:
        found = (shape[0], shape[1], 1)
    else:
        return None
    return found if min(found[:2]) >= _LEAST_SIDE else None


def as_pictures(values: NDArray, bounds: tuple[float, float]) -> NDArray:
    """Samples `(n, *shape)` as `(n, lines, columns, colours)` bytes, from black to white.

    `bounds` are the values that are black and white.
    """
    shape = picture_shape(values.shape[1:])
    assert shape is not None
    low, high = bounds
    levels = np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0)
    first = values.ndim == 4 and values.shape[1] in _COLOURS
    ordered = np.moveaxis(levels, 1, -1) if first else levels
    return np.round(255 * ordered).astype(np.uint8).reshape(len(values), *shape)
