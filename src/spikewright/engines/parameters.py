"""The parameters of ensembles as built: gain, bias, initial state; and keys of random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError
from spikewright.network import Ensemble, Network
from spikewright.network.distributions import Distribution
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.network.shapes import Shape

# Words of a generator's key that no index reaches: they keep an ensemble with a seed of its own,
# and the parts of a network, apart from the network's first ensembles.
_OWN_SEED, _INNER_NETWORK = 2**32 - 2, 2**32 - 1
_STATE = 100  # the first stream of an ensemble's generator that its state is drawn from


@dataclass(frozen=True, eq=False)
class Parameters:
    """The parameters of an ensemble as built: effective gain, bias, amplitude and maximum rates.

    `gain` and `bias` have the firing-rate scale multiplied in where it acts on the gain, and
    `amplitude` is divided by it always; `max_rates` are in Hz, at an input of 1.
    """

    gain: NDArray
    bias: NDArray
    amplitude: NDArray
    max_rates: NDArray
    initial_voltage: NDArray


Key = tuple[int, int]
"""A generator's key."""


def generator(key: Key, stream: int = 0, step: int = 0) -> np.random.Generator:
    """A counter-based generator (Philox, Salmon 2011), a separate one for each use by an object."""
    counter = [0, 0, stream, step]
    return np.random.Generator(np.random.Philox(key=np.array(key, np.uint64), counter=counter))


def uniform_draws(key: Key, step: int, index: int, shape: Shape) -> NDArray:
    """Uniform draws of one step, `shape`: a function of the key (seed and object), the step and the
    index alone, so the same in every engine, block and batch.
    """
    return generator(key, index, step).random(shape)


def object_key(*entropy: Any) -> Key:
    """A generator's key from a seed and the numbers that identify an object."""
    first, second = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    return int(first), int(second)


def connection_key(base: tuple[int, ...], index: int, own: int | None, word: int) -> Key:
    """The key of an object, from its own seed if it has one, else from its place in its network."""
    return object_key(*base, word, index) if own is None else object_key(own, word)


def gain_scale(ensemble: Ensemble) -> NDArray:
    """The factor of gain and bias that follows from the firing-rate scale."""
    acts = ensemble.neuron_type.scaling in ("gain", "skewed")
    return ensemble.rate_scale if acts else np.array(1.0)


def keyed_ensembles(network: Network, seed: int) -> Iterator[tuple[Ensemble, Key]]:
    """Every ensemble with the key of its random numbers.

    An ensemble's own seed fixes them; else its network's seed (or the simulator's) and its place in
    that network. So a network with a seed behaves the same alone and inside another.
    """
    for net, base in seeded_networks(network, (seed,)):
        for index, ensemble in enumerate(net.ensembles):
            own = ensemble.seed
            key = object_key(*base, index) if own is None else object_key(own, _OWN_SEED)
            yield ensemble, key


def seeded_networks(
    network: Network, base: tuple[int, ...]
) -> Iterator[tuple[Network, tuple[int, ...]]]:
    """Every network with the numbers that the keys of its objects begin with."""
    yield network, base
    for index, inner in enumerate(network.networks):
        own = (inner.seed,) if inner.seed is not None else (*base, _INNER_NETWORK, index)
        yield from seeded_networks(inner, own)


class Solved(NamedTuple):
    """Built parameters, with the unscaled gain and bias that they are made of."""

    parameters: Parameters
    gain: NDArray
    bias: NDArray


def build_parameters(ensemble: Ensemble, key: Key) -> Solved:
    """Solve an ensemble's gain and bias and apply its firing-rate scale.

    Raises `NetworkError` naming the ensemble for parameters that no neuron can have.
    """
    gain, bias = _gain_bias(ensemble, key)
    scale = ensemble.rate_scale
    acting = gain_scale(ensemble)
    neuron_type = ensemble.neuron_type
    with np.errstate(over="ignore"):  # `check_sizes` refuses what is too large
        if neuron_type.scaling == "skewed":
            rates = neuron_type.max_rates(gain * acting, bias * acting)
        else:
            rates = scale * neuron_type.max_rates(gain, bias)
        built = Parameters(
            gain=np.asarray(gain * acting),
            bias=np.asarray(bias * acting),
            amplitude=np.asarray(neuron_type.amplitude / scale),
            max_rates=np.asarray(rates),
            initial_voltage=_initial_voltage(ensemble, key),
        )
    return Solved(built, gain, bias)


def affine(ensemble: Ensemble, solved: Solved) -> tuple[NDArray | None, NDArray | None]:
    """The gain and bias that act on the input (None where they are 1 and 0)."""
    gain, bias = solved.gain, solved.bias
    if ensemble.neuron_type.scaling == "skewed":
        gain, bias = solved.parameters.gain, solved.parameters.bias
    return None if np.all(gain == 1) else gain, bias if np.any(bias) else None


def _gain_bias(ensemble: Ensemble, key: Key) -> tuple[NDArray, NDArray]:
    if ensemble.given_gain_bias is not None:
        return ensemble.given_gain_bias
    if ensemble.gain is not None and ensemble.bias is not None:
        gain = _values(ensemble, ensemble.gain, key, 2)
        return gain, _values(ensemble, ensemble.bias, key, 3)
    try:
        rates, intercepts = (
            _values(ensemble, spec, key, 2 + index)
            for index, spec in enumerate((ensemble.max_rates, ensemble.intercepts))
        )
        return ensemble.neuron_type.gain_bias(rates, intercepts)
    except NetworkError as error:
        raise NetworkError(f"{ensemble!r}: {error}") from error


def _values(
    ensemble: Ensemble,
    spec: NDArray | Distribution | tuple[float, float],
    key: Key,
    stream: int,
) -> NDArray:
    """One value for each neuron, drawn or given."""
    if isinstance(spec, Distribution):
        drawn = spec.draw(ensemble.n_neurons, 1, generator(key, stream))
        return drawn.reshape(ensemble.shape)
    if isinstance(spec, tuple):
        low, high = spec
        return low + (high - low) * uniform_draws(key, 0, stream, ensemble.shape)
    return np.broadcast_to(spec, ensemble.shape)


def initial_state(ensemble: Ensemble, key: Key) -> dict[str, NDArray]:
    """The initial state that an ensemble sets, without the voltage, `(*shape)` by name.

    Raises `NetworkError` for a fraction of a spike in a state variable that counts spikes.
    """
    found = {
        name: np.array(_values(ensemble, spec, key, _STATE + index))
        for index, (name, spec) in enumerate(ensemble.starts.items())
    }
    for name in found.keys() & set(ensemble.neuron_type.counted_names):
        if not np.array_equal(found[name], np.rint(found[name])):
            raise NetworkError(
                f"{ensemble!r}: initial_state[{name!r}] is a number of spikes: give whole numbers"
            )
    return found


def _initial_voltage(ensemble: Ensemble, key: Key) -> NDArray:
    """The voltage before the first step, in spikes, `(*shape)`."""
    start = ensemble.initial_voltage
    if not isinstance(start, str):
        return np.array(_values(ensemble, start, key, 0))
    if start == "uniform":
        return uniform_draws(key, 0, 0, ensemble.shape)
    return np.broadcast_to(NAMED_VOLTAGES[start], ensemble.shape)
