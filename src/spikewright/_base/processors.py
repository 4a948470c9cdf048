"""The processors of this machine."""

from __future__ import annotations

import os


def processors() -> int:
    """The number of processors that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
