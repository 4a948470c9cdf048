"""Neuron types: Nengo's by name, a user's own by its step."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import BuildError
from spikewright.modelling.nengo_reader.fields import same_fields
from spikewright.modelling.nengo_reader.kinds import is_a, name_of, own_kind
from spikewright.modelling.nengo_reader.populations import Population, is_generator
from spikewright.modelling.nengo_reader.refusals import refused
from spikewright.network import neurons as types
from spikewright.network.neurons import Clock, NeuronType

_NAMES = (
    "AdaptiveLIF", "AdaptiveLIFRate", "Direct", "Izhikevich", "LIF", "LIFRate", "LeakyReLU",
    "PoissonSpiking", "RectifiedLinear", "RegularSpiking", "Sigmoid", "SoftLIFRate",
    "SpikingLeakyReLU", "SpikingRectifiedLinear", "StochasticSpiking", "Tanh",
)  # fmt: skip


_TAKEN = frozenset({"bias", "in", "input", "out", "output"})


def neuron_type_of(ensemble: Any, made: Population) -> NeuronType:
    """The type of an ensemble's neurons.

    Raises `ReadError` naming the ensemble for a type without a step, `BuildError` for state whose
    name is taken.
    """
    theirs, state = ensemble.neuron_type, made.state
    taken = sorted(_TAKEN.intersection(state))
    if taken:
        raise BuildError(
            f"{name_of(ensemble)}: State name {taken[0]!r} overlaps with a signal that all neurons "
            f"have; let {type(theirs).__name__} give it another name"
        )
    if _is_known(theirs):
        return _known(theirs)
    if not callable(getattr(theirs, "step", None)):
        raise refused(
            ensemble,
            f"neuron type {type(theirs).__name__}",
            "it has no step(dt, J, output, **state)",
            "give it one, or use one of " + ", ".join(_NAMES),
        )
    return UserNeurons(theirs, state, made.max_rates)


def _is_known(theirs: Any) -> bool:
    base = getattr(theirs, "base_type", None)
    return own_kind(theirs) in _NAMES and (base is None or own_kind(base) in _NAMES)


def _known(theirs: Any) -> NeuronType:
    cls: type[NeuronType] = getattr(types, own_kind(theirs))
    drawn = ("initial_state",)  # one value a neuron, which the ensemble is given
    return same_fields(cls, theirs, lambda v: _known(v) if hasattr(v, "step") else v, drawn)


class UserNeurons(NeuronType):
    """A user's neuron type: its own `step(dt, J, output, **state)` and `rates(x, gain, bias)`.

    Its output is taken as it is, height of spikes included, so that `spiking` is always False.
    State is one value a neuron, and generators of random numbers. A type without state gets an
    unused array here, so that it is called at every step.
    """

    negative = True
    scaling = "refused"

    def __init__(self, theirs: Any, state: Mapping[str, Any], max_rates: NDArray) -> None:
        self.theirs = theirs
        self._generators = {name: v for name, v in state.items() if is_generator(v)}
        arrays = {name: v for name, v in state.items() if name not in self._generators}
        self._given = tuple(arrays)
        self._state = arrays or {"unused": np.zeros(1)}
        self._drawing: list[dict[str, Any]] = []
        self._max_rates = max_rates

    def initial_values(self) -> Mapping[str, Any]:
        """State by name, one value a neuron."""
        return self._state

    def rates(self, xp: Any, current: NDArray) -> NDArray:
        """The type's own rates: the output at constant currents `(points, n)`."""
        n = current.shape[-1]
        found = self.theirs.rates(np.atleast_2d(current), np.ones(n), np.zeros(n))
        return np.asarray(found, np.float64).reshape(current.shape)

    def max_rates(self, gain: NDArray, bias: NDArray) -> NDArray:
        """As they were given."""
        return self._max_rates

    def step(self, xp: Any, current: NDArray, state: dict[str, NDArray], clock: Clock) -> NDArray:
        """One sample after the other: a type may look at its neurons by number."""
        samples = max(len(current), *(len(value) for value in state.values()))
        given = np.broadcast_to(current, (samples, *current.shape[1:]))
        output = np.zeros(given.shape)
        if is_a(self.theirs, "RatesToSpikesNeuronType"):
            given = self._of_base(given)
        if clock.step == 1:
            self._drawing = [deepcopy(self._generators) for _ in range(samples)]
        for b in range(samples):
            parts = {name: state[name][b] for name in self._given} | self._drawing[b]
            self.theirs.step(clock.dt, np.array(given[b]), output[b], **parts)
        return output

    def _of_base(self, current: NDArray) -> NDArray:
        """Input of a type that turns rates into spikes: the rates of its base type, in Hz."""
        n = current.shape[-1]
        return np.asarray(self.theirs.base_type.rates(current, np.ones(n), np.zeros(n)))

    def __repr__(self) -> str:
        return f"UserNeurons({self.theirs!r})"
