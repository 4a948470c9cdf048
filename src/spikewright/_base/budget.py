"""One budget for all that reading a file makes: bytes and nodes, however small the file is.

A file may say much in few bytes: compressed members, shapes of constants, values that it names more
than once, functions that call each other. Whatever a reader makes of a file is taken from the one
budget of that file before it is made. Limits grow with the file, so that no honest one meets them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from spikewright.errors import DamagedFileError, ReadError

BYTES, BYTES_FOR_EACH = 1 << 30, 100
"""Bytes that reading a file may make: at least these, or so many for each byte of the file."""

NODES, NODES_FOR_EACH = 1 << 14, 16
"""Nodes that reading a file may make: at least these, or so many for each node that it holds."""

BYTES_VARIABLE = "SPIKEWRIGHT_READ_BYTES"
NODES_VARIABLE = "SPIKEWRIGHT_READ_NODES"


class Budget:
    """All that reading one file, named `place`, may make; `size` is its length in bytes."""

    def __init__(self, place: str | Path, size: int = 0, nodes: int = 0) -> None:
        self.place = str(place)
        self._size, self._nodes = size, nodes
        self._made = self._nodes_made = 0

    def holds(self, size: int = 0, nodes: int = 0) -> None:
        """Count more to what is held: files beside this one, nodes that are found in it."""
        self._size += size
        self._nodes += nodes

    @property
    def left(self) -> int:
        """The bytes that may still be made."""
        return self._limit(BYTES_VARIABLE, BYTES, BYTES_FOR_EACH * self._size) - self._made

    @property
    def nodes_left(self) -> int:
        """The nodes that may still be made."""
        limit = self._limit(NODES_VARIABLE, NODES, NODES_FOR_EACH * self._nodes)
        return limit - self._nodes_made

    def spend(self, size: int) -> str | None:
        """Count bytes that are made next; where they are too many, the reason, and none counts."""
        if size <= self.left:
            self._made += size
            return None
        of = f"{_bytes(max(self.left, 0))} left of the " if self._made else ""
        limit = _bytes(self.left + self._made)
        return f"{_bytes(size)}, more than the {of}{limit} that reading the file may make"

    def spend_nodes(self, count: int) -> str | None:
        """Count nodes that are made next; where they are too many, the reason, and none counts."""
        if count <= self.nodes_left:
            self._nodes_made += count
            return None
        return (
            f"{_count(count)} nodes, and {_count(self.nodes_left + self._nodes_made)} nodes in all "
            "are the limit of what reading the file may make"
        )

    def take(self, size: int, what: str) -> None:
        """Count the bytes of `what`; raises `DamagedFileError` where they are too many."""
        if reason := self.spend(size):
            raise DamagedFileError(f"{self.place}: {what} would take {reason}. {MORE_BYTES}.")

    def take_nodes(self, count: int, what: str) -> None:
        """Count the nodes of `what`; raises `DamagedFileError` where they are too many."""
        if reason := self.spend_nodes(count):
            raise DamagedFileError(f"{self.place}: {what} would make {reason}. {MORE_NODES}.")

    @staticmethod
    def _limit(variable: str, least: int, usual: int) -> int:
        """The limit that the environment gives, else the usual one."""
        given = os.environ.get(variable, "")
        if not given:
            return max(least, usual)
        try:
            return _whole(given)
        except (ValueError, OverflowError):
            raise ReadError(
                f"{variable}={given!r} is no limit. Set it to a number above 0, such as 1e10"
            ) from None


MORE_BYTES = f"If you trust the file, set the environment variable {BYTES_VARIABLE} to more bytes"
MORE_NODES = f"If you trust the file, set the environment variable {NODES_VARIABLE} to more nodes"

_CURRENT: ContextVar[Budget | None] = ContextVar("budget of the model that is read", default=None)


@contextmanager
def spending(budget: Budget | None) -> Iterator[None]:
    """A context in which `current()` is this budget: of the file that is read in it."""
    token = _CURRENT.set(budget)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Budget | None:
    """The budget of the file that is being read; None while a live model is."""
    return _CURRENT.get()


def budget_of(path: Path, place: str | Path | None = None) -> Budget:
    """The budget of a file that is there, named `place` in errors (its path)."""
    return Budget(path if place is None else place, path.stat().st_size)


def _whole(text: str) -> int:
    found = int(float(text))
    if found < 1:
        raise ValueError(text)
    return found


def _bytes(size: int) -> str:
    """`1.5 GiB`: bytes in the largest unit that they fill."""
    if size >= 1 << 100:
        return f"more than {1 << 50} PiB"
    for power, unit in ((5, "PiB"), (4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "kiB")):
        if size >= 1 << 10 * power:
            return f"{size / (1 << 10 * power):.4g} {unit}"
    return f"{size} bytes"


def _count(number: int) -> str:
    return str(number) if number < 10**15 else f"more than {10**15}"
