"""Filters, learning rules, solvers and processes: Nengo's by name, a user's own are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError, ReadError
from spikewright.modelling.nengo_reader.kinds import (
    draw_seed,
    name_of,
    own_kind,
    refused,
    same_fields,
)
from spikewright.network import Connection, learning, solvers
from spikewright.network.learning import LearningRuleType
from spikewright.network.processes import PresentInput, Process, Step
from spikewright.network.solvers import Solution, Solver
from spikewright.network.synapses import Alpha, LinearFilter, Lowpass, Synapse, Triangle

Reader = Callable[[Any], LearningRuleType]
_readers: dict[type, Reader] = {}


def synapse_of(owner: Any, theirs: Any) -> Synapse | None:
    """The filter that a synapse is; None for none, and for one that `is_users` says is a user's.

    Raises `ReadError` naming `owner` for a filter that cannot be made.
    """
    if theirs is None or is_users(theirs):
        return None
    try:
        return _SYNAPSES[own_kind(theirs)](theirs)
    except NetworkError as error:
        raise refused(
            owner, f"synapse {theirs!r}", str(error), "use method zoh, bilinear or euler"
        ) from error


def is_users(theirs: Any) -> bool:
    """Whether a synapse is of a class that is not Nengo's."""
    return theirs is not None and own_kind(theirs) not in _SYNAPSES


def _linear(theirs: Any) -> Synapse:
    num, den = (tuple(np.ravel(v).tolist()) for v in (theirs.num, theirs.den))
    return LinearFilter(num, den, bool(theirs.analog), theirs.method)


_SYNAPSES: dict[str, Any] = {
    "Lowpass": lambda theirs: Lowpass(float(theirs.tau)),
    "Alpha": lambda theirs: Alpha(float(theirs.tau)),
    "LinearFilter": _linear,
    "Triangle": lambda theirs: Triangle(float(theirs.t)),
}


def reads_rule(theirs: type) -> Callable[[Reader], Reader]:
    """Decorator of a function that returns the `LearningRuleType` for a rule of a user's class.

    `theirs` is the class, as Nengo's connections have it in `learning_rule_type`; the function
    takes its instances, and those of its subclasses. The last function given for a class holds.
    Raises `TypeError` unless `theirs` is a class.
    """
    if not isinstance(theirs, type):
        raise TypeError(f"reads_rule takes the class of a learning rule, got {theirs!r}")

    def register(reader: Reader) -> Reader:
        _readers[theirs] = reader
        return reader

    return register


def rules_of(connection: Any) -> Any:
    """A connection's rules in the form in which they were given: None, one, a list or a dict.

    Raises `ReadError` naming the connection for a rule, or a filter of one, that is a user's own.
    """
    theirs = connection.learning_rule_type
    if theirs is None:
        return None
    if isinstance(theirs, Mapping):
        return {key: _rule(connection, rule) for key, rule in theirs.items()}
    if isinstance(theirs, list | tuple):
        return [_rule(connection, rule) for rule in theirs]
    return _rule(connection, theirs)


def _rule(connection: Any, theirs: Any) -> LearningRuleType:
    reader = next((_readers[cls] for cls in type(theirs).__mro__ if cls in _readers), None)
    if reader is not None:
        return _read(connection, theirs, reader)
    name = own_kind(theirs)
    if name not in learning.LEARNING_RULES:
        raise refused(
            connection,
            f"learning rule {type(theirs).__name__}",
            "its equation is not known",
            "say what it computes by spikewright.modelling.nengo_reader.reads_rule, or use one of "
            + ", ".join(sorted(learning.LEARNING_RULES)),
        )

    def read(value: Any) -> Any:
        if not hasattr(value, "make_step"):
            return value
        if is_users(value):
            raise refused(
                connection, f"{name} filter {value!r}", "it is a user's own", "use Lowpass"
            )
        return synapse_of(connection, value)

    return same_fields(learning.LEARNING_RULES[name], theirs, read)


def _read(connection: Any, theirs: Any, reader: Reader) -> LearningRuleType:
    """The rule that a user's function returns for a rule of the user's class."""
    ours = reader(theirs)
    if not isinstance(ours, LearningRuleType):
        raise refused(
            connection,
            f"learning rule {type(theirs).__name__}",
            f"the function that reads it gave {ours!r}",
            "let it return a LearningRuleType",
        )
    return ours


def learned_by(built: Any, theirs: Any, ours: Connection) -> dict[str, NDArray]:
    """Learned arrays of a connection, in the form of `Connection.learned`; none before a step.

    Raises `ReadError` naming the connection where `built` was closed and its learned arrays are
    gone.
    """
    if built is None or not getattr(built, "n_steps", 0):
        return {}
    known = getattr(built, "learned", None)  # of one of our own
    found = {}
    for rule in ours.learning_rules:
        if rule.learning_rule_type.modifies == "encoders":
            post = theirs.post_obj
            found["encoders"] = _encoders(built, theirs) if known is None else known[post]
        else:
            now = _now(built, theirs, theirs, "weights") if known is None else known[theirs]
            found["weights"] = now
    return found


def _encoders(built: Any, theirs: Any) -> NDArray:
    """Encoders of the ensemble that receives; those of neurons without gain are as they were."""
    ensemble, data = theirs.post_obj, built.data[theirs.post_obj]
    scaled, gain = _now(built, theirs, ensemble, "encoders"), np.asarray(data.gain)[:, None]
    before = np.array(data.encoders, np.float64)
    return np.divide(scaled * ensemble.radius, gain, out=before, where=gain != 0)


def _now(built: Any, connection: Any, owner: Any, name: str) -> NDArray:
    """A signal's present value."""
    if built.signals is None:
        raise ReadError(
            f"{name_of(connection)}: the values learned in {built.n_steps} steps were lost "
            "when the simulator was closed; give built= while it is open"
        )
    return np.array(built.signals[built.model.sig[owner][name]], np.float64)


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
