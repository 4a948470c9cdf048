"""Commands that continue after an interruption, and the messages when they stop and continue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from spikewright.cli.output import print_text
from spikewright.evaluation.checkpoint import finished_shards

_PLACES = ("checkpoint", "study")
"""Settings that name the place where a command keeps what is finished."""


class Interrupted(click.ClickException):
    """The user interrupted a command; it exits with 130, as shells count the signal."""

    exit_code = 130

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message: it is no error."""
        print_text(self.message, err=True)


@contextmanager
def resumable(settings: Mapping[str, Any]) -> Iterator[None]:
    """Print what an earlier run left, and at Ctrl-C how to continue."""
    flags = [f"--{name}" for name in _PLACES if name in settings]
    place = next(filter(None, map(settings.get, _PLACES)), None)
    left = None if place is None else _left(str(place))
    if left is not None:
        print_text(f"Goes on from {place}, {left}", err=True)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(_advice(place, flags)) from None


def _left(place: str) -> str | None:
    """The work of an earlier run in a place, in words; None for an empty place or an address."""
    path = Path(place)
    if path.is_dir():
        parts = finished_shards(path)
        return f"which holds {parts} finished part{'s' * (parts != 1)}" if parts else None
    return "which holds what was finished" if path.is_file() and path.stat().st_size else None


def _advice(place: Any, flags: list[str]) -> str:
    if place is not None:
        return f"Stopped. {place} keeps what is finished: run the same command again to go on"
    if flags:
        return f"Stopped, and nothing is kept. With {flags[0]} PATH it would go on from there"
    return "Stopped"
