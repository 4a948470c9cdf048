"""Messages of a conversion: through `warnings`, and to the logger `spikewright`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from spikewright._base.callers import outside
from spikewright.errors import ConversionWarning

_LOGGER = logging.getLogger(__name__.partition(".")[0])
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
    warnings.warn(text, ConversionWarning, stacklevel=outside())
    return True
