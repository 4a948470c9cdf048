"""The line of the user's code that called this package: where warnings are shown."""

from __future__ import annotations

import sys

_PACKAGE = __name__.partition(".")[0]


def outside() -> int:
    """The `stacklevel` of the first frame outside this package, for a warning by the caller."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    return level


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == _PACKAGE
