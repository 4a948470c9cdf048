"""Progress bars for long work: on terminals and in notebooks, after a moment, never in files."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from spikewright._base.markup import el, fragment

_DELAY = 1.0  # seconds before a bar appears: short work stays silent
_PAUSE = 0.2  # seconds between two pictures of a bar in a notebook


@contextmanager
def progress_bar(
    total: int | None, visible: bool, what: str = "steps"
) -> Iterator[Callable[[int], None]]:
    """A function that takes how much more is done; it draws a bar once work has taken a second.

    `total` is None where nobody knows how much there is. The bar is on the terminal that errors go
    to, or below the cell of a notebook, and disappears at the end.
    """
    bar: _Bar | None = None
    if visible and _kernel():
        bar = _InNotebook(total, what)
    elif visible and sys.stderr.isatty():
        bar = _OnTerminal(total, what)
    try:
        yield bar.advance if bar else lambda done: None
    finally:
        if bar and bar.visible:
            bar.end()


def _kernel() -> bool:
    """True in the kernel of a notebook, which shows what it is given to display."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class _Bar(ABC):
    """A bar that appears when work has taken a second."""

    def __init__(self, total: int | None, what: str) -> None:
        self.total, self.what, self.done = total, what, 0
        self.start, self.visible = time.monotonic(), False

    def advance(self, done: int) -> None:
        """Count what is done, and show it."""
        if not self.visible and time.monotonic() - self.start > _DELAY:
            self.visible = True
            self.begin()
        self.done += done
        if self.visible:
            self.draw()

    @abstractmethod
    def begin(self) -> None:
        """Make it visible."""

    @abstractmethod
    def draw(self) -> None:
        """Show what is done now."""

    @abstractmethod
    def end(self) -> None:
        """Take it away."""


class _OnTerminal(_Bar):
    """A line that is drawn over and over, and is empty in the end."""

    def begin(self) -> None:
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
        self._task = self._progress.add_task(self.what, total=self.total)
        self._progress.start()

    def draw(self) -> None:
        self._progress.update(self._task, completed=self.done)

    def end(self) -> None:
        self._progress.stop()


class _InNotebook(_Bar):
    """An element of a page, in the output of the cell that works; it needs no widgets."""

    def begin(self) -> None:
        from IPython.display import display

        self._drawn_at = time.monotonic()
        self._handle: Any = display(_Picture(self._text(), None), display_id=True)

    def draw(self) -> None:
        now = time.monotonic()
        if now - self._drawn_at > _PAUSE or self.done == self.total:
            self._drawn_at = now
            share = self.done / self.total if self.total else None
            self._handle.update(_Picture(self._text(), share))

    def end(self) -> None:
        self._handle.update(_Picture("", None))

    def _text(self) -> str:
        if not self.total:
            return f"{self.what}: {self.done:,}"
        text = f"{self.what}: {self.done:,} of {self.total:,}"
        if not self.done:
            return text
        left = (time.monotonic() - self.start) * (self.total / self.done - 1)
        return f"{text}, {left:.0f} s left"


@dataclass(frozen=True, repr=False)
class _Picture:
    """A bar at one moment; with no text there is nothing to see."""

    text: str
    share: float | None

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        if not self.text:
            return ""
        bar = el("progress", value=self.share, max=1, style="width: 20em; vertical-align: middle")
        return fragment(el("div", bar, f" {self.text}"))
