"""Progress bars for long work: on terminals and in notebooks, after a moment, never in files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from spikewright._base.markup import el, fragment

_DELAY = 1.0  # seconds before a bar appears: short work stays silent
_PAUSE = 0.2  # seconds between two pictures of a bar in a notebook


@contextmanager
def progress_bar(
    total: int | None, show: bool, what: str = "steps"
) -> Iterator[Callable[[int], None]]:
    """A function that takes how much more is done; it draws a bar once work has taken a second.

    `total` is None where nobody knows how much there is. The bar is on the terminal that errors go
    to, or below the cell of a notebook, and disappears at the end.
    """
    place = _place() if show else None
    bar = _Bar(total, what, place) if place else None
    try:
        yield bar.advance if bar else _ignore
    finally:
        if bar:
            bar.close()


def _ignore(done: int) -> None:
    """No bar is wanted."""


class _Drawn(Protocol):
    """A bar that is visible."""

    def advance(self, done: int) -> None: ...

    def close(self) -> None: ...


_Place = Callable[[int | None, str, float], _Drawn]
"""Makes a bar: how much there is, of what, and when the work began."""


def _place() -> _Place | None:
    """The kind of bar that can be seen here, or None."""
    if _kernel():
        return _InNotebook
    return _OnTerminal if sys.stderr.isatty() else None


def _kernel() -> bool:
    """True in the kernel of a notebook, which shows what it is given to display."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class _Bar:
    """A bar that appears when work has taken a second."""

    def __init__(self, total: int | None, what: str, place: _Place) -> None:
        self._done, self._start = 0, time.monotonic()
        self._open = lambda: place(total, what, self._start)
        self._drawn: _Drawn | None = None

    def advance(self, done: int) -> None:
        self._done += done
        if self._drawn is not None:
            self._drawn.advance(done)
        elif time.monotonic() - self._start > _DELAY:
            self._drawn = self._open()
            self._drawn.advance(self._done)

    def close(self) -> None:
        if self._drawn is not None:
            self._drawn.close()


class _OnTerminal:
    """A line that is drawn over and over, and is empty in the end."""

    def __init__(self, total: int | None, what: str, start: float) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(what, total=total)
        self._progress.start()

    def advance(self, done: int) -> None:
        self._progress.advance(self._task, done)

    def close(self) -> None:
        self._progress.stop()


class _InNotebook:
    """An element of a page, in the output of the cell that works; it needs no widgets."""

    def __init__(self, total: int | None, what: str, start: float) -> None:
        from IPython.display import display

        self._total, self._what, self._done = total, what, 0
        self._start, self._shown = start, time.monotonic()
        self._handle: Any = display(_Picture(self._text(), None), display_id=True)

    def advance(self, done: int) -> None:
        self._done += done
        now = time.monotonic()
        if now - self._shown > _PAUSE or self._done == self._total:
            self._shown = now
            share = self._done / self._total if self._total else None
            self._handle.update(_Picture(self._text(), share))

    def _text(self) -> str:
        if not self._total:
            return f"{self._what}: {self._done:,}"
        text = f"{self._what}: {self._done:,} of {self._total:,}"
        if not self._done:
            return text
        left = (time.monotonic() - self._start) * (self._total / self._done - 1)
        return f"{text}, {left:.0f} s left"

    def close(self) -> None:
        self._handle.update(_Picture("", None))


class _Picture:
    """A bar at one moment; with no text there is nothing to see."""

    def __init__(self, text: str, share: float | None) -> None:
        self._text, self._share = text, share

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        if not self._text:
            return ""
        bar = el("progress", value=self._share, max=1, style="width: 20em; vertical-align: middle")
        return fragment(el("div", bar, f" {self._text}"))
