"""The readers of NIR: the choices of each, the Python that runs it, and the form that it takes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.options import meant
from spikewright.errors import NetworkError
from spikewright.exchange.nir.reading import SPIKING


@dataclass(frozen=True)
class Semantics:
    """The choices of a reader where NIR says nothing, or says it and readers differ.

    `reset` is what a spike leaves of the voltage: what is above the threshold, or zero, of all
    neurons or of leaky ones. A neuron that is `strict` fires above the threshold only, and `most`
    is the number of spikes that it may send in a step. The voltage stays above `floor` thresholds
    below zero. Spikes come `late` steps after the current, and an IF loses the share `leak` of its
    voltage in each step. With `again` a neuron that a spike left above the threshold fires again a
    threshold higher only. `stated` says whether the file's metadata are read: initial voltages,
    floors and limits of spikes. The voltage of a leaky neuron keeps the share `k` of itself in a
    step: `1 - dt/tau` ("euler") or `exp(-dt/tau)` ("exact"). It gains `1 - k` of the current, or
    all of it where `unscaled`. The resistance `r` of what `resists` is read, and `w_in` with it;
    else both are 1, and an IF adds its input as it is, not `dt r` times. `dt` is the length of its
    leaky neurons' steps in the file's unit of time, None for the one that it is told. In the
    `order` "sources" a node computes behind all that it reads. In that of a "walk" each branch
    computes to the end before the next, so that the next one's values come a step late. `edges` are
    those that are read: all, all but those from nodes later in the order, or one a node; or all,
    but those into neurons with recurrent weights of their own lead to these weights.
    """

    reset: Literal["subtract", "zero", "zero if leaky"] = "subtract"
    strict: bool = False
    most: int | None = None
    floor: float | None = None
    late: int = 0
    leak: float = 0.0
    again: bool = False
    stated: bool = True
    lif: Literal["euler", "exact"] = "exact"
    unscaled: bool = False
    resists: tuple[str, ...] = ("IF", "LIF", "CubaLIF")
    dt: float | None = None
    order: Literal["sources", "walk"] = "sources"
    edges: Literal["all", "no late ones", "chain", "through loops"] = "all"

    def resets(self, kind: str) -> Literal["subtract", "zero"]:
        """The reset of neurons that are this primitive: to zero, or by subtraction."""
        hard = self.reset == "zero" or (self.reset == "zero if leaky" and kind != "IF")
        return "zero" if hard else "subtract"

    def left(self, tau: NDArray | float, dt: float = 1.0) -> NDArray:
        """The share of a decaying value that is left after a step of `dt`."""
        rate = (dt if self.dt is None else self.dt) / np.asarray(tau, np.float64)
        return np.exp(-rate) if self.lif == "exact" else 1.0 - rate

    def leaving(self, left: NDArray) -> NDArray:
        """The time constant, in steps, by which a step leaves that share."""
        return -1.0 / np.log(left) if self.lif == "exact" else 1.0 / (1.0 - left)

    def gain(self, kind: str, factor: NDArray | float, left: NDArray) -> NDArray:
        """The gain of a decaying value in a step from an input of 1; `factor` is `r` or `w_in`."""
        read = kind in self.resists or kind not in SPIKING
        share = np.ones_like(left) if self.unscaled else 1.0 - left
        return np.asarray(share * factor if read else share)

    def in_time_of(self, other: Semantics) -> Semantics:
        """These semantics with the decay and the currents of another's."""
        return replace(self, lif=other.lif, unscaled=other.unscaled, resists=other.resists)

    def differences(self, other: Semantics) -> tuple[str, ...]:
        """The names of the choices in which two readers differ."""
        names = (field.name for field in fields(self))
        return tuple(n for n in names if getattr(self, n) != getattr(other, n))

    def taking(self, name: str, other: Semantics) -> Semantics:
        """These semantics with one choice of another's."""
        return replace(self, **{name: getattr(other, name)})

    def said(self, name: str) -> str:
        """One of the choices in words."""
        return _WORDS[name](getattr(self, name))


OURS = Semantics()
"""The semantics of `spikewright.nir.load` with `reset="subtract"`."""

RESETS = {"subtract": OURS, "zero": Semantics(reset="zero", strict=True, most=1)}
"""Those of `spikewright.nir.load` by its argument `reset`."""


def _resisting(read: Sequence[str]) -> str:
    """The resistances that are not read, in words."""
    left = [kind for kind in _RESIST if kind not in read]
    if len(left) > 1:
        left = [", ".join(left[:-1]), left[-1]]
    return f"the r of {' and '.join(left)} is not read" if left else "every r is read"


_RESIST = ("IF", "LIF", "CubaLIF")
_DECAYS = {"euler": "Euler's rule", "exact": "exact decay"}
_WORDS: dict[str, Callable[[Any], str]] = {
    "reset": lambda v: {
        "subtract": "reset by subtraction",
        "zero": "hard reset",
        "zero if leaky": "hard reset of leaky neurons",
    }[v],
    "strict": lambda v: "fires above the threshold only" if v else "fires at the threshold",
    "most": lambda v: "many spikes a step" if v is None else f"at most {v} spike a step",
    "floor": lambda v: "no floor" if v is None else f"the voltage stays above {-v:g}",
    "late": lambda v: f"spikes {v} step late a layer" if v else "spikes in the same step",
    "leak": lambda v: f"IF leaks, {1 - v:g} a step is left" if v else "IF without leak",
    "again": lambda v: "fires again at twice the threshold only" if v else "fires again as usual",
    "stated": lambda v: "metadata are read" if v else "metadata are not read: starts at zero",
    "lif": lambda v: f"leaky neurons with {_DECAYS[v]}",
    "unscaled": lambda v: f"current of leaky neurons {'not ' * v}divided by tau",
    "resists": _resisting,
    "dt": lambda v: (
        "steps as they are asked for" if v is None else f"a step of leaky neurons is {v:g} always"
    ),
    "order": lambda v: {
        "sources": "nodes compute behind their sources",
        "walk": "branches compute one after the other, so that one joins others too late",
    }[v],
    "edges": lambda v: {
        "all": "all edges are read",
        "no late ones": "edges from nodes that compute later are dropped",
        "chain": "edges beside a chain are dropped",
        "through loops": "what leads to recurrent neurons goes through their recurrent weights",
    }[v],
}


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
