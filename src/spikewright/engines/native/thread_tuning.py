"""Choosing the number of threads of a run from the measured time of earlier runs."""

from __future__ import annotations

import math

_THREAD_START = 100e-6  # seconds to start one thread and to join it
_DECAY = 0.95  # weight that a run leaves to the last time of steps shared by threads
_MOST_GROWTH = 2.0  # a run counts as at most so many times the average of the runs before it
_LONG_STEP = 300e-6  # seconds of a step that is worth sharing, instruction by instruction


class ThreadTuner:
    """Estimates the time that a kernel takes on one thread for a step of one sample ("a frame").

    Timings may decide the number of threads, because that number changes no result.
    """

    def __init__(self, most: int) -> None:
        self._most, self._seconds = most, math.inf
        self._alone = math.inf  # seconds of a frame in the last run on one thread
        self._shared = 0.0  # recent seconds of a frame that several threads shared

    def threads(self, frames: int) -> int:
        """The number of threads for a run of so many frames."""
        if math.isinf(self._seconds):
            return 1 if frames == 1 else self._most
        return max(1, min(self._most, int(self._seconds * frames / (2 * _THREAD_START))))

    def is_brief(self, frames: int) -> bool:
        """Whether so many frames take less time than starting a thread."""
        return self._seconds * frames < _THREAD_START

    @property
    def shares_frames(self) -> bool:
        """Whether a frame takes so long that several threads share it, and did so with profit."""
        return max(_LONG_STEP, self._shared) < self._seconds < math.inf

    def record(self, frames: int, threads: int, spent: float) -> None:
        """Record the seconds that a run took; recent runs weigh most.

        One slow run has little weight, since other programs use the machine too. If several threads
        were no faster than one, the time of one thread is recorded.
        """
        seconds = max(spent - _THREAD_START * (threads - 1), 0.0) * threads / frames
        if threads == 1:
            self._alone = seconds = min(seconds, _MOST_GROWTH * self._seconds)
        elif spent / frames > self._alone:
            seconds = self._alone
        self._seconds = seconds if math.isinf(self._seconds) else (self._seconds + seconds) / 2
        self._shared *= _DECAY

    def record_shared(self, frames: int, spent: float) -> None:
        """Record the seconds of a run in which threads shared every frame."""
        self._shared = spent / frames
