"""Solvers and processes: Nengo's by name, a user's own called as Nengo calls them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.modelling.nengo_reader.kinds import draw_seed, own_kind, same_fields
from spikewright.network import solvers
from spikewright.network.processes import PresentInput, Process, Step
from spikewright.network.solvers import Solution, Solver

_NAMES = (
    "Lstsq", "LstsqDrop", "LstsqL1", "LstsqL2", "LstsqL2nz", "NnlsL2", "NnlsL2nz", "Nnls",
    "NoSolver",
)  # fmt: skip


def solver_of(theirs: Any, rng: np.random.RandomState) -> Solver:
    """The solver; random solvers, and a user's own, are called with `rng`."""
    return _known(theirs) if _is_known(theirs) else CalledSolver(theirs, rng)


def _is_known(theirs: Any) -> bool:
    inner = [getattr(theirs, name, None) for name in ("solver1", "solver2")]
    return own_kind(theirs) in _NAMES and all(s is None or _is_known(s) for s in inner)


def _known(theirs: Any) -> Solver:
    cls: type[Solver] = getattr(solvers, own_kind(theirs))
    return same_fields(cls, theirs, lambda v: _known(v) if _is_known(v) else v)


class CalledSolver(Solver):
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
        return f"CalledSolver({self.theirs!r})"


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


class CalledProcess(Process):
    """A process as Nengo runs one: its `make_state` and `make_step`, with a `RandomState`.

    `seed` is the generator's seed, unless the process has one of its own.
    """

    def __init__(self, theirs: Any, seed: int) -> None:
        super().__init__(int(theirs.default_size_in), int(theirs.default_size_out), seed=seed)
        self.theirs = theirs

    def make_step(self, shape_in: Any, shape_out: Any, dt: float, rng: Any, state: Any) -> Step:
        """The step function; returned arrays are copied, as they may be one array at every step."""
        theirs = self.theirs
        own = getattr(theirs, "seed", None)
        drawn = np.random.RandomState(self.seed if own is None else own)
        kept = theirs.make_state(shape_in, shape_out, dt)
        function = theirs.make_step(shape_in, shape_out, dt, drawn, kept)
        return lambda *arguments: np.array(function(*arguments), np.float64)

    def __repr__(self) -> str:
        return f"CalledProcess({self.theirs!r})"


def process_of(theirs: Any, seed: int) -> Process:
    """The process; `seed` fixes its random numbers."""
    if own_kind(theirs) == "PresentInput":
        inputs = np.asarray(theirs.inputs, np.float64)
        return PresentInput(inputs.reshape(len(inputs), -1), float(theirs.presentation_time))
    return CalledProcess(theirs, seed)


class Drawing:
    """Assigns a simulator's seeds to processes: nodes' first, then noise in currents.

    Where Nengo's simulator has been built, the order of its steps decides. A process with a seed of
    its own draws none; one that needs none draws one nevertheless.
    """

    def __init__(self) -> None:
        self._nodes: list[_Drawer] = []
        self._noise: list[_Drawer] = []
        self._order: list[Any] = []

    def add(self, theirs: Any, ours: Process, is_noise: bool) -> None:
        """Add a process behind those added before."""
        if _draws(theirs):
            (self._noise if is_noise else self._nodes).append(_Drawer(theirs, ours))

    def follow(self, steps: Iterable[Any]) -> None:
        """Draw in the order of these operators, those of filters included."""
        self._order = [step.process for step in steps if hasattr(step, "process")]

    def seed(self, seed: int) -> None:
        """Give every process its seed."""
        rng = np.random.RandomState(seed)
        waiting = [*self._nodes, *self._noise]
        for theirs in filter(_draws, self._order):
            drawn = draw_seed(rng)
            found = next((drawer for drawer in waiting if drawer.theirs is theirs), None)
            if found is not None:
                found.take(drawn)
                waiting.remove(found)
        for drawer in waiting:
            drawer.take(draw_seed(rng))


class _Drawer(NamedTuple):
    theirs: Any
    ours: Process

    def take(self, seed: int) -> None:
        if isinstance(self.ours, CalledProcess):
            self.ours.seed = seed


def _draws(theirs: Any) -> bool:
    return getattr(theirs, "seed", None) is None
