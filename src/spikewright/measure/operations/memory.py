"""Bytes that a network's weights and state take, in 4 bytes a number."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.operations.links import Links, Partial
from spikewright.measure.operations.wiring import NetworkWiring
from spikewright.network import Ensemble, NodeFunction

BYTES = 4  # of a number: float32


class WeightBytes(NamedTuple):
    """Bytes of all parameters, and of those that are not zero."""

    dense: int
    nonzero: int


def weight_bytes(links: Links) -> WeightBytes:
    """Weights of connections, decoders and encoders, biases and scales of one a neuron or channel;
    shared ones once.

    As described: a convolution stores its kernel, a sparse map its values without their places.
    """
    arrays = {id(array): array for array in _parameters(links)}
    return WeightBytes(
        BYTES * sum(array.size for array in arrays.values()),
        BYTES * sum(int(np.count_nonzero(array)) for array in arrays.values()),
    )


def _parameters(links: Links) -> Iterator[NDArray]:
    network = links.network
    for link in links:
        for part in link.chain:
            if part.weights.ndim:  # a single factor goes into a spike's height
                yield part.weights
    yield from links.parameters()
    for ensemble in network.all_ensembles:
        for value in (*(ensemble.given_gain_bias or ()), ensemble.rate_scale):
            if value.ndim:
                yield _narrow(value)
    fed = {c.pre_obj for c in network.all_connections}
    for node in network.all_nodes:
        if isinstance(node.output, np.ndarray) and node in fed and np.any(node.output):
            yield _narrow(node.output)


def _narrow(values: NDArray) -> NDArray:
    """Values without axes along which they repeat: a bias of a channel is stored once."""
    for axis in range(values.ndim):
        first = values.take([0], axis)
        values = first if np.array_equal(values, np.broadcast_to(first, values.shape)) else values
    return values


def state_bytes(links: Links, wiring: NetworkWiring) -> int:
    """Memory that is kept from step to step, for one sample, in bytes.

    It holds voltages and other variables of neurons, the states of filters, values that wait for
    delays, running sums of functions and the sums that they have sent. Sums at junctions that
    weights lead to and from count too, represented vectors among them.
    """
    values = 0
    for ensemble in links.network.all_ensembles:
        if not ensemble.is_direct:
            kind = ensemble.neuron_type
            values += ensemble.n_neurons * (len(kind.initial_values()) + kind.has_voltage)
    values += sum(link.values * link.order for link in links) + links.delayed
    for node in links.network.all_nodes:
        if isinstance(node.output, NodeFunction) and node.output.accumulate:
            values += node.size_in + node.size_out
        elif wiring.kinds[node] == "held":
            values += node.size_in
    values += sum(prod(item.shape) for item in wiring.items if isinstance(item, Partial))
    values += sum(item.dimensions for item in wiring.items if isinstance(item, Ensemble))
    return BYTES * values
