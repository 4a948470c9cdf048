"""NumPy as the namespace of equations, with the functions that it lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows, channels_last, restore_channels

# Rational approximations of erf on [0, 0.46875] and of exp(x^2) erfc(x) beyond, to the precision of
# float64: W. J. Cody, Math. Comp. 23 (1969) 631-637. Highest power first.
_ERF_TOP = (
    1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
    3.20937758913846947e3,
)  # fmt: skip
_ERF_BOTTOM = (
    1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
    2.84423683343917062e3,
)  # fmt: skip
_ERFC_TOP = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
    2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
    1.23033935479799725e3,
)  # fmt: skip
_ERFC_BOTTOM = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
    1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
    1.23033935480374942e3,
)  # fmt: skip
_ERF_SPLIT, _ERF_END = 0.46875, 6.0  # beyond 6 erf is one in float64


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    value = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x
        value = value + coefficient
    return value


def erf(x: Any, xp: Any = np) -> Any:
    """The error function `2/sqrt(pi) int_0^x exp(-u^2) du`, to within a few 1e-16."""
    magnitude = xp.minimum(xp.abs(x), _ERF_END)
    small = xp.minimum(magnitude, _ERF_SPLIT)
    square = small * small
    inner = x * (_polynomial(_ERF_TOP, square) / _polynomial(_ERF_BOTTOM, square))
    ratio = _polynomial(_ERFC_TOP, magnitude) / _polynomial(_ERFC_BOTTOM, magnitude)
    outer = xp.sign(x) * (1.0 - xp.exp(-magnitude * magnitude) * ratio)
    return xp.where(magnitude <= _ERF_SPLIT, inner, outer)


def _over_axes(reduce: Callable[..., NDArray]) -> Callable[..., NDArray]:
    """A reduction whose order of summation depends on a sample's shape alone.

    NumPy's order depends on how an array lies in memory; here the axes that vanish are made the
    last, one block of memory for each value that is left.
    """

    def reduced(x: NDArray, axis: int | tuple[int, ...], keepdims: bool = False) -> NDArray:
        axes = {a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)}
        kept = [a for a in range(x.ndim) if a not in axes]
        moved = np.ascontiguousarray(x.transpose(*kept, *sorted(axes)))
        left = moved.shape[: len(kept)]
        value: NDArray = reduce(moved.reshape(*left, -1), axis=-1)
        if not keepdims:
            return value
        return value.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])

    return reduced


class NumpyFunctions:
    """NumPy's functions under their own names, `erf`, and reductions in a fixed order.

    Every function gives a sample the same value whatever batch it lies in.
    """

    erf = staticmethod(erf)
    sum, mean, amax = (staticmethod(_over_axes(f)) for f in (np.sum, np.mean, np.max))

    @staticmethod
    def constant(array: NDArray) -> NDArray:
        """A NumPy array is one of this library already."""
        return array

    @staticmethod
    def rows(table: NDArray, numbers: NDArray) -> NDArray:
        """Rows of a table by the nearest numbers that rows have."""
        return table[np.clip(np.rint(numbers), 0, len(table) - 1).astype(np.int64)]

    @staticmethod
    def called(function: Callable[..., NDArray], *arrays: NDArray) -> NDArray:
        """The result of a function of NumPy arrays."""
        return function(*arrays)

    @staticmethod
    def max_pool(x: NDArray, windows: Windows, last: bool) -> NDArray:
        """Maximum over sliding windows of the trailing axes, `last` saying where channels are."""
        rank = len(windows.size) + 1
        lead, shape = x.shape[:-rank], x.shape[-rank:]
        flat = channels_last(x.reshape(-1, *shape), last)
        y = np.maximum.reduce([view for _, view in windows.taps(flat, value=-np.inf)])
        y = restore_channels(y, last)
        return y.reshape(*lead, *y.shape[1:])

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(np, name)
        return function


NUMPY: Any = NumpyFunctions()
"""The namespace of the graph's interpreter."""
