"""The number of threads that a run is worth: none is woken for work below what waking costs."""

from __future__ import annotations

import math
from time import perf_counter

_WAKING = 100e-6  # seconds, of one thread: made, and waited for at the end


class Pace:
    """Measures how long a kernel takes for a step of a sample, on one thread.

    The number of threads changes no result, so that times may decide it.
    """

    def __init__(self, threads: int) -> None:
        self._most, self._seconds = threads, math.inf
        self._begun, self._threads = 0.0, 1

    def begin(self, frames: int) -> int:
        """The number of threads for so many steps of samples, which begin now."""
        if math.isinf(self._seconds):
            self._threads = 1 if frames == 1 else self._most
        else:
            worth = self._seconds * frames / (2 * _WAKING)
            self._threads = max(1, min(self._most, int(worth)))
        self._begun = perf_counter()
        return self._threads

    def end(self, frames: int) -> None:
        """The run is over; the last ones count most."""
        spent = perf_counter() - self._begun - _WAKING * (self._threads - 1)
        seconds = max(spent, 0.0) * self._threads / frames
        self._seconds = seconds if math.isinf(self._seconds) else (self._seconds + seconds) / 2
