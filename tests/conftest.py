"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # one process a processor: each has one thread
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes depends on what else the machine does: tests judge results, not times.
# Examples are the same every time, so that a failure is the change's and not the day's;
# `HYPOTHESIS_PROFILE=explore pytest` looks for new ones, and keeps what failed to try it first.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Tests solve what they test, and leave nothing in the user's folders.
os.environ["SPIKEWRIGHT_DECODER_CACHE"] = "off"
