"""`simulator.data`: recordings and built parameters, by the objects of the user's own model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines import Program
from spikewright.engines.operators import Operator
from spikewright.engines.populations import Learned
from spikewright.modelling.nengo_reader import NengoNetwork
from spikewright.modelling.nengo_reader.kinds import own_kind
from spikewright.network import Connection, Ensemble, Probe
from spikewright.network.summary import listed, of_connection, of_ensemble
from spikewright.simulator import Simulator


@dataclass(frozen=True)
class TaggedOperator:
    """One operator of the program; `tag` names its origin.

    Where Nengo has a name for an operator as a part of a learning rule, that is its tag: the map
    of an error to the neurons that receive it is `PES:encode`.
    """

    tag: str
    operator: Operator


@dataclass(frozen=True)
class BuiltModel:
    """The network read (`toplevel`), its seeds by object, and the operators that run."""

    toplevel: Any
    dt: float
    seeds: dict[Any, int]
    params: Any
    operators: tuple[TaggedOperator, ...]


def tagged(program: Program) -> tuple[TaggedOperator, ...]:
    """A program's operators with their tags."""
    encoded = {
        signal: type(learning.rule).__name__
        for op in program.operators
        if isinstance(op, Learned)
        for learning in op.rules
        for name, signal in learning.signals.items()
        if name == "error"
    }
    tags = []
    for op in program.operators:
        along = op.label.endswith("along encoders") and op.output in encoded
        tags.append(TaggedOperator(f"{encoded[op.output]}:encode" if along else op.label, op))
    return tuple(tags)


def kept_steps(steps: NDArray, period: float) -> NDArray:
    """Whether each of the steps, counted from 1, is kept: those at which `n mod period < 1`."""
    return np.asarray(steps % period < 1)


class Sampling(NamedTuple):
    """The recorded steps that a probe keeps: all, or those of a period in steps.

    `form` gives them another shape (None: they stay as they are).
    """

    period: float | None
    form: Callable[[NDArray], NDArray] | None = None

    @classmethod
    def of(
        cls, theirs: Any, ours: Probe, dt: float, form: Callable[[NDArray], NDArray] | None
    ) -> Sampling:
        """Have a probe record at its period, or every step where that is no whole number."""
        every = theirs.sample_every
        if every is None:
            return cls(None, form)
        period = float(every) / dt
        whole = abs(period - round(period)) < 1e-9 * period
        ours.sample_every = float(every) if whole and period >= 1 else None
        return cls(None if whole or period < 1 else period, form)

    def kept(self, samples: NDArray, first: int) -> NDArray:
        """The kept samples among those of every step after step `first`."""
        if self.period is not None:
            samples = samples[kept_steps(first + np.arange(1, len(samples) + 1), self.period)]
        return samples if self.form is None else self.form(samples)


class BuiltEnsemble(NamedTuple):
    """`data[ensemble]`: `eval_points` (radius applied) and `encoders` are `(m, d)` and `(n, d)`.

    The others have one value a neuron, `scaled_encoders` one for each dimension too; without
    neurons (Direct) `gain` and `bias` are None.
    """

    eval_points: NDArray
    encoders: NDArray
    intercepts: NDArray
    max_rates: NDArray
    scaled_encoders: NDArray
    gain: NDArray | None
    bias: NDArray | None


class BuiltConnection(NamedTuple):
    """`data[connection]`; values that a connection does not have are None.

    `weights` are `transform . decoders`, `(values, neurons)`, or the transform's; with
    `solver.weights` those between neurons. They are those before the first step.
    """

    eval_points: NDArray | None
    solver_info: dict[str, Any] | None
    weights: Any
    transform: Any


class NengoData(Mapping[Any, Any]):
    """Recordings and built parameters, by the objects of the user's own model.

    `recorded` gives the recordings of a probe, or None for other objects. Nodes and networks have
    no parameters: None.
    """

    def __init__(
        self, network: NengoNetwork, simulator: Simulator, recorded: Callable[[Any], NDArray | None]
    ) -> None:
        self._network, self._simulator, self._recorded = network, simulator, recorded
        self._built: dict[Any, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        ours = self._network.of[key]
        samples = self._recorded(key)
        if samples is not None:
            return frozen(samples)
        if key not in self._built:
            self._built[key] = self._parameters(key, ours)
        return self._built[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._network.of)

    def __len__(self) -> int:
        return len(self._network.of)

    def __repr__(self) -> str:
        """Every object of the model with what is known of it."""
        entries = [(key, self._words(key)) for key in self]
        return listed(
            f"Data of {self._simulator.n_steps} steps of {self._network.model!r}:",
            [(key, words) for key, words in entries if words],
        )

    def _words(self, theirs: Any) -> str:
        samples, ours = self._recorded(theirs), self._network.of[theirs]
        if samples is not None:
            return f"{samples.shape}"
        if isinstance(ours, Ensemble):
            return of_ensemble(ours)
        return of_connection(ours) if isinstance(ours, Connection) else ""

    def _parameters(self, theirs: Any, ours: Any) -> BuiltEnsemble | BuiltConnection | None:
        if theirs in self._network.drawn:
            return self._ensemble(theirs, ours)
        return self._connection(theirs, ours) if isinstance(ours, Connection) else None

    def _ensemble(self, theirs: Any, ours: Any) -> BuiltEnsemble:
        made = self._network.drawn[theirs]
        turned = ours in self._simulator.program.learned_encoders
        encoders = self._simulator.data[ours].encoders if turned else made.encoders
        gain = 1.0 if made.gain is None else made.gain[:, None]
        parts = (
            made.eval_points, encoders, made.intercepts, made.max_rates,
            encoders * gain / theirs.radius, made.gain, made.bias,
        )  # fmt: skip
        return BuiltEnsemble(*map(frozen, parts))

    def _connection(self, theirs: Any, ours: Connection) -> BuiltConnection:
        if not ours.decodes:
            weights = ours.learned.get("weights", self._network.sampled[theirs].weights)
            return BuiltConnection(None, None, frozen(weights), theirs.transform)
        found = self._simulator.data[ours]
        if own_kind(theirs.solver) == "NoSolver":
            return BuiltConnection(None, {}, frozen(found.weights), theirs.transform)
        points, weights = frozen(found.eval_points), frozen(found.weights)
        return BuiltConnection(points, found.solver_info, weights, theirs.transform)


def frozen(values: Any) -> Any:
    """The same numbers, not to be changed."""
    if not isinstance(values, np.ndarray):
        return values
    view = values.view()
    view.setflags(write=False)
    return view
