"""Shapes, seeds and numbers as users give them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import as_numbers, as_real, frozen, immutable, is_number, is_whole
from spikewright._base.process import outside
from spikewright._base.windows import Windows
from spikewright.errors import NetworkError

Shape = tuple[int, ...]

_FEW = 4  # numbers of an array that a message shows


def as_shape(value: int | tuple[int, ...], what: str, empty: bool = True) -> Shape:
    """A shape from a number or a tuple.

    Raises `NetworkError` naming `what` for anything else, and for a shape without any values where
    it may not be `empty`.
    """
    items: Iterable[Any] = value if isinstance(value, tuple | list | np.ndarray) else (value,)
    shape = tuple(items)
    if not all(is_whole(n) and n >= 0 for n in shape):
        raise NetworkError(f"{what} must be a whole number or a tuple of them, got {value!r}")
    if not empty and math.prod(shape) == 0:
        raise NetworkError(f"{what} must be above 0, got {value!r}")
    return tuple(int(n) for n in shape)


def as_seed(value: Any, what: str) -> int | None:
    """A seed, None or a whole number from 0; raises `NetworkError` naming `what` otherwise."""
    if value is None:
        return None
    if not (is_whole(value) and value >= 0):
        raise NetworkError(f"{what}: a seed is None or a whole number from 0, got {value!r}")
    return int(value)


def as_label(value: Any, what: str, meant: str = "") -> str | None:
    """A label, None or text; raises `NetworkError` naming `what` and the argument `meant` else."""
    if value is None or isinstance(value, str):
        return value
    hint = f". Did you mean {meant}={value!r}?" if meant else ""
    raise NetworkError(f"{what}: a label is None or text, got {value!r}{hint}")


def as_period(value: Any, what: str) -> int | None:
    """None or a whole number of steps from 1; raises `NetworkError` naming `what` otherwise."""
    if value is None:
        return None
    if not (is_whole(value) and value >= 1):
        raise NetworkError(
            f"{what}: restart_every is None or a whole number of steps from 1, got {value!r}"
        )
    return int(value)


def count(value: Any, what: str, least: int = 1) -> int:
    """A whole number from `least`; raises `NetworkError` naming `what` otherwise."""
    if not (is_whole(value) and value >= least):
        raise NetworkError(f"{what} must be a whole number from {least}, got {value!r}")
    return int(value)


def number(value: Any, what: str) -> float:
    """A finite number; raises `NetworkError` naming `what` otherwise."""
    if not is_number(value):
        raise NetworkError(f"{what} must be a finite number, got {value!r}")
    return float(value)


def above_zero(value: Any, what: str, unit: str = "") -> float:
    """A finite number above 0; raises `NetworkError` naming `what` and the unit otherwise."""
    if not (is_number(value) and value > 0):
        raise NetworkError(f"{what} must be above 0{unit}, got {value!r}")
    return float(value)


def from_zero(value: Any, what: str, unit: str = "") -> float:
    """A finite number from 0; raises `NetworkError` naming `what` and the unit otherwise."""
    if not (is_number(value) and value >= 0):
        raise NetworkError(f"{what} must be 0{unit} or more, got {value!r}")
    return float(value)


def finite(
    value: Any, what: str, meant: str = "finite numbers", truth_values: bool = False
) -> NDArray:
    """Finite numbers as a float64 array of their own.

    Where they may be `truth_values`, these are zeros and ones. Raises `NetworkError` naming `what`,
    and what is `meant`, for anything else.
    """
    try:
        values = np.array(as_real(value)) if truth_values else as_numbers(value)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{what} must be {meant}, got {brief(value)}: {error}") from None
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        place = tuple(map(int, bad[0]))
        at = f" at {place}" if place else ""
        raise NetworkError(f"{what} must be {meant}, got {values[place]}{at}")
    return values


def brief(value: Any) -> str:
    """A value as messages show it: an array of more than a few numbers by its shape."""
    few = not isinstance(value, np.ndarray) or value.size <= _FEW
    return repr(value) if few else f"an array of shape {value.shape}"


def as_delay(value: Any, what: str) -> float | NDArray:
    """Seconds from 0 on, or a read-only array of them `(synapses,)`.

    Raises `NetworkError` naming `what` otherwise.
    """
    if is_number(value) and value >= 0:
        return float(value)
    try:
        given = as_real(value)
    except (TypeError, ValueError):
        given = np.empty(())
    if given.ndim != 1 or not np.all(given >= 0.0) or not np.all(np.isfinite(given)):
        raise NetworkError(
            f"{what}: a delay is a number of seconds from 0 on, got {value!r}; an array of them "
            "has one for each synapse"
        )
    return given if immutable(given) else frozen(np.array(given))


def as_value(returned: Any) -> NDArray:
    """The result of a node's function as an array with at least one axis; None has no values.

    Raises `TypeError` or `ValueError` for what is not numbers.
    """
    return np.atleast_1d(np.empty(0) if returned is None else np.asarray(returned, np.float64))


def fixed_numbers(owner: object, name: str) -> NDArray:
    """Make a field a read-only float64 copy of its numbers; raises `NetworkError` for others."""
    values = finite(getattr(owner, name), f"{type(owner).__name__}.{name}")
    object.__setattr__(owner, name, frozen(values))
    return values


def whole_numbers(what: str, values: Any, least: int) -> tuple[int, ...]:
    """The values as a tuple of ints; raises `NetworkError` unless each is whole, from `least`."""
    try:
        found = tuple(values)
    except TypeError:
        raise NetworkError(f"{what} must be whole numbers, got {values!r}") from None
    if not all(is_whole(n) and n >= least for n in found):
        raise NetworkError(f"{what} must be whole numbers from {least}, got {values!r}")
    return tuple(int(n) for n in found)


def check_windows(kind: str, windows: Windows) -> Windows:
    """The windows, checked: sizes, strides and dilations from 1, padding from 0.

    Raises `NetworkError` naming `kind`.
    """
    if not isinstance(windows, Windows):
        raise NetworkError(f"{kind}.windows must be Windows, got {windows!r}")
    size = whole_numbers(f"{kind}: size", windows.size, 1)
    stride = whole_numbers(f"{kind}: stride", windows.stride, 1)
    dilation = whole_numbers(f"{kind}: dilation", windows.dilation, 1)
    pairs = tuple(whole_numbers(f"{kind}: padding", pair, 0) for pair in windows.padding)
    fits = len(size) == len(stride) == len(dilation) == len(pairs)
    if not (size and fits and all(len(pair) == 2 for pair in pairs)):
        raise NetworkError(
            f"{kind}: size {size}, stride {stride}, dilation {dilation} and padding {pairs} must "
            "have one entry an axis, padding as (before, after) pairs"
        )
    padding = tuple((before, after) for before, after in pairs)
    return Windows(size, stride, padding, dilation, bool(windows.ceil_mode))


_LONG: dict[str, float] = {"tau_rc": 1.0, "tau_ref": 1.0, "tau": 1.001, "t": 1.001}
"""Seconds from which on a time is taken for milliseconds: some synapses have a whole second."""


def warn_of_milliseconds(owner: object, *names: str) -> None:
    """Warn of times, fields of `owner` in seconds, that are plausible in milliseconds alone."""
    for name in names:
        value: Any = getattr(owner, name)
        longest = float(np.max(value))
        if np.isfinite(longest) and longest >= _LONG[name]:
            warnings.warn(
                f"{type(owner).__name__}.{name} is {longest:g} s, for times are in seconds; if "
                f"{longest:g} ms is meant, give {longest / 1000:g}",
                stacklevel=outside(),
            )


def require(condition: bool, message: str) -> None:
    """Raise `NetworkError` unless the condition holds."""
    if not condition:
        raise NetworkError(message)
