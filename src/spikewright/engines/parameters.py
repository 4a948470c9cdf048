"""Parameters of ensembles as built: gain and bias solved, starts drawn, the scale applied."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.program import Parameters, object_key, uniform_draws
from spikewright.network import Ensemble, Network

# Words of a generator's key that no index reaches: they keep an ensemble with a seed of its own,
# and the parts of a network, apart from the network's first ensembles.
_OWN_SEED, _INNER_NETWORK = 2**32 - 2, 2**32 - 1


def gain_scale(ensemble: Ensemble) -> NDArray:
    """What a firing-rate scale multiplies gain and bias by."""
    acts = ensemble.neuron_type.scaling in ("gain", "skewed")
    return ensemble.rate_scale if acts else np.array(1.0)


def keyed_ensembles(network: Network, seed: int) -> Iterator[tuple[Ensemble, tuple[int, int]]]:
    """Every ensemble with the key of its random numbers.

    An ensemble's own seed fixes them; else they follow from the seed of its network (or of the
    simulator) and its place in that network, so that a network with a seed behaves the same alone
    and inside another.
    """
    for net, base in _seeded_networks(network, (seed,)):
        for index, ensemble in enumerate(net.ensembles):
            own = ensemble.seed
            key = object_key(*base, index) if own is None else object_key(own, _OWN_SEED)
            yield ensemble, key


def _seeded_networks(
    network: Network, base: tuple[int, ...]
) -> Iterator[tuple[Network, tuple[int, ...]]]:
    yield network, base
    for index, inner in enumerate(network.networks):
        own = (inner.seed,) if inner.seed is not None else (*base, _INNER_NETWORK, index)
        yield from _seeded_networks(inner, own)


def build_parameters(
    ensemble: Ensemble, key: tuple[int, int]
) -> tuple[Parameters, NDArray | None, NDArray | None]:
    """Built parameters, and gain and bias of the unscaled current (None where 1 and 0)."""
    gain, bias = _gain_bias(ensemble, key)
    scale = ensemble.rate_scale
    acting = gain_scale(ensemble)
    neuron_type = ensemble.neuron_type
    skewed = neuron_type.scaling == "skewed"
    if skewed:
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
    if skewed:
        gain, bias = built.gain, built.bias
    return built, None if np.all(gain == 1) else gain, bias if np.any(bias) else None


def _gain_bias(ensemble: Ensemble, key: tuple[int, int]) -> tuple[NDArray, NDArray]:
    if ensemble.gain is not None and ensemble.bias is not None:
        return ensemble.gain, ensemble.bias
    values: list[NDArray] = []
    for index, spec in enumerate((ensemble.max_rates, ensemble.intercepts)):
        if isinstance(spec, tuple):
            low, high = spec
            draws = uniform_draws(key, 0, 2 + index, ensemble.shape)
            values.append(low + (high - low) * draws)
        else:
            values.append(np.broadcast_to(spec, ensemble.shape))
    return ensemble.neuron_type.gain_bias(values[0], values[1])


def _initial_voltage(ensemble: Ensemble, key: tuple[int, int]) -> NDArray:
    """The voltage before the first step, in spikes, `(*shape)`."""
    start = ensemble.initial_voltage
    if not isinstance(start, str):
        return np.array(np.broadcast_to(start, ensemble.shape))
    if start == "uniform":
        return uniform_draws(key, 0, 0, ensemble.shape)
    return np.full(ensemble.shape, 0.5 if start == "half" else 0.0)
