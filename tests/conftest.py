"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # one process a processor: each has one thread
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes depends on what else the machine does: tests judge results, not times.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
