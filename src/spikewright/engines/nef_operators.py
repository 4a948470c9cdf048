"""Operators of the Neural Engineering Framework (NEF): encoders, decoders, functions of vectors.

A decoded connection stays factored into decoders, and transform and encoders, unless one matrix is
no larger.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.builder import ProgramBuilder
from spikewright.engines.decoder_cache import DecoderCache
from spikewright.engines.operators import Apply
from spikewright.engines.parameters import Solved
from spikewright.engines.representation import Decoded, Representation, decode
from spikewright.engines.spike_scaling import ScaledSignal
from spikewright.errors import BuildError
from spikewright.network import Connection, Ensemble, Network, Node, ObjView, output_shape
from spikewright.network.network import detached
from spikewright.network.transforms import Dense, Reshape, Scale, Shape, Transform, flatten

_KEPT_BYTES = 64 * 2**20  # of activities at evaluation points, which connections share


class NefOperators:
    """Adds encoders of represented vectors, and decoded connections, to a program."""

    def __init__(self, builder: ProgramBuilder, cache: DecoderCache | None = None) -> None:
        self.builder, self.cache = builder, cache
        self.representations: dict[Ensemble, Representation] = {}
        self.decodings: dict[Connection, Decoded] = {}
        self._recent: dict[Representation, int] = {}

    def represent(self, ensemble: Ensemble, key: tuple[int, int], solved: Solved | None) -> None:
        """Register an ensemble that represents a vector; nothing is drawn before it is needed."""
        self.representations[ensemble] = Representation(ensemble, key, solved)

    def encoded(self, ensemble: Ensemble, signal: int) -> ScaledSignal:
        """The input of an ensemble's neurons from the vector that it represents."""
        chain = encoding(ensemble, self.representations[ensemble].input_weights)
        return self.builder.encode(signal, chain, f"encoders of {ensemble!r}")

    def decode(self, connection: Connection, key: tuple[int, int]) -> Decoded:
        """Solve a connection's decoders."""
        post = connection.post_obj
        into = self.representations.get(post) if isinstance(post, Ensemble) else None
        if into is not None and into.ensemble.is_direct:
            into = None
        pre = self.representations[connection.pre_obj]  # type: ignore[index]
        self.decodings[connection] = decode(connection, pre, into, key, self.cache)
        self._keep(pre)
        return self.decodings[connection]

    def _keep(self, used: Representation) -> None:
        """Delete the least recently used activities if all take too much memory."""
        self._recent.pop(used, None)
        self._recent[used] = used.activity_bytes
        while len(self._recent) > 1 and sum(self._recent.values()) > _KEPT_BYTES:
            oldest = next(iter(self._recent))
            oldest.forget()
            del self._recent[oldest]

    def decoded(self, connection: Connection, decoded: Decoded, sent: ScaledSignal) -> ScaledSignal:
        """The values decoded from spikes, filtered and delayed where the fewest values are."""
        chain, synapse = decoding(connection, decoded), connection.synapse
        if synapse is not None and not synapse.commutes:  # of the values that are delivered
            cut = len(chain) - (0 if decoded.full is not None else len(connection.placing))
        else:
            first = synapse is not None and synapse.by_windows
            cut = 0 if first else smallest(chain, _ensemble(connection.pre_obj).shape)
        return self.builder.deliver(connection, sent, chain, cut)

    def applied(self, connection: Connection, sent: ScaledSignal) -> ScaledSignal:
        """A connection's input, or the part that it reads, after its function, if it has one."""
        shape = output_shape(connection.pre_obj)
        if isinstance(connection.pre, ObjView):
            chain = flatten(connection.pre.select(shape))
            sent = self.builder.map(sent, chain, f"part for {connection!r}")
        if connection.function is None:
            return sent
        node = function_node(connection)
        source = self.builder.values(sent, f"input of {node!r}")
        output = self.builder.signal(connection.sent_shape, f"{node!r}")
        self.builder.operators.append(Apply(f"{node!r}", (source,), output, node))
        return ScaledSignal(output, 1.0)

    def forget(self) -> None:
        """Delete arrays that are needed only to solve decoders."""
        for representation in self.representations.values():
            representation.forget()


def encoding(ensemble: Ensemble, weights: NDArray) -> tuple[Transform, ...]:
    """The maps from a represented vector to the population; `weights` are `(n, d)`."""
    return _shaped(Dense(weights), ensemble.shape)


def _shaped(dense: Dense, shape: Shape) -> tuple[Transform, ...]:
    return (dense,) if len(shape) == 1 else (dense, Reshape(shape))


def decoding(connection: Connection, decoded: Decoded) -> tuple[Transform, ...]:
    """The maps from a population's spikes to the input or output of the connection's transform.

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
    """After how many maps of a chain there are the fewest values; the smallest such number."""
    sizes = [math.prod(shape)]
    for transform in chain:
        shape = transform.output_shape(shape)
        sizes.append(math.prod(shape))
    return sizes.index(min(sizes))


def function_node(connection: Connection) -> Node:
    """A node outside any network that computes a connection's function exactly."""
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
    """A connection outside any network that decodes the vector of an ensemble."""
    with detached(), Network():
        end = Node(size_in=ensemble.dimensions, label=label)
        return Connection(ensemble, end, None, label=label, solver=solver)  # type: ignore[arg-type]
