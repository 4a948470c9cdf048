"""Values as images: which axes of a value are rows, columns and channels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_CHANNELS = (1, 3)
_LEAST_SIDE = 4
_LEAST_SQUARE = 7  # pixels on a side, from which a vector may be an image


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Rows, columns and channels of a value that is an image; None for any other value.

    An image is `(rows, columns)`, with one or three channels before or after these, or a vector
    whose length is a square.
    """
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        return (side, side, 1) if side * side == shape[0] and side >= _LEAST_SQUARE else None
    if len(shape) == 3 and shape[0] in _CHANNELS:
        found = (shape[1], shape[2], shape[0])
    elif len(shape) == 3 and shape[2] in _CHANNELS:
        found = (shape[0], shape[1], shape[2])
    elif len(shape) == 2:
        found = (shape[0], shape[1], 1)
    else:
        return None
    return found if min(found[:2]) >= _LEAST_SIDE else None


def as_images(values: NDArray, bounds: tuple[float, float]) -> NDArray:
    """Samples `(n, *shape)` as `(n, rows, columns, channels)` bytes, from black to white.

    `bounds` are the values that are black and white.
    """
    shape = image_shape(values.shape[1:])
    assert shape is not None
    low, high = bounds
    levels = np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0)
    first = values.ndim == 4 and values.shape[1] in _CHANNELS
    ordered = np.moveaxis(levels, 1, -1) if first else levels
    return np.round(255 * ordered).astype(np.uint8).reshape(len(values), *shape)
