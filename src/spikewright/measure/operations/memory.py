"""Bytes that a network's weights and state take, in 4 bytes a number."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.operations.wiring import Partial, Wiring
from spikewright.network import Connection, Network, NodeFunction
from spikewright.network.connection import input_shape, output_shape
from spikewright.network.synapses import WindowMean

BYTES = 4  # of a number: float32


class WeightBytes(NamedTuple):
    """Bytes of all parameters, and of those that are not zero."""

    dense: int
    nonzero: int


def weight_bytes(network: Network) -> WeightBytes:
    """Weights of connections, biases and scales of one a neuron or channel; shared ones once.

    As described: a convolution stores its kernel, a sparse map its values without their places.
    """
    arrays = {id(array): array for array in _parameters(network)}
    return WeightBytes(
        BYTES * sum(array.size for array in arrays.values()),
        BYTES * sum(int(np.count_nonzero(array)) for array in arrays.values()),
    )


def _parameters(network: Network) -> Iterator[NDArray]:
    for connection in network.all_connections:
        for part in connection.chain():
            if part.weights.ndim:  # a single factor goes into a spike's height
                yield part.weights
    for ensemble in network.all_ensembles:
        for value in (ensemble.gain, ensemble.bias, ensemble.rate_scale):
            if value is not None and value.ndim:
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


def state_bytes(network: Network, wiring: Wiring) -> int:
    """What is kept from step to step, for one sample.

    Voltages and other variables of neurons, the states of filters, running sums of functions and
    what they have sent, and sums held at junctions that weights lead to and from.
    """
    values = 0
    for ensemble in network.all_ensembles:
        kind = ensemble.neuron_type
        values += ensemble.n_neurons * (len(kind.initial_state()) + kind.has_voltage)
    for connection in network.all_connections:
        values += filtered(connection) * _order(connection)
    for node in network.all_nodes:
        if isinstance(node.output, NodeFunction) and node.output.accumulate:
            values += node.size_in + node.size_out
        elif wiring.kinds[node] == "held":
            values += node.size_in
    values += sum(prod(item.shape) for item in wiring.items if isinstance(item, Partial))
    return BYTES * values


def filtered(connection: Connection) -> int:
    """Values that a connection's synapse filters: those on its smaller side, or none."""
    if connection.synapse is None:
        return 0
    return min(prod(output_shape(connection.pre_obj)), prod(input_shape(connection.post_obj)))


def _order(connection: Connection) -> int:
    """State variables of a connection's filter for each value."""
    synapse = connection.synapse
    if isinstance(synapse, WindowMean):
        return 2  # the sum so far, and the mean that is passed on
    return 0 if synapse is None else synapse.discretise(0.001).order
