"""Parameters of an ensemble: drawn as Nengo draws them, or taken from a built simulator."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import BuildError
from spikewright.modelling.nengo_reader.exceptions import nengos_warning
from spikewright.modelling.nengo_reader.kinds import is_a, name_of


@dataclass(frozen=True, eq=False)
class Population:
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


def population(ensemble: Any, seed: int, built: Any = None) -> Population:
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
    return Population(points, encoders, *values, state)


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


def _taken(ensemble: Any, seed: int, built: Any) -> Population:
    data = built.data[ensemble]
    names = ("eval_points", "encoders", "intercepts", "max_rates", "gain", "bias")
    found: dict[str, Any] = {name: getattr(data, name) for name in names}
    arrays = {k: None if v is None else np.array(v, np.float64) for k, v in found.items()}
    state = {} if data.gain is None else _built_state(ensemble, built) or _state(ensemble, seed)
    return Population(**arrays, state=state)  # type: ignore[arg-type]


def _built_state(ensemble: Any, built: Any) -> dict[str, Any]:
    """The neurons' state in a simulator that has not run yet, if it is readable."""
    signals = getattr(getattr(built, "model", None), "sig", {}).get(ensemble.neurons, {})
    made = _state(ensemble, 0)
    found = {}
    for name in made:
        if name in signals and hasattr(signals[name], "initial_value"):
            found[name] = np.array(signals[name].initial_value, np.float64)
    return found if len(found) == len(made) else {}
