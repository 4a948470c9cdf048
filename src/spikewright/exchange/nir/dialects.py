"""The forms of NIR that readers take: one entry a reader, so that a file is written for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from spikewright._base.options import meant
from spikewright.errors import NetworkError
from spikewright.exchange.nir.checking.readers import READERS
from spikewright.exchange.nir.checking.semantics import OURS, Semantics


@dataclass(frozen=True)
class Dialect:
    """A form of NIR that a reader takes.

    `semantics` are the choices of the reader: what a file has to make up for, and what it cannot.
    `lacks` are the primitives that the reader refuses, or reads in a time of its own. One that
    `rests` reads the `v_leak` of neurons behind a synapse as NIR says it, and one that `returns`
    the `v_reset` of neurons.
    """

    name: str
    semantics: Semantics = OURS
    lacks: frozenset[str] = frozenset()
    rests: bool = True
    returns: bool = True

    @property
    def chain(self) -> bool:
        """True for a reader of one node after the other, without branches."""
        return self.semantics.edges == "chain"

    @property
    def walks(self) -> bool:
        """True for a reader that computes a branch to its end before the next."""
        return self.semantics.order == "walk"

    @property
    def loops(self) -> bool:
        """False for a reader that drops the edges which close loops."""
        return self.semantics.edges != "no late ones"

    def keeps(self, kind: str, reset: str) -> bool:
        """True where neurons of this primitive are read, and may reset so."""
        semantics = self.semantics
        return kind not in self.lacks and (semantics.stated or semantics.resets(kind) == reset)


def _reader(name: str, lacks: str, **reads: bool) -> Dialect:
    semantics = READERS[name].semantics
    assert semantics is not None
    return Dialect(name, semantics, frozenset(lacks.split()), **reads)


DIALECTS = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            Dialect("portable"),
            _reader("sinabs", "Conv1d CubaLI CubaLIF Delay I Linear Threshold"),
            _reader("norse", "Conv1d CubaLI Delay I LI Threshold", rests=False, returns=False),
            _reader("snntorch", "CubaLI CubaLIF Delay I LI LIF Threshold"),
            _reader("spikingjelly", "CubaLI CubaLIF Delay I LI LIF Threshold"),
            _reader("spyx", "Conv1d CubaLI Delay I LI Threshold", rests=False),
        )
    }
)
"""Every dialect by name."""


def rule_of(metadata: Mapping[str, Any]) -> Semantics:
    """The semantics by whose rule of time a graph is written: its dialect's, else NIR's own."""
    ours = metadata.get("writer") == WRITER
    dialect = DIALECTS.get(str(metadata.get("dialect"))) if ours else None
    return OURS if dialect is None else OURS.in_time_of(dialect.semantics)


WRITER = "spikewright"
"""The entry by which metadata of graphs that are saved here name their writer."""

OTHER_DIALECT = 'The dialect "portable" writes it, for other readers'


def dialect_of(name: object) -> Dialect:
    """The dialect of a name; raises `NetworkError` for an unknown one."""
    if isinstance(name, str) and name in DIALECTS:
        return DIALECTS[name]
    known = ", ".join(map(repr, DIALECTS))
    hint = meant(name, DIALECTS) if isinstance(name, str) else ""
    raise NetworkError(f"dialect: {name!r} is none of {known}. {hint}".rstrip())
