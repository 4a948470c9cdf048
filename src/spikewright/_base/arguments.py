"""Numbers and arrays as users give them, of whatever library, and how an argument is refused."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from spikewright._base.mapped import MappedFile
from spikewright.errors import ConversionError, Refusal


def is_whole(value: Any) -> bool:
    """Whether a value is an integer (and no truth value)."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number (and no truth value)."""
    real = isinstance(value, int | float | np.integer | np.floating)
    return real and not isinstance(value, bool) and math.isfinite(_as_float(value))


def is_real_number(value: Any) -> bool:
    """Whether a value is a real number, infinite ones too (and no truth value)."""
    real = isinstance(value, int | float | np.integer | np.floating)
    return real and not isinstance(value, bool) and not math.isnan(_as_float(value))


def _as_float(value: Any) -> float:
    """A real number; NaN for a whole number that is too large for any float."""
    try:
        return float(value)
    except OverflowError:
        return math.nan


def is_plain_whole(value: Any) -> TypeGuard[int]:
    """True for a Python `int`: studies and files hold no integers of NumPy."""
    return isinstance(value, int) and is_whole(value)


def is_plain_number(value: Any) -> TypeGuard[float]:
    """True for a finite Python `int` or `float`: studies and files hold no numbers of NumPy."""
    return isinstance(value, int | float) and is_number(value)


def as_numbers(value: Any) -> NDArray:
    """A number, or an array or list of them, as a float64 array of its own.

    Raises `TypeError` or `ValueError` for anything else: text, dates, complex numbers, arrays with
    a mask, and truth values.
    """
    return np.array(_real(value, truth_values=False), np.float64)


def numbers_or_nan(value: Any) -> NDArray:
    """As `as_numbers`, but NaN for anything else, which checks of values refuse."""
    try:
        return as_numbers(value)
    except (TypeError, ValueError):
        return np.array(np.nan)


NARROW = (np.uint8, np.int8, np.float32)
"""Types of numbers that float64 holds, and in which kernels read many of them."""


def as_real(value: Any, as_given: bool = False) -> NDArray:
    """Data as a float64 array, which may be the one that was given.

    `as_given`, one of a narrower type stays as it is (`NARROW`). Raises as `as_numbers` does, but
    truth values are zeros and ones.
    """
    found = _real(value, truth_values=True)
    if as_given and found.dtype == np.bool_:
        return found.view(np.uint8)
    return found if as_given and found.dtype in NARROW else np.asarray(found, np.float64)


def _is_plain(value: Any) -> TypeGuard[NDArray]:
    """Whether a value is a NumPy array of integers, floats or truth values."""
    return type(value) is np.ndarray and value.dtype.kind in "fiub"


def _real(value: Any, truth_values: bool) -> NDArray:
    if _is_plain(value) and (truth_values or value.dtype.kind != "b"):
        return value
    check_unmasked(value)
    given = np.asarray(value)
    if np.iscomplexobj(given):
        raise TypeError("its values are complex")
    mixed = given.flat if given.dtype.kind == "O" else ()
    if given.dtype.kind in "SUmM" or any(isinstance(item, str | bytes | None) for item in mixed):
        raise TypeError(f"its values are {given.dtype}, which are no numbers")
    items = value if isinstance(value, list | tuple) else mixed
    truths = given.dtype.kind == "b" or any(isinstance(item, bool | np.bool_) for item in items)
    if truths and not truth_values:
        raise TypeError("it holds truth values, where numbers are meant: give 1.0 for True")
    return given


def check_unmasked(value: Any) -> None:
    """Raise `TypeError` for an array with masked values, or a list of such: there is no mask here.

    NumPy gives what is under a mask as if it were data.
    """
    for item in (value, *(value if isinstance(value, list | tuple) else ())):
        if isinstance(item, np.ma.MaskedArray) and np.ma.is_masked(item):
            raise TypeError(
                f"it is a masked array, {np.ma.count_masked(item)} of {item.size} values masked, "
                "and a network has no mask: give x.filled(value), or leave such samples out"
            )


def refuse(what: str, reason: str, options: str = "") -> ConversionError:
    """An error about one argument, of `convert` or of a rule."""
    return ConversionError([Refusal(what, "argument", reason, options)])


def is_array(item: Any) -> bool:
    """Whether something is an array or a tensor."""
    return hasattr(item, "shape") and hasattr(item, "dtype")


def readable(value: Any) -> Any:
    """A value that NumPy can read: of a tensor its numbers, in main memory, without gradients.

    Raises `TypeError` for an array with masked values.
    """
    if _is_plain(value):
        return value
    check_unmasked(value)
    for method in ("detach", "cpu"):
        value = getattr(value, method)() if hasattr(value, method) else value
    if "bfloat16" in str(getattr(value, "dtype", "")):  # which NumPy has not
        value = value.float() if hasattr(value, "float") else value.astype("float32")
    return value


def frozen(array: NDArray) -> NDArray:
    """Make an array that nothing else holds read-only, so that others may share it."""
    array.setflags(write=False)
    return array


def immutable(array: Any) -> TypeGuard[NDArray]:
    """True for an array that nobody can write to, nor to the array that it is a part of."""
    if type(array) is not np.ndarray:
        return False
    while type(array) is np.ndarray and not array.flags.writeable:
        array = array.base
    if type(array) is memoryview:
        array = array.obj
    return array is None or type(array) in (bytes, MappedFile)


class EqualByValue:
    """Equality and hash of frozen dataclasses (`eq=False`) that have arrays among their fields."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        values = vars(self).values()
        return tuple((v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for v in values)


def repeated(array: NDArray) -> NDArray | None:
    """The one value, without axes, that an array repeats without holding it twice, or None."""
    held = any(stride for stride, size in zip(array.strides, array.shape, strict=True) if size > 1)
    return None if held or array.size == 0 else array[(0,) * array.ndim]


def memory_of(array: NDArray) -> tuple[object, ...]:
    """Equal of two arrays that are the same numbers in the same place, while both are held."""
    place, _ = array.__array_interface__["data"]
    return place, array.shape, array.strides, array.dtype.str
