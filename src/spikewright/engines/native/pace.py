"""The number of threads that a run is worth: none is woken for work below what waking costs."""

from __future__ import annotations

import math

_WAKING = 100e-6  # seconds, of one thread: made, and waited for at the end
_FORGOTTEN = 0.95  # what a run leaves of a bad experience
_LONG = 300e-6  # seconds of a step whose parts are worth waiting for, instruction by instruction


class Pace:
    """Learns how long a kernel takes for a step of a sample, on one thread.

    The number of threads changes no result, so that times may decide it.
    """

    def __init__(self, most: int) -> None:
        self._most, self._seconds = most, math.inf
        self._shared = 0.0  # seconds of a step of a sample that threads shared, lately

    def threads(self, frames: int) -> int:
        """The number of threads for so many steps of samples."""
        if math.isinf(self._seconds):
            return 1 if frames == 1 else self._most
        return max(1, min(self._most, int(self._seconds * frames / (2 * _WAKING))))

    def brief(self, frames: int) -> bool:
        """Whether so many steps of samples take less than waking a thread."""
        return self._seconds * frames < _WAKING

    @property
    def long(self) -> bool:
        """Whether a step of one sample is so long that threads share it, and sharing has paid."""
        return max(_LONG, self._shared) < self._seconds < math.inf

    def learn(self, frames: int, threads: int, spent: float) -> None:
        """Take note of the seconds that a run took; the last runs count most."""
        seconds = max(spent - _WAKING * (threads - 1), 0.0) * threads / frames
        self._seconds = seconds if math.isinf(self._seconds) else (self._seconds + seconds) / 2
        self._shared *= _FORGOTTEN

    def learn_shared(self, frames: int, spent: float) -> None:
        """The same of a run in which threads shared every step."""
        self._shared = spent / frames
