"""The readers of NIR that a check knows, one entry each, and the Python that runs each of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from spikewright._base.options import meant
from spikewright.errors import NetworkError
from spikewright.exchange.nir.checking.semantics import OURS, Semantics


@dataclass(frozen=True)
class Reader:
    """A reader: its module, what installs it, and its stated semantics; None for a linter.

    `requirements` are those of an environment of its own. `remark` is what a user of it should
    know.
    """

    name: str
    module: str
    requirements: tuple[str, ...]
    semantics: Semantics | None
    remark: str = ""

    @property
    def package(self) -> str:
        """The name by which pip knows it."""
        return self.requirements[0].split(">")[0]


_HARD = Semantics(
    reset="zero", strict=True, most=1, stated=False, lif="euler", resists=("CubaLIF",), order="walk"
)

READERS = MappingProxyType(
    {
        reader.name: reader
        for reader in (
            Reader("norse", "norse", ("norse>=1.1,<2",), _HARD, "reads SumPool2d, no AvgPool2d"),
            Reader(
                "snntorch",
                "snntorch",
                ("snntorch>=1,<2", "nir>=1.0.6,<2", "nirtorch>=2.6,<3"),
                Semantics(
                    reset="zero if leaky",
                    strict=True,
                    most=1,
                    leak=0.1,
                    again=True,
                    dt=1e-4,
                    stated=False,
                    lif="euler",
                    resists=("LIF", "CubaLIF"),
                    edges="through loops",
                ),
                "takes IF as a neuron that leaks, and knows its own time step only",
            ),
            Reader(
                "spikingjelly",
                "spikingjelly",
                ("spikingjelly>=2,<3", "nir>=1.0.6,<2", "nirtorch>=2.6,<3"),
                Semantics(reset="zero", most=1, stated=False, lif="euler"),
                "refuses grouped convolutions and parameters that differ from neuron to neuron",
            ),
            Reader(
                "spyx",
                "spyx",
                ("spyx>=1,<2",),
                Semantics(
                    strict=True,
                    most=1,
                    late=1,
                    unscaled=True,
                    stated=False,
                    lif="euler",
                    resists=(),
                    edges="chain",
                ),
                "reads a chain: edges beside it are dropped without a word",
            ),
            Reader(
                "sinabs",
                "sinabs",
                ("sinabs>=3.1,<4", "samna"),
                Semantics(
                    floor=1.0, stated=False, unscaled=True, order="walk", edges="no late ones"
                ),
                "wants nir up to 1.0.4, which knows no v_reset",
            ),
            Reader(
                "nirtorch",
                "nirtorch",
                ("nirtorch>=2.6,<3",),
                OURS,
                "brings no neurons: the check gives it a map",
            ),
            Reader("snn-mlir", "snn_mlir", ("snn-mlir>=1,<2",), None, "a linter: it runs nothing"),
        )
    }
)
"""Every reader by name."""


Readers = Mapping[str, str | Path | None] | Sequence[str] | str | Path | None


@dataclass(frozen=True)
class ReaderPlace:
    """A reader and the Python that runs it, or why none does."""

    reader: Reader
    python: Path | None
    reason: str = ""


def places(readers: Readers) -> list[ReaderPlace]:
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


def _here(reader: Reader) -> ReaderPlace:
    if find_spec(reader.module) is None:
        install = " ".join(f"'{requirement}'" for requirement in reader.requirements)
        return ReaderPlace(reader, None, f"not installed. Install it with: pip install {install}")
    return ReaderPlace(reader, Path(sys.executable))


def _at(reader: Reader, place: Path) -> ReaderPlace:
    """The Python of an environment's folder, or one that is named itself."""
    inside = [place / "bin" / "python", place / "Scripts" / "python.exe"]
    for python in (*inside, place):
        if python.is_file():
            return ReaderPlace(reader, python)
    return ReaderPlace(reader, None, f"no environment: {place} has no Python")
