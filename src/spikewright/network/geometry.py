"""Checks of sliding windows and of indices."""

from __future__ import annotations

from typing import Any

from spikewright._base.arguments import is_whole
from spikewright._base.windows import Windows
from spikewright.errors import NetworkError


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
