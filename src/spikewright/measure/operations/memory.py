"""Bytes that a network's weights and state take, in 4 bytes a number, and what synapses filter.

They are of the network as described: of its connections, with decoders and encoders as built. The
program puts each filter where fewest values go through in a step, and shares some.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.nef_operators import decoding
from spikewright.engines.program import Program
from spikewright.measure.operations.wiring import Intermediate, Wiring
from spikewright.network import Connection, Ensemble, Network, Node, NodeFunction
from spikewright.network.connection import Sender, output_shape
from spikewright.network.synapses import WindowMean
from spikewright.network.transforms import Shape, Transform

BYTES = 4  # of a number: float32


class WeightBytes(NamedTuple):
    """Bytes of all parameters, and of those that are not zero."""

    dense: int
    nonzero: int


def weight_bytes(network: Network, program: Program, wiring: Wiring) -> WeightBytes:
    """Weights of connections, decoders and encoders, biases and scales of one a neuron or channel;
    shared ones once.

    A convolution stores its kernel, a sparse map its values without their places.
    """
    arrays = {id(array): array for array in _parameters(network, program, wiring)}
    return WeightBytes(
        BYTES * sum(array.size for array in arrays.values()),
        BYTES * sum(int(np.count_nonzero(array)) for array in arrays.values()),
    )


def _parameters(network: Network, program: Program, wiring: Wiring) -> Iterator[NDArray]:
    for connection in network.all_connections:
        if connection in program.learned:  # zeros among its weights do not stay
            yield np.ones_like(program.learned[connection].initial)
        elif "weights" in connection.learned:
            yield connection.learned["weights"]
        else:  # a single factor goes into a spike's height
            weights = (part.weights for part in _chain(connection, program)[1])
            yield from (array for array in weights if array.ndim)
    for ensemble, built in program.representations.items():
        if ensemble.represents and not ensemble.is_direct:
            if wiring.arriving.get(ensemble):
                yield built.input_weights
            if not ensemble.given_gain_bias:
                yield from (built.gain, built.bias)
    for ensemble in network.all_ensembles:
        for value in (*(ensemble.given_gain_bias or ()), ensemble.rate_scale):
            if value.ndim:
                yield _narrow(value)
    for node in network.all_nodes:
        if isinstance(node.output, np.ndarray) and node in wiring.sending and np.any(node.output):
            yield _narrow(node.output)


def _narrow(values: NDArray) -> NDArray:
    """Values without axes along which they repeat: a bias of a channel is stored once."""
    for axis in range(values.ndim):
        first = values.take([0], axis)
        values = first if np.array_equal(values, np.broadcast_to(first, values.shape)) else values
    return values


def _chain(connection: Connection, program: Program) -> tuple[Shape, tuple[Transform, ...]]:
    """The shape of what a connection maps, and its maps; decoders are the first of them."""
    pre = connection.pre_obj
    if connection.decodes and isinstance(pre, Ensemble):
        return pre.shape, decoding(connection, program.decodings[connection])
    whole = connection.function is None
    return output_shape(pre) if whole else connection.sent_shape, connection.chain()


def filtered_values(connection: Connection, program: Program) -> int:
    """The number of values in a connection's filter, at the narrower end of its maps; or none.

    A decoded value may be filtered between any two maps.
    """
    if connection.synapse is None:
        return 0
    shape, chain = _chain(connection, program)
    sizes = [prod(shape)]
    for part in chain:
        shape = part.output_shape(shape)
        sizes.append(prod(shape))
    return min(sizes) if connection.decodes else min(sizes[0], sizes[-1])


def _filter_order(connection: Connection, program: Program) -> int:
    """State variables of a connection's filter for each value."""
    synapse = connection.synapse
    if isinstance(synapse, WindowMean):
        return 2  # the sum so far, and the mean that is passed on
    if synapse is not None and synapse.stepped:
        shape, _ = _chain(connection, program)
        return len(synapse.make_state(shape, shape, 0.001))
    return 0 if synapse is None else synapse.discretise(0.001).order


def _delayed(network: Network, dt: float) -> int:
    """Values that wait for delays: of each sender in as many steps as its longest delay has."""
    longest: dict[Sender, float] = {}
    for connection in network.all_connections:
        pre = connection.pre_obj
        longest[pre] = max(longest.get(pre, 0.0), float(np.max(connection.delay, initial=0.0)))
    return sum(round(delay / dt) * prod(output_shape(pre)) for pre, delay in longest.items())


def state_bytes(network: Network, program: Program, wiring: Wiring) -> int:
    """Memory that is kept from step to step, for one sample, in bytes.

    It holds voltages and other variables of neurons, the states of filters, values that wait for
    delays, running sums of functions and the sums that they have sent. Sums at junctions that
    weights lead to and from count too, represented vectors among them, and what functions of
    connections give.
    """
    values = _delayed(network, program.dt)
    for ensemble in network.all_ensembles:
        if not ensemble.is_direct:
            kind = ensemble.neuron_type
            values += ensemble.n_neurons * (len(kind.initial_values()) + kind.has_voltage)
    for connection in network.all_connections:
        size = filtered_values(connection, program)
        values += size and size * _filter_order(connection, program)
    nodes = set(network.all_nodes)
    for item in wiring.items:
        if isinstance(item, Intermediate):
            values += prod(item.shape_in)
        elif isinstance(item, Ensemble) and (wiring.arriving[item] or item in wiring.sending):
            values += item.dimensions
        elif isinstance(item, Node) and item not in nodes:
            values += item.size_out
        elif isinstance(item, Node) and isinstance(item.output, NodeFunction):
            values += item.size_in + item.size_out if item.output.accumulate else 0
        elif isinstance(item, Node) and wiring.kinds[item] == "stored":
            values += item.size_in
    return BYTES * values
