"""What each reader of NIR takes: one entry a reader, so that a file is written for it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from spikewright._base.keywords import meant
from spikewright.errors import NetworkError


@dataclass(frozen=True)
class Dialect:
    """A form of NIR that a reader takes.

    `start` says what becomes of an initial voltage, which NIR cannot say: "stated" in metadata that
    the reader need not know, or "bias", spread over the steps of a run, where the reader ignores
    it.
    """

    name: str
    start: str = "stated"


DIALECTS = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            Dialect("portable"),
            Dialect("sinabs", start="bias"),
        )
    }
)
"""Every dialect by name."""


def dialect_of(name: object) -> Dialect:
    """The dialect of a name; raises `NetworkError` for an unknown one."""
    if isinstance(name, str) and name in DIALECTS:
        return DIALECTS[name]
    known = ", ".join(map(repr, DIALECTS))
    hint = meant(name, DIALECTS) if isinstance(name, str) else ""
    raise NetworkError(f"dialect: {name!r} is none of {known}. {hint}".rstrip())
