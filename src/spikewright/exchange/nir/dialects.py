"""The forms of NIR that readers take: one entry a reader, so that a file is written for it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from spikewright._base.keywords import meant
from spikewright.errors import NetworkError


@dataclass(frozen=True)
class Dialect:
    """A form of NIR that a reader takes.

    `start` says what becomes of an initial voltage, which NIR cannot say. "stated" is in metadata
    that the reader need not know; "bias" is spread over the steps of a run, where the reader
    ignores metadata. `lacks` are the primitives that the reader refuses, or reads in a time of its
    own. With `chain` it reads one node after the other, without branches. One that `walks` computes
    a branch to its end before the next; without `loops` it drops edges that close one. One that
    `rests` reads the `v_leak` of neurons behind a synapse as NIR says it.
    """

    name: str
    start: str = "stated"
    lacks: frozenset[str] = frozenset()
    chain: bool = False
    walks: bool = False
    loops: bool = True
    rests: bool = True


def _reader(name: str, lacks: str = "", **reads: bool) -> Dialect:
    return Dialect(name, "bias", frozenset(lacks.split()), **reads)


DIALECTS = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            Dialect("portable"),
            _reader(
                "sinabs", "Conv1d CubaLI CubaLIF Delay I Linear Threshold", walks=True, loops=False
            ),
            _reader("norse", "Conv1d CubaLI Delay I LI Threshold", walks=True, rests=False),
            _reader("snntorch", "CubaLI CubaLIF Delay I LI LIF Threshold"),
            _reader("spikingjelly", "CubaLI CubaLIF Delay I LI LIF Threshold"),
            _reader("spyx", "CubaLI Delay", chain=True, rests=False),
        )
    }
)
"""Every dialect by name."""

OTHER_DIALECT = 'The dialect "portable" writes it, for other readers'


def dialect_of(name: object) -> Dialect:
    """The dialect of a name; raises `NetworkError` for an unknown one."""
    if isinstance(name, str) and name in DIALECTS:
        return DIALECTS[name]
    known = ", ".join(map(repr, DIALECTS))
    hint = meant(name, DIALECTS) if isinstance(name, str) else ""
    raise NetworkError(f"dialect: {name!r} is none of {known}. {hint}".rstrip())
