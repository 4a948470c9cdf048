"""Parameters of an ensemble: drawn as Nengo draws them, or taken from a built simulator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import BuildError
from spikewright.modelling.nengo_reader.kinds import (
    is_a,
    name_of,
    nengos_warning,
    own_kind,
    refused,
    same_fields,
)
from spikewright.network import neurons as types
from spikewright.network.neurons import Clock, NeuronType


@dataclass(frozen=True, eq=False)
class DrawnPopulation:
    """An ensemble's parameters as arrays, and the state of its neurons before the first step.

    `eval_points` are `(m, d)` with the radius applied, `encoders` `(n, d)` of length 1 unless the
    ensemble says otherwise; the others have one value a neuron. `gain` and `bias` are None where
    there are no neurons.
    """

    eval_points: NDArray
    encoders: NDArray
    intercepts: NDArray
    max_rates: NDArray
    gain: NDArray | None
    bias: NDArray | None
    state: dict[str, Any]


def population(ensemble: Any, seed: int, built: Any = None) -> DrawnPopulation:
    """Draw an ensemble's parameters from its seed, or take them from `built.data[ensemble]`.

    The order of drawing is Nengo's: evaluation points, encoders, then maximum rates and intercepts,
    or gain and bias where those are given; the neurons' state has the next seed.
    """
    if built is not None:
        return _taken(ensemble, seed, built)
    _warn_of_ignored(ensemble)
    rng = np.random.RandomState(seed)
    points = sampled(ensemble.eval_points, default_points(ensemble), ensemble.dimensions, rng)
    points = points * ensemble.radius
    direct = is_a(ensemble.neuron_type, "Direct")
    encoders = np.eye(ensemble.dimensions) if direct else _encoders(ensemble, rng)
    values = _gain_bias(ensemble, rng)
    state = {} if direct else _state(ensemble, seed)
    return DrawnPopulation(points, encoders, *values, state)


def _warn_of_ignored(ensemble: Any) -> None:
    """Warn of arguments that others override."""
    given, points = ensemble.n_eval_points, ensemble.eval_points
    if given is not None and not hasattr(points, "sample") and len(points) != given:
        warnings.warn(
            f"{name_of(ensemble)}: n_eval_points = {given} is ignored, there are {len(points)} "
            "eval_points",
            stacklevel=2,
        )
    if ensemble.gain is None or ensemble.bias is None:
        return
    limits = {"max_rates": (200, 400), "intercepts": (-1.0, 0.9)}
    ignored = [name for name, usual in limits.items() if not _is(getattr(ensemble, name), *usual)]
    if ignored:
        warnings.warn(
            f"{name_of(ensemble)}: its gain and bias override {' and '.join(ignored)}",
            nengos_warning(),
            stacklevel=2,
        )


def _is(dist: Any, low: float, high: float) -> bool:
    return is_a(dist, "Uniform") and (dist.low, dist.high) == (low, high)


def default_points(ensemble: Any) -> int:
    """The number of evaluation points drawn: the number asked for, or one by size."""
    given = ensemble.n_eval_points
    if given is not None:
        return int(given)
    return max(int(np.clip(500 * ensemble.dimensions, 750, 2500)), 2 * ensemble.n_neurons)


def sampled(given: Any, n: int, d: int | None, rng: np.random.RandomState) -> NDArray:
    """`(n, d)` values, `(n,)` without `d`, of a distribution; an array as it is."""
    if hasattr(given, "sample"):
        drawn = given.sample(n, d, rng=rng) if d is not None else given.sample(n, rng=rng)
        return np.array(drawn, np.float64)
    return np.array(given, np.float64)


def _encoders(ensemble: Any, rng: np.random.RandomState) -> NDArray:
    encoders = sampled(ensemble.encoders, ensemble.n_neurons, ensemble.dimensions, rng)
    encoders = encoders.reshape(ensemble.n_neurons, ensemble.dimensions)
    length = np.linalg.norm(encoders, axis=1, keepdims=True)
    zero = int(np.sum(~(length > 0)))
    if zero:
        raise BuildError(
            f"{name_of(ensemble)}: {zero} of {len(encoders)} are zero-length encoders, or NaN: "
            "such a neuron has no direction to respond to; give others, or choices without a zero"
        )
    return encoders / length if ensemble.normalize_encoders else encoders


def _gain_bias(ensemble: Any, rng: np.random.RandomState) -> tuple[Any, Any, Any, Any]:
    """Intercepts, maximum rates, gain, bias."""
    n, kind = ensemble.n_neurons, ensemble.neuron_type
    if is_a(kind, "Direct"):
        return np.empty(0), np.empty(0), None, None
    if ensemble.gain is not None and ensemble.bias is not None:
        gain, bias = (_spread(sampled(v, n, None, rng), n) for v in (ensemble.gain, ensemble.bias))
        rates, intercepts = kind.max_rates_intercepts(gain, bias)
        return np.asarray(intercepts), np.asarray(rates), gain, bias
    if ensemble.gain is not None or ensemble.bias is not None:
        raise NotImplementedError(  # the type that Nengo raises here
            f"{name_of(ensemble)}: gain and bias must be given both or neither"
        )
    rates, intercepts = (
        _spread(sampled(v, n, None, rng), n) for v in (ensemble.max_rates, ensemble.intercepts)
    )
    gain, bias = kind.gain_bias(rates, intercepts)
    bad = ~(np.isfinite(gain) & (np.asarray(gain) > 0))
    if np.any(bad):
        raise BuildError(
            f"{name_of(ensemble)}: its max_rates and intercepts lead to neurons with negative or "
            f"non-finite gain, {int(bad.sum())} of {n}; check max_rates (below 1 / tau_ref) and "
            "intercepts (below 1)"
        )
    return intercepts, rates, np.asarray(gain, np.float64), np.asarray(bias, np.float64)


def _spread(values: NDArray, n: int) -> NDArray:
    return np.array(np.broadcast_to(values, (n,)))


def _state(ensemble: Any, seed: int) -> dict[str, Any]:
    make = getattr(ensemble.neuron_type, "make_state", None)
    if make is None:
        return {}
    n = ensemble.n_neurons
    state = dict(make(n, rng=np.random.RandomState(seed + 1)))
    for name, value in state.items():
        if not (is_generator(value) or np.shape(value) == (n,)):
            raise BuildError(
                f"{name_of(ensemble)}: State {name!r} is of type {type(value).__name__!r}. Only "
                f"arrays with a value for each of {n} neurons, and generators of random numbers, "
                f"can be; this has shape {np.shape(value)}"
            )
    return state


def is_generator(value: Any) -> bool:
    """Whether something draws random numbers."""
    return isinstance(value, np.random.RandomState | np.random.Generator)


def _taken(ensemble: Any, seed: int, built: Any) -> DrawnPopulation:
    data = built.data[ensemble]
    names = ("eval_points", "encoders", "intercepts", "max_rates", "gain", "bias")
    found: dict[str, Any] = {name: getattr(data, name) for name in names}
    arrays = {k: None if v is None else np.array(v, np.float64) for k, v in found.items()}
    state = {} if data.gain is None else _built_state(ensemble, built) or _state(ensemble, seed)
    return DrawnPopulation(**arrays, state=state)  # type: ignore[arg-type]


def _built_state(ensemble: Any, built: Any) -> dict[str, Any]:
    """The neurons' state in a simulator that has not run yet, if it is readable."""
    signals = getattr(getattr(built, "model", None), "sig", {}).get(ensemble.neurons, {})
    made = _state(ensemble, 0)
    found = {}
    for name in made:
        if name in signals and hasattr(signals[name], "initial_value"):
            found[name] = np.array(signals[name].initial_value, np.float64)
    return found if len(found) == len(made) else {}


_NAMES = (
    "AdaptiveLIF", "AdaptiveLIFRate", "Direct", "Izhikevich", "LIF", "LIFRate", "LeakyReLU",
    "PoissonSpiking", "RectifiedLinear", "RegularSpiking", "Sigmoid", "SoftLIFRate",
    "SpikingLeakyReLU", "SpikingRectifiedLinear", "StochasticSpiking", "Tanh",
)  # fmt: skip


_TAKEN = frozenset({"bias", "in", "input", "out", "output"})


def neuron_type_of(ensemble: Any, made: DrawnPopulation) -> NeuronType:
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
