"""Checks and traces for those who change Spikewright, turned on by the environment.

`SPIKEWRIGHT_CHECK=1` verifies every intermediate form of a network where it is made, and
`SPIKEWRIGHT_TRACE=1` prints, on standard error, each stage with its time and what it changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from time import perf_counter

from spikewright.errors import SpikewrightError, printable

CHECK, TRACE = "SPIKEWRIGHT_CHECK", "SPIKEWRIGHT_TRACE"


def checking() -> bool:
    """True under SPIKEWRIGHT_CHECK=1; raises `SpikewrightError` unless it is 0, 1 or unset."""
    return _on(CHECK)


def tracing() -> bool:
    """True under SPIKEWRIGHT_TRACE=1; raises `SpikewrightError` unless it is 0, 1 or unset."""
    return _on(TRACE)


def _on(variable: str) -> bool:
    given = os.environ.get(variable, "")
    if given not in ("", "0", "1"):
        raise SpikewrightError(
            f"the environment variable {variable} is {printable(given)!r}; set it to 1 or 0"
        )
    return given == "1"


@contextmanager
def traced(stage: str) -> Iterator[list[Iterable[str]]]:
    """Print a stage and the milliseconds of the block under SPIKEWRIGHT_TRACE=1.

    The block puts texts into the list, in iterables that are gone through only to print them: the
    first text goes on the same line, the others below it.
    """
    changes: list[Iterable[str]] = []
    if not tracing():
        yield changes
        return
    start = perf_counter()
    yield changes
    took = 1e3 * (perf_counter() - start)
    first, *others = [*chain.from_iterable(changes)] or [""]
    head = f"[spikewright] {stage:<24} {took:9.1f} ms  {first}".rstrip()
    sys.stderr.write("\n".join([head, *(f"    {line}" for line in others), ""]))
