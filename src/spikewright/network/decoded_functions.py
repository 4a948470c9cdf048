"""The function of a connection: what is decoded of an ensemble, or computed of a node's value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import as_numbers
from spikewright.errors import NetworkError
from spikewright.network.distributions import Distribution
from spikewright.network.pointwise import Pointwise
from spikewright.network.shapes import Shape, as_value

Function = Callable[..., Any] | NDArray
"""A callable of one vector, or wanted values `(points, values)`."""


def as_function(
    given: Any, shape: Shape, points: NDArray | Distribution | None, place: str
) -> tuple[Function | None, Shape]:
    """A function of values of `shape`, and the shape of what it gives.

    `points` are the evaluation points that an array of wanted values belongs to. Raises
    `NetworkError`, which names the connection's `place`, for anything else.
    """
    if given is None:
        return None, shape
    if callable(given):
        return given, _called(given, np.zeros(shape), place).shape
    try:
        wanted = as_numbers(given)
    except (TypeError, ValueError):
        raise NetworkError(
            f"{place}: function must be a callable or an array, got {given!r}"
        ) from None
    if wanted.ndim == 1:
        wanted = wanted[:, None]
    if not isinstance(points, np.ndarray) or wanted.ndim != 2 or len(wanted) != len(points):
        rows = "no array" if not isinstance(points, np.ndarray) else f"{len(points)} points"
        raise NetworkError(
            f"{place}: an array of wanted values, {wanted.shape}, needs eval_points= with one "
            f"point for each row, got {rows}"
        )
    if not np.all(np.isfinite(wanted)):
        raise NetworkError(f"{place}: the wanted values hold NaN or infinity")
    return wanted, wanted.shape[1:]


def wanted_values(function: Function | None, x: NDArray, shape: Shape, place: str) -> NDArray:
    """The function's values `(m, values)`, each of `shape`, at points `(m, dimensions)`.

    Raises `NetworkError` where it fails, or returns another shape, NaN or infinity.
    """
    if isinstance(function, np.ndarray):
        return function
    if function is None:
        return x
    if isinstance(function, np.ufunc | Pointwise):  # one call does
        values = _called(function, x, place)
    else:
        values = np.empty((len(x), *shape))
        for row, point in zip(values, x, strict=True):
            value = _called(function, point, place)
            if value.shape != shape:
                raise _wrong(f"shape {value.shape}", point, shape, place)
            row[...] = value
    finite = np.isfinite(values).reshape(len(x), -1).all(axis=1)
    if not finite.all():
        raise _wrong("NaN or infinity", x[np.argmin(finite)], shape, place)
    return values.reshape(len(x), -1)


def _called(function: Callable[..., Any], x: NDArray, place: str) -> NDArray:
    """The function's value at one point; raises `NetworkError` where it fails."""
    try:
        return as_value(function(np.array(x)))
    except Exception as error:
        raise NetworkError(
            f"{place}: its function failed at x = {np.array2string(x, threshold=6)} "
            f"({type(error).__name__}: {error})"
        ) from error


def _wrong(what: str, x: NDArray, shape: Shape, place: str) -> NetworkError:
    """The error of a function with an invalid value at one point."""
    return NetworkError(
        f"{place}: its function gave {what} at x = {np.array2string(x, threshold=6)}, "
        f"expected finite numbers of shape {shape}"
    )
