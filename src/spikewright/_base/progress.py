"""Progress bars for long work: shown on terminals, after a moment, never in files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_DELAY = 1.0  # seconds before a bar appears: short work stays silent


@contextmanager
def progress_bar(
    total: int | None, show: bool, what: str = "steps"
) -> Iterator[Callable[[int], None]]:
    """A function that takes how much more is done; it draws a bar once work has taken a second.

    `total` is None where nobody knows how much there is.
    """
    bar = _Bar(total, what) if show and sys.stderr.isatty() else None
    try:
        yield bar.advance if bar else _ignore
    finally:
        if bar:
            bar.close()


def _ignore(done: int) -> None:
    """No bar is wanted."""


class _Bar:
    def __init__(self, total: int | None, what: str) -> None:
        self._total, self._what, self._done = total, what, 0
        self._start = time.monotonic()
        self._bar: Callable[[int], None] | None = None
        self._stop: Callable[[], None] = lambda: None

    def advance(self, done: int) -> None:
        self._done += done
        if self._bar is None and time.monotonic() - self._start > _DELAY:
            self._open()
            self._advance(self._done)
        elif self._bar is not None:
            self._advance(done)

    def _advance(self, done: int) -> None:
        if self._bar is not None:
            self._bar(done)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        task = progress.add_task(self._what, total=self._total)
        progress.start()
        self._bar = lambda done: progress.advance(task, done)
        self._stop = progress.stop

    def close(self) -> None:
        self._stop()
