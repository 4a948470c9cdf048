"""Initial values of neurons' state, as a neuron type is given them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import frozen
from spikewright._base.codec import ADDED
from spikewright._base.options import did_you_mean
from spikewright.errors import NetworkError
from spikewright.network.distributions import Distribution
from spikewright.network.shapes import finite

Start = float | NDArray | Distribution
"""A value for all neurons, one for each, or a distribution to draw them from."""


@dataclass(frozen=True, eq=False, repr=False)
class InitialState(Mapping[str, NDArray | Distribution]):
    """Initial values by name of a state variable, of its `(name, value)` pairs; equal by value."""

    pairs: tuple[tuple[str, NDArray | Distribution], ...] = ()

    def __getitem__(self, name: str) -> NDArray | Distribution:
        return dict(self.pairs)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    def _key(self) -> frozenset[Any]:
        return frozenset(
            (name, (v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v)
            for name, v in self.pairs
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InitialState) and other._key() == self._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return repr({n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in self.pairs})


@dataclass(frozen=True, eq=False, repr=False)
class Starting:
    """The parameter that every neuron type has: `initial_state`, by name of a state variable.

    Each is a number, an array that broadcasts to the population, or a distribution, drawn from the
    ensemble's seed. What an ensemble itself is given (`initial_voltage`, `initial_state`) comes
    first.
    """

    initial_state: Mapping[str, Start] = field(
        default=InitialState(), kw_only=True, repr=False, metadata=ADDED
    )


def as_initial_state(owner: object, given: Any, names: tuple[str, ...]) -> InitialState:
    """Initial values from what a user gave.

    Raises `NetworkError` for a name that is none of a type's state variables `names`, and for what
    is neither finite numbers nor a distribution.
    """
    kind = type(owner).__name__
    if not isinstance(given, Mapping | None):
        raise NetworkError(f"{kind}.initial_state is {{name: values}}, got {given!r}")
    for name in given or {}:
        check_kept(kind, name, names, f"{kind}.initial_state")
    return InitialState(
        tuple((n, _start(f"{kind}.initial_state[{n!r}]", v)) for n, v in (given or {}).items())
    )


def _start(what: str, given: Any) -> NDArray | Distribution:
    if isinstance(given, Distribution):
        return given
    return frozen(finite(given, what, "finite numbers or a distribution"))


def check_kept(kind: str, name: Any, names: tuple[str, ...], where: str) -> None:
    """Raise `NetworkError` for a name that is no state variable of a neuron type called `kind`."""
    if name not in names:
        kept = f"keeps {', '.join(names)}" if names else "keeps nothing"
        raise NetworkError(
            f"{where} has {name!r}, and {kind} {kept} from step to step. "
            f"{did_you_mean(str(name), names)}".rstrip()
        )
