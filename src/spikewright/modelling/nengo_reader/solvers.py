"""Solvers: Nengo's by name, a user's own by calling it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.modelling.nengo_reader.kinds import own_kind, same_fields
from spikewright.network import solvers
from spikewright.network.solvers import Solution, Solver

_NAMES = (
    "Lstsq", "LstsqDrop", "LstsqL1", "LstsqL2", "LstsqL2nz", "NnlsL2", "NnlsL2nz", "Nnls",
    "NoSolver",
)  # fmt: skip


def solver_of(theirs: Any, rng: np.random.RandomState) -> Solver:
    """The solver; random solvers, and a user's own, are called with `rng`."""
    return _known(theirs) if _is_known(theirs) else Called(theirs, rng)


def _is_known(theirs: Any) -> bool:
    inner = [getattr(theirs, name, None) for name in ("solver1", "solver2")]
    return own_kind(theirs) in _NAMES and all(s is None or _is_known(s) for s in inner)


def _known(theirs: Any) -> Solver:
    cls: type[Solver] = getattr(solvers, own_kind(theirs))
    return same_fields(cls, theirs, lambda v: _known(v) if _is_known(v) else v)


class Called(Solver):
    """A solver as Nengo calls one: `solver(A, Y, rng=)` gives decoders and information on them.

    The generator's state is that of the first call at every call, so that a network that is
    compiled again is the same.
    """

    def __init__(self, theirs: Any, rng: np.random.RandomState) -> None:
        self.theirs = theirs
        self.weights = bool(theirs.weights)
        self.compositional = bool(getattr(theirs, "compositional", True))  # type: ignore[misc]
        self._state = rng.get_state()

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        """The result of the user's solver."""
        again = np.random.RandomState()
        again.set_state(self._state)
        decoders, info = self.theirs(activities, targets, rng=again)
        return Solution(np.asarray(decoders, np.float64), dict(info))

    def __repr__(self) -> str:
        return f"Called({self.theirs!r})"


class FoundWeights(Solver):
    """Given weights between neurons, gain included, `(senders, receivers)`."""

    weights = True
    compositional = False

    def __init__(self, values: NDArray) -> None:
        self.values = np.array(values, np.float64)

    def solve(self, activities: NDArray, targets: NDArray, rng: np.random.Generator) -> Solution:
        """The weights, whatever the activities are."""
        return Solution(np.array(self.values), {})

    def __repr__(self) -> str:
        return f"FoundWeights({self.values.shape})"
