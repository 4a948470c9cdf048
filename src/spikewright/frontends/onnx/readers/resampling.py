"""The matrices of Resize: the place of each output value in the input, and its weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.values import Unreadable


@dataclass(frozen=True)
class Convention:
    """The transform of coordinates, and the weighting of values."""

    mode: str
    transform: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


def positions(
    extent: int,
    outputs: int,
    factor: float,
    region: tuple[float, float],
    convention: Convention,
) -> NDArray:
    """The place in an axis of `extent` values that each of `outputs` values lies at.

    These are the equations of the standard; `factor extent` is the length before it was rounded.
    """
    x = np.arange(outputs, dtype=np.float64)
    length, last = factor * extent, extent - 1
    match convention.transform:
        case "half_pixel":
            return (x + 0.5) / factor - 0.5
        case "half_pixel_symmetric":
            offset = extent / 2 * (1 - outputs / length)
            return offset + (x + 0.5) / factor - 0.5
        case "pytorch_half_pixel":
            return (x + 0.5) / factor - 0.5 if length > 1 else np.full(outputs, -0.5)
        case "align_corners":
            return x * last / (length - 1) if length != 1 else 0.0 * x
        case "asymmetric":
            return x / factor
        case "tf_crop_and_resize":
            start, end = region
            if length == 1:
                return np.full(outputs, 0.5 * (start + end) * last)
            return start * last + x * (end - start) * last / (length - 1)
    raise Unreadable(f"its coordinates are {convention.transform!r}, which is not known")


def weights(where: NDArray, extent: int, factor: float, convention: Convention) -> NDArray:
    """The matrix `(outputs, extent)` of values read at these places; beyond the ends lies the end.

    Linear weights fall to zero at a distance of one, cubic ones (Keys 1981) at two; with
    `antialias` distances shrink by the factor, where it is below one.
    """
    matrix = np.zeros((len(where), extent))
    rows = np.arange(len(where))
    if convention.mode == "nearest":
        matrix[rows, np.clip(_rounded(where, convention.rounding), 0, extent - 1)] = 1.0
        return matrix
    shrink = min(factor, 1.0) if convention.antialias else 1.0
    reach = 1.0 if convention.mode == "linear" else 2.0
    count = int(np.ceil(reach / shrink))
    taps = np.floor(where).astype(np.int64)[:, None] + np.arange(1 - count, count + 1)
    distance = shrink * np.abs(taps - where[:, None])
    values = np.maximum(1 - distance, 0.0) if reach == 1 else _keys(distance, convention.cubic)
    if convention.exclude_outside:
        values = np.where((taps < 0) | (taps >= extent), 0.0, values)
    values = values / values.sum(axis=1, keepdims=True)
    np.add.at(matrix, (rows[:, None], np.clip(taps, 0, extent - 1)), values)
    return matrix


def _rounded(where: NDArray, rounding: str) -> NDArray:
    match rounding:
        case "floor":
            found = np.floor(where)
        case "ceil":
            found = np.ceil(where)
        case "round_prefer_floor":
            found = np.ceil(where - 0.5)
        case "round_prefer_ceil":
            found = np.floor(where + 0.5)
        case _:
            raise Unreadable(f"its nearest_mode is {rounding!r}, which is not known")
    return found.astype(np.int64)


def _keys(distance: NDArray, a: float) -> NDArray:
    """The cubic convolution kernel with slope `a` at distance one."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
