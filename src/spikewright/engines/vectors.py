"""How represented vectors become operators: encoders, decoders, functions, processes, noise.

A decoded connection stays two factors, decoders and then transform and encoders, unless one matrix
is no larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.representation import Decoded
from spikewright.errors import BuildError
from spikewright.network import Connection, Ensemble, Network, Node
from spikewright.network.network import detached
from spikewright.network.transforms import Dense, Reshape, Scale, Shape, Transform


def encoding(ensemble: Ensemble, weights: NDArray) -> tuple[Transform, ...]:
    """Maps from a represented vector to the population, `weights` being `(n, d)`."""
    return _shaped(Dense(weights), ensemble.shape)


def _shaped(dense: Dense, shape: Shape) -> tuple[Transform, ...]:
    return (dense,) if len(shape) == 1 else (dense, Reshape(shape))


def decoding(connection: Connection, decoded: Decoded) -> tuple[Transform, ...]:
    """Maps from the population's spikes to what the connection's transform is given, or makes.

    The first transform is multiplied into the decoders where the result is no larger.
    """
    pre = _ensemble(connection.pre_obj)
    flat = (Reshape((pre.n_neurons,)),) if len(pre.shape) > 1 else ()
    if decoded.full is not None:
        return (*flat, *_shaped(Dense(decoded.full), _ensemble(connection.post_obj).shape))
    chain = connection.chain()
    shape, decoders = connection.sent_shape, decoded.decoders
    if len(shape) > 1:
        return (*flat, Dense(decoders), Reshape(shape), *chain)
    if chain and isinstance(chain[0], Scale):
        factor = np.broadcast_to(chain[0].factor, shape)
        return (*flat, Dense(factor[:, None] * decoders), *chain[1:])
    if chain and isinstance(chain[0], Dense) and len(chain[0].matrix) <= len(decoders):
        return (*flat, Dense(chain[0].matrix @ decoders), *chain[1:])
    return (*flat, Dense(decoders), *chain)


def _ensemble(item: object) -> Ensemble:
    if not isinstance(item, Ensemble):
        raise BuildError(f"{item!r} represents no vector")
    return item


def smallest(chain: tuple[Transform, ...], shape: Shape) -> int:
    """After how many maps of a chain there are the fewest values, the earliest such place."""
    sizes = [math.prod(shape)]
    for transform in chain:
        shape = transform.output_shape(shape)
        sizes.append(math.prod(shape))
    return sizes.index(min(sizes))


def function_node(connection: Connection) -> Node:
    """A node that computes a connection's function exactly, a part of no network."""
    function = connection.function
    if not callable(function):
        raise BuildError(
            f"{connection!r}: an array of wanted values is for decoders; {connection.pre_obj!r} "
            "computes functions exactly, so give a callable"
        )
    applied: Callable[[NDArray], object] = function
    with detached(), Network():
        return Node(
            lambda t, x: applied(x),
            size_in=connection.part_shape,
            size_out=connection.sent_shape,
            label=f"function of {connection!r}",
        )


def identity_of(ensemble: Ensemble, solver: object, label: str) -> Connection:
    """A connection that decodes what an ensemble represents, a part of no network."""
    with detached(), Network():
        end = Node(size_in=ensemble.dimensions, label=label)
        return Connection(ensemble, end, None, label=label, solver=solver)  # type: ignore[arg-type]
