"""Progress as Nengo's bars see it: any object with `update(progress)` and `close()`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_PARTS = 100  # into which a run is cut where somebody watches


@dataclass
class Progress:
    """Progress of a task: `n_steps` done of `max_steps` (None: the number is unknown).

    `name_during` and `name_after` are its names; `success` is None until it has `finished`. Times
    are in seconds.
    """

    name_during: str
    name_after: str
    max_steps: int | None = None
    n_steps: int = 0
    finished: bool = False
    success: bool | None = None
    time_start: float = field(default_factory=time.time)
    time_end: float | None = None

    @property
    def progress(self) -> float:
        """The share that is done, 0 to 1."""
        if self.max_steps is None:
            return 1.0 if self.finished else 0.0
        return min(1.0, self.n_steps / self.max_steps) if self.max_steps else 1.0

    def elapsed_seconds(self) -> float:
        """Seconds since it began, until it ended."""
        return (time.time() if self.time_end is None else self.time_end) - self.time_start

    def eta(self) -> float:
        """Seconds that the rest will take at this pace; -1 while unknown."""
        done = self.progress
        return self.elapsed_seconds() * (1.0 - done) / done if done > 0 else -1.0

    def step(self, n: int = 1) -> None:
        """Note that `n` more steps are done."""
        self.n_steps += n


def watches(bar: Any) -> bool:
    """Whether an argument is a progress bar itself, not a choice whether to show one."""
    return callable(getattr(bar, "update", None))


@contextmanager
def shown(bar: Any, progress: Progress) -> Iterator[None]:
    """A context that tells a bar of the beginning and the end of the work inside."""
    bar.update(progress)
    try:
        yield
        progress.success = True
    except BaseException:
        progress.success = False
        raise
    finally:
        progress.finished, progress.time_end = True, time.time()
        bar.update(progress)
        bar.close()


def run_watched(bar: Any, steps: int, run: Callable[[int], None]) -> None:
    """Run in parts, and tell a bar after each."""
    progress = Progress("Simulating", "Simulation", steps)
    with shown(bar, progress):
        part = max(1, steps // _PARTS)
        while progress.n_steps < steps:
            count = min(part, steps - progress.n_steps)
            run(count)
            progress.step(count)
            bar.update(progress)
