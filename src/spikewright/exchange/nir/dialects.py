"""The dialects of NIR: the form that each reader takes, and the choices that NIR leaves to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from spikewright._base.options import did_you_mean
from spikewright.errors import NetworkError
from spikewright.exchange.nir.reading import SPIKING


@dataclass(frozen=True)
class Semantics:
    """The choices of a reader where NIR says nothing, or says it and readers differ.

    `reset` is what a spike leaves of the voltage: what is above the threshold, or zero, of all
    neurons or of leaky ones. `stated` says whether the file's metadata are read: initial voltages,
    floors and limits of spikes. The voltage of a leaky neuron keeps the share `k` of itself in a
    step: `1 - dt/tau` ("euler") or `exp(-dt/tau)` ("exact"). It gains `1 - k` of the current, or
    all of it where `unscaled`. The resistance `r` of what `resists` is read, and `w_in` with it;
    else both are 1, and an IF adds its input as it is, not `dt r` times. In the `order` "sources" a
    node computes behind all that it reads. In that of a "walk" each branch computes to the end
    before the next, so that the next one's values come a step late. `edges` are those that are
    read: all, all but those from nodes later in the order, or one a node; or all, but those into
    neurons with recurrent weights of their own lead to these weights.
    """

    reset: Literal["subtract", "zero", "zero if leaky"] = "subtract"
    stated: bool = True
    lif: Literal["euler", "exact"] = "exact"
    unscaled: bool = False
    resists: tuple[str, ...] = ("IF", "LIF", "CubaLIF")
    order: Literal["sources", "walk"] = "sources"
    edges: Literal["all", "no late ones", "chain", "through loops"] = "all"

    def resets(self, kind: str) -> Literal["subtract", "zero"]:
        """The reset of neurons that are this primitive: to zero, or by subtraction."""
        hard = self.reset == "zero" or (self.reset == "zero if leaky" and kind != "IF")
        return "zero" if hard else "subtract"

    def left(self, tau: NDArray | float, dt: float = 1.0) -> NDArray:
        """The share of a decaying value that is left after a step of `dt`."""
        rate = dt / np.asarray(tau, np.float64)
        return np.exp(-rate) if self.lif == "exact" else 1.0 - rate

    def leaving(self, left: NDArray) -> NDArray:
        """The time constant, in steps, by which a step leaves that share."""
        return -1.0 / np.log(left) if self.lif == "exact" else 1.0 / (1.0 - left)

    def gain(self, kind: str, factor: NDArray | float, left: NDArray) -> NDArray:
        """The gain of a decaying value in a step from an input of 1; `factor` is `r` or `w_in`."""
        read = kind in self.resists or kind not in SPIKING
        share = np.ones_like(left) if self.unscaled else 1.0 - left
        return np.asarray(share * factor if read else share)

    def in_time_of(self, other: Semantics) -> Self:
        """These semantics with the decay and the currents of another's."""
        return replace(self, lif=other.lif, unscaled=other.unscaled, resists=other.resists)


OURS = Semantics()
"""Those of `spikewright.nir.load` with `reset="subtract"`."""


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


def _dialect(name: str, lacks: str, semantics: Semantics, **reads: bool) -> Dialect:
    return Dialect(name, semantics, frozenset(lacks.split()), **reads)


DIALECTS = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            Dialect("portable"),
            _dialect(
                "sinabs",
                "Conv1d CubaLI CubaLIF Delay I Linear Threshold",
                Semantics(stated=False, unscaled=True, order="walk", edges="no late ones"),
            ),
            _dialect(
                "norse",
                "Conv1d CubaLI Delay I LI Threshold",
                Semantics("zero", stated=False, lif="euler", resists=("CubaLIF",), order="walk"),
                rests=False,
                returns=False,
            ),
            _dialect(
                "snntorch",
                "CubaLI CubaLIF Delay I LI LIF Threshold",
                Semantics(
                    "zero if leaky",
                    stated=False,
                    lif="euler",
                    resists=("LIF", "CubaLIF"),
                    edges="through loops",
                ),
            ),
            _dialect(
                "spikingjelly",
                "CubaLI CubaLIF Delay I LI LIF Threshold",
                Semantics("zero", stated=False, lif="euler"),
            ),
            _dialect(
                "spyx",
                "Conv1d CubaLI Delay I LI Threshold",
                Semantics(stated=False, lif="euler", unscaled=True, resists=(), edges="chain"),
                rests=False,
            ),
        )
    }
)
"""Every dialect by name."""


def rule_of(metadata: Mapping[str, Any]) -> Semantics:
    """The semantics by whose rule of time a graph is written: its dialect's, else NIR's own."""
    ours = metadata.get("writer") == WRITER
    dialect = DIALECTS.get(str(metadata.get("dialect"))) if ours else None
    return OURS if dialect is None else OURS.in_time_of(dialect.semantics)


def require_reset(reset: object) -> None:
    """Raise `NetworkError` for another argument `reset` than "subtract", "zero" or None."""
    if reset not in (None, "subtract", "zero"):
        raise NetworkError(f"reset must be 'subtract', 'zero' or None, got {reset!r}")


WRITER = "spikewright"
"""The entry by which metadata of graphs that are saved here name their writer."""

OTHER_DIALECT = 'The dialect "portable" writes it, for other readers'


def dialect_of(name: object) -> Dialect:
    """The dialect of a name; raises `NetworkError` for an unknown one."""
    if isinstance(name, str) and name in DIALECTS:
        return DIALECTS[name]
    known = ", ".join(map(repr, DIALECTS))
    hint = did_you_mean(name, DIALECTS) if isinstance(name, str) else ""
    raise NetworkError(f"dialect: {name!r} is none of {known}. {hint}".rstrip())
