"""The readers of NIR: all that each does where NIR says nothing, and what installs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from spikewright.exchange.nir.dialects import DIALECTS, Semantics


@dataclass(frozen=True)
class ReaderSemantics(Semantics):
    """The choices of a reader, with those that a file cannot make up for.

    A neuron that is `strict` fires above the threshold only, and `most` is the number of spikes
    that it may send in a step. The voltage stays above `floor` thresholds below zero. Spikes come
    `late` steps after the current, and an IF loses the share `leak` of its voltage in each step.
    With `again` a neuron that a spike left above the threshold fires again a threshold higher only.
    `dt` is the length of its leaky neurons' steps in the file's unit of time, None for the one that
    it is told.
    """

    strict: bool = False
    most: int | None = None
    floor: float | None = None
    late: int = 0
    leak: float = 0.0
    again: bool = False
    dt: float | None = None

    def left(self, tau: NDArray | float, dt: float = 1.0) -> NDArray:
        """The share of a decaying value that is left after a step of `dt`, or of its own."""
        return super().left(tau, dt if self.dt is None else self.dt)

    def differences(self, other: ReaderSemantics) -> tuple[str, ...]:
        """The names of the choices in which two readers differ."""
        return tuple(n for n in _WORDS if getattr(self, n) != getattr(other, n))

    def taking(self, name: str, other: ReaderSemantics) -> ReaderSemantics:
        """These semantics with one choice of another's."""
        return replace(self, **{name: getattr(other, name)})

    def describe(self, name: str) -> str:
        """One of the choices in words."""
        return _WORDS[name](getattr(self, name))


OURS = ReaderSemantics()
"""The semantics of `spikewright.nir.load` with `reset="subtract"`."""

RESETS = {"subtract": OURS, "zero": ReaderSemantics(reset="zero", strict=True, most=1)}
"""Those of `spikewright.nir.load` by its argument `reset`."""


def under(semantics: Semantics, **more: Any) -> ReaderSemantics:
    """The choices of a dialect, with `more`."""
    return ReaderSemantics(**vars(semantics), **more)


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

    `requirements` are those of an environment of its own.
    """

    name: str
    module: str
    requirements: tuple[str, ...]
    semantics: ReaderSemantics | None

    @property
    def package(self) -> str:
        """The name by which pip knows it."""
        return self.requirements[0].split(">")[0]


def _reader(name: str, *requirements: str, **more: Any) -> Reader:
    """A reader with a dialect."""
    return Reader(name, name, requirements, under(DIALECTS[name].semantics, **more))


_NIR = ("nir>=1.0.6,<2", "nirtorch>=2.6,<3")

READERS = MappingProxyType(
    {
        reader.name: reader
        for reader in (
            _reader("norse", "norse>=1.1,<2", strict=True, most=1),
            _reader(
                "snntorch",
                "snntorch>=1,<2",
                *_NIR,
                strict=True,
                most=1,
                leak=0.1,
                again=True,
                dt=1e-4,
            ),
            _reader("spikingjelly", "spikingjelly>=2,<3", *_NIR, most=1),
            _reader("spyx", "spyx>=1,<2", strict=True, most=1, late=1),
            _reader("sinabs", "sinabs>=3.1,<4", "samna", floor=1.0),
            Reader("nirtorch", "nirtorch", ("nirtorch>=2.6,<3",), OURS),
            Reader("snn-mlir", "snn_mlir", ("snn-mlir>=1,<2",), None),
        )
    }
)
"""Every reader by name."""
