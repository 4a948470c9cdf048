"""Memory: the need of a run by part, the available bytes, and the error of too few."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from spikewright._base.formatting import format_table
from spikewright._base.markup import RichRepr, Rows
from spikewright.errors import SimulationError

LIMIT_VARIABLE = "SPIKEWRIGHT_MEMORY"
_GIB = 2**30
_NAMED = 3  # parts that an error names
_LATELY = 0.1  # seconds
# Bytes for which memory need not be looked at every time; their share of what was left.
SMALL, _SMALL_SHARE = 64 * 2**20, 32
_ADVICE = {
    "weights": "convert a smaller network, or in a process that holds less",
    "state": "run fewer samples at once (batch_size=)",
    "signals": "run fewer samples at once (batch_size=)",
    "work": "run fewer samples at once (batch_size=) or on fewer threads (threads=)",
    "totals": "run the samples in several runs",
    "recording": "record fewer steps (sample_every=), samples or neurons",
}


class MemoryPart(NamedTuple):
    """A part of the memory of a run: its kind, its owner, bytes, and their derivation.

    Kinds are "weights" (of the program and in the engine's own form), "state" (lasts from block to
    block), and "signals" (between operators, for a block of steps). The others are "work" (inside
    an operator), "recording" (of probes), and "totals" (returned spikes per neuron).
    """

    kind: str
    of: str
    bytes: int
    how: str


class MemoryNeed(RichRepr, tuple[MemoryPart, ...]):
    """Memory that a run needs beyond the network, by part; printed, a table.

    Those that are in use when most is: the sum is an upper bound.
    """

    @property
    def bytes(self) -> int:
        """All parts together."""
        return sum(part.bytes for part in self)

    def only(self, *kinds: str) -> MemoryNeed:
        """The parts of these kinds."""
        return MemoryNeed(part for part in self if part.kind in kinds)

    def _summary(self) -> tuple[str, Rows]:
        rows = [(p.kind, p.of, f"{p.bytes / 2**20:.1f}", p.how) for p in self]
        rows = [("kind", "of", "MiB", "how"), *rows, ("total", "", f"{self.bytes / 2**20:.1f}", "")]
        return f"{_gib(self.bytes)} at most, beside the network.", rows

    def __str__(self) -> str:
        return format_table(self._summary()[1], numbers=(2,))

    def require(self, room: int | None, what: str) -> None:
        """Raise `SimulationError` where this exceeds the available bytes; None: not known."""
        if room is None or self.bytes <= room:
            return
        largest = sorted(self, key=lambda part: -part.bytes)[:_NAMED]
        lines = [f"{part.kind} of {part.of} {_gib(part.bytes)} ({part.how})" for part in largest]
        advice = list(dict.fromkeys(_ADVICE[part.kind] for part in largest))
        raise SimulationError(
            f"{what} would need {_gib(self.bytes)}, and {_gib(room)} are available. The largest "
            f"parts: {'; '.join(lines)}. What helps: "
            f"{'; '.join(advice)}. {LIMIT_VARIABLE} (GiB) in the environment sets another limit"
        )


def _gib(size: int) -> str:
    return f"{size / _GIB:.3g} GiB"


def available() -> int | None:
    """Bytes that this process may still take, or None where the system does not say.

    The least of the bytes that the machine has left (swap included) and that its control groups
    allow; the environment's SPIKEWRIGHT_MEMORY, in GiB, in place of both. Raises `SimulationError`
    unless that is a number above 0.
    """
    given = os.environ.get(LIMIT_VARIABLE, "")
    if given:
        return _given(given)
    limits = [_of_machine(), *_of_groups()]
    return min((limit for limit in limits if limit is not None), default=None)


def recently_available() -> int | None:
    """`available()`, at most a tenth of a second old: reading it takes longer than a small run."""
    if os.environ.get(LIMIT_VARIABLE):
        return available()
    return _seen_in(int(time.monotonic() / _LATELY))


def available_for(size: int) -> int | None:
    """`available()` for a need of `size` bytes; a small need may use a value of a moment ago."""
    small = size < max(SMALL, (recently_available() or 0) // _SMALL_SHARE)
    return recently_available() if small else available()


@lru_cache(maxsize=1)
def _seen_in(moment: int) -> int | None:
    """`available()`, cached for the present tenth of a second."""
    return available()


@contextmanager
def memory_errors(where: str) -> Iterator[None]:
    """A context in which a `MemoryError` becomes a `SimulationError` with its size and advice."""
    try:
        yield
    except MemoryError as error:
        what = str(error).rstrip(".") or "the system has no memory left"
        raise SimulationError(
            f"{where}: {what}; run fewer samples or steps at once (batch_size=, block=)"
        ) from error


def _given(text: str) -> int:
    try:
        gib = float(text)
    except ValueError:
        gib = 0.0
    if not 0 < gib < 2**40:
        raise SimulationError(f"{LIMIT_VARIABLE} must be a number of GiB above 0, got {text!r}")
    return int(gib * _GIB)


def _of_machine() -> int | None:
    found = _fields(Path("/proc/meminfo"))
    if "MemAvailable" in found:
        return 1024 * (found["MemAvailable"] + found.get("SwapFree", 0))
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names:  # macOS: all there is, used or not
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_groups(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Iterator[int]:
    """Bytes left in each control group of this process, and in those around it."""
    for line in _text(membership).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers == "":
            base, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        inner = base / group.lstrip("/")
        for folder in (inner, *inner.parents):
            if not folder.is_relative_to(base):
                break
            left = _left(folder, *names)
            if left is not None:
                yield left


def _left(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """A group's limit less its use, without cached files that can be dropped."""
    most, used = _text(folder / limit).strip(), _text(folder / usage).strip()
    if not (most.isdecimal() and used.isdecimal()):
        return None  # "max", or no such file
    dropped = _fields(folder / "memory.stat").get(cache, 0)
    return max(0, int(most) - int(used) + dropped)


def _fields(path: Path) -> dict[str, int]:
    """Names and whole numbers of a file with one of each in a line."""
    found = {}
    for line in _text(path).splitlines():
        name, *values = line.split()
        if values and values[0].isdecimal():
            found[name.rstrip(":")] = int(values[0])
    return found


def _text(path: Path) -> str:
    """A file's text; empty where this system has no such file, or hides it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
