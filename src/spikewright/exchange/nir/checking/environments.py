"""The Python that runs each reader: this one, or that of an environment of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from spikewright._base.keywords import meant
from spikewright.errors import NetworkError
from spikewright.exchange.nir.checking.readers import READERS, Reader

Readers = Mapping[str, str | Path | None] | Sequence[str] | str | Path | None


@dataclass(frozen=True)
class Place:
    """A reader and the Python that runs it, or why none does."""

    reader: Reader
    python: Path | None
    reason: str = ""


def places(readers: Readers) -> list[Place]:
    """The place of each wanted reader; raises `NetworkError` for a reader that no check knows.

    None are all readers, in this environment. A folder has an environment a reader, by its name. A
    mapping has an environment or its Python a reader, and None for this one; a list has names.
    """
    if readers is None:
        return [_here(reader) for reader in READERS.values()]
    if isinstance(readers, str | Path):
        return [_at(reader, Path(readers) / name) for name, reader in READERS.items()]
    wanted = readers if isinstance(readers, Mapping) else dict.fromkeys(readers)
    return [
        _here(_known(name)) if at is None else _at(_known(name), Path(at))
        for name, at in wanted.items()
    ]


def _known(name: object) -> Reader:
    if isinstance(name, str) and name in READERS:
        return READERS[name]
    hint = meant(name, READERS) if isinstance(name, str) else ""
    raise NetworkError(f"readers: {name!r} is none of {', '.join(READERS)}. {hint}".rstrip())


def _here(reader: Reader) -> Place:
    if find_spec(reader.module) is None:
        install = " ".join(f"'{requirement}'" for requirement in reader.requirements)
        return Place(reader, None, f"not installed. Install it with: pip install {install}")
    return Place(reader, Path(sys.executable))


def _at(reader: Reader, place: Path) -> Place:
    """The Python of an environment's folder, or one that is named itself."""
    inside = [place / "bin" / "python", place / "Scripts" / "python.exe"]
    for python in (*inside, place):
        if python.is_file():
            return Place(reader, python)
    return Place(reader, None, f"no environment: {place} has no Python")
