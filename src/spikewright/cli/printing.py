"""Standard output that loses nothing without a word."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class OutputLost(click.ClickException):
    """Standard output takes no more: some printed output is lost."""

    exit_code = 2

    def __init__(self, reason: str) -> None:
        super().__init__(f"standard output cannot be written to ({reason}), so output is lost")


@contextmanager
def nothing_lost() -> Iterator[None]:
    """Output that cannot be printed raises `OutputLost`; a closed stdout ends the program."""
    stream = sys.stdout
    if stream is None:  # closed before the program began: files that it opens would get its number
        OutputLost("it is closed").show()
        sys.exit(OutputLost.exit_code)
    sys.stdout = _Checked(stream)
    try:
        yield
    finally:
        sys.stdout = stream


class _Checked:
    """A stream whose failures are `OutputLost`, once and for all.

    Other code may try whether a stream takes something, and ignore an error.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lost: OutputLost | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._checked():
            written: int = self._stream.write(text)
            return written

    def flush(self) -> None:
        with self._checked():
            self._stream.flush()

    @contextmanager
    def _checked(self) -> Iterator[None]:
        if self._lost is not None:
            raise self._lost
        try:
            yield
        except OSError as error:
            self._lost = OutputLost(error.strerror or str(error))
            self._drop()
            raise self._lost from error

    def _drop(self) -> None:
        """Send the remaining output nowhere, so that flushing it at exit raises no error."""
        try:
            number = self._stream.fileno()
        except (AttributeError, OSError):
            return  # no file of the system's
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
