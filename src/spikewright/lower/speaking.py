"""Messages of a conversion: through `warnings`, and to the logger `spikewright`."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from spikewright.errors import ConversionWarning

_PACKAGE = __name__.partition(".")[0]
_LOGGER = logging.getLogger(_PACKAGE)
_LOGGER.addHandler(logging.NullHandler())  # the warning is on the screen already
_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silently() -> Iterator[None]:
    """A context without messages: conversions inside are candidates of a search."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def say(text: str) -> bool:
    """Raise a `ConversionWarning` at the line outside this package that led here, and log it.

    Returns whether it was said.
    """
    if _silent.get():
        return False
    _LOGGER.warning(text)
    warnings.warn(text, ConversionWarning, stacklevel=_outside())
    return True


def _outside() -> int:
    """The number of frames from `say` up to the first one outside this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    return level


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == _PACKAGE
