"""The processors of this machine."""

from __future__ import annotations

import os
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
