"""Arguments as users give them: which are numbers, and how one is refused."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import numpy as np

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


def refuse(what: str, reason: str, options: str = "") -> ConversionError:
    """An error about one argument, of `convert` or of a rule."""
    return ConversionError([Refusal(what, "argument", reason, options)])
