"""This process: its processors, and the line of the user's code that called this package."""

from __future__ import annotations

import os
import sys
from typing import Any

from spikewright._base.arguments import is_whole
from spikewright.errors import SpikewrightError

MOST_THREADS = 256
"""Threads of a run at most: more cost memory and time, and many more would end the process."""


def processors() -> int:
    """The number of processors that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def check_threads(threads: Any, error: type[SpikewrightError], name: str = "threads") -> None:
    """Raise `error` unless a number of threads is None or whole, from 1 to `MOST_THREADS`."""
    if threads is not None and not (is_whole(threads) and 1 <= threads <= MOST_THREADS):
        raise error(f"{name} must be a whole number from 1 to {MOST_THREADS}, got {threads!r}")


_PACKAGE = __name__.partition(".")[0]


def outside() -> int:
    """The `stacklevel` of the first frame outside this package, for a warning by the caller."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    return level


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == _PACKAGE
