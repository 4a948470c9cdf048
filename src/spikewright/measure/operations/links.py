"""The links of a network: connections as chains of maps, decoders and encoders included.

A connection from a population that represents a vector starts at its neurons, and its decoders are
the first map; a vector that is represented is a place of its own, from which encoders lead on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikewright.engines import compile_network, step_for
from spikewright.engines.program import Program
from spikewright.engines.vectors import decoding, encoding
from spikewright.measure.operations.patterns import weighs
from spikewright.network import Connection, Ensemble, Network, Node
from spikewright.network.connection import input_shape, output_shape
from spikewright.network.learning import LearningRule
from spikewright.network.synapses import WindowMean
from spikewright.network.transforms import Dense, Shape, Transform, flatten
from spikewright.network.view import NeuronsView, ObjView


@dataclass(frozen=True, eq=False)
class Partial:
    """Values in the midst of a connection: the value of a matrix before the next one reads it.

    Where `computed` they are results of the connection's function, else sums held.
    """

    label: str
    shape: Shape
    computed: bool = False


Item = Node | NeuronsView | Ensemble | LearningRule | Partial
"""A place of values. An ensemble stands for the vector that it represents."""


@dataclass(frozen=True, eq=False)
class Link:
    """Maps of values of `shape` from one place to another.

    `connection` is None for encoders, and for a part of one that no synapse ends.
    """

    pre: Item
    post: Item
    chain: tuple[Transform, ...]
    shape: Shape
    connection: Connection | None

    @property
    def label(self) -> str:
        """The name of the link in messages."""
        return f"encoders of {self.pre!r}" if self.connection is None else f"{self.connection!r}"

    @property
    def filtered(self) -> bool:
        """Whether a synapse lies on it."""
        return self.connection is not None and self.connection.synapse is not None

    @property
    def routes(self) -> bool:
        """Whether it passes spikes on without weights."""
        return not any(map(weighs, self.chain))

    @property
    def order(self) -> int:
        """State variables of its filter for each value."""
        synapse = None if self.connection is None else self.connection.synapse
        if isinstance(synapse, WindowMean):
            return 2  # the sum so far, and the mean that is passed on
        if synapse is not None and synapse.stepped:
            return len(synapse.make_state(self.shape, self.shape, 0.001))
        return 0 if synapse is None else synapse.discretise(0.001).order

    @property
    def values(self) -> int:
        """The number of values in its filter, at the narrowest place of its chain; or none."""
        if not self.filtered:
            return 0
        sizes, shape = [prod(self.shape)], self.shape
        for part in self.chain:
            shape = part.output_shape(shape)
            sizes.append(prod(shape))
        decoded = self.connection is not None and self.connection.decodes
        return min(sizes) if decoded else min(sizes[0], sizes[-1])


class Links:
    """The links of a network, in order.

    Decoders and encoders are those of `program`; where it is None and there are any, the network is
    compiled for them, with its own seed.
    """

    def __init__(self, network: Network, program: Program | None = None) -> None:
        self.network = network
        if program is None and any(map(_represents, network.all_ensembles)):
            dt = step_for(network, None)
            program = compile_network(network, dt, network.seed or 0, "float64", ())
        self._program = program
        self._links = list(self._all())

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links)

    @property
    def delayed(self) -> int:
        """Values that wait for delays: of each sender in as many steps as its longest delay has."""
        dt = step_for(self.network, None) if self._program is None else self._program.dt
        longest: dict[Node | NeuronsView | Ensemble, float] = {}
        for connection in self.network.all_connections:
            pre = connection.pre_obj
            longest[pre] = max(longest.get(pre, 0.0), float(np.max(connection.delay, initial=0.0)))
        return sum(round(delay / dt) * prod(output_shape(pre)) for pre, delay in longest.items())

    def parameters(self) -> Iterator[NDArray]:
        """Gains and biases that were solved, of the populations that represent a vector."""
        if self._program is None:
            return
        for ensemble, built in self._program.representations.items():
            if _represents(ensemble) and not ensemble.is_direct and not ensemble.given_gain_bias:
                yield from (built.gain, built.bias)

    def _all(self) -> Iterator[Link]:
        reached = set()
        for connection in self.network.all_connections:
            for link in self._of(connection):
                reached.add(link.post)
                yield link
        for ensemble in self.network.all_ensembles:
            if ensemble in reached and not ensemble.is_direct and self._program is not None:
                weights = self._program.representations[ensemble].input_weights
                shape, chain = (ensemble.dimensions,), encoding(ensemble, weights)
                yield Link(ensemble, ensemble.neurons, chain, shape, None)

    def _of(self, connection: Connection) -> Iterator[Link]:
        pre, post = connection.pre_obj, connection.post_obj
        if connection.decodes and isinstance(pre, Ensemble) and self._program is not None:
            decoded = self._program.decodings[connection]
            chain = decoding(connection, decoded)
            if decoded.full is not None and isinstance(post, Ensemble):
                post = post.neurons
            yield Link(pre.neurons, post, _learned(connection, chain), pre.shape, connection)
            return
        shape, chain = output_shape(pre), connection.chain()
        if connection.function is not None:
            made = Partial(f"{connection!r}", connection.sent_shape, True)
            yield Link(pre, made, _selected(connection, shape), shape, None)
            yield Link(made, post, chain, connection.sent_shape, connection)
            return
        if isinstance(pre, Ensemble):
            chain = (*_selected(connection, shape), *chain)
        yield Link(pre, post, _learned(connection, chain), shape, connection)


def _represents(ensemble: Ensemble) -> bool:
    return ensemble.represents


def _selected(connection: Connection, shape: Shape) -> tuple[Transform, ...]:
    """The maps that take a part out of the value sent."""
    pre = connection.pre
    return flatten(pre.select(shape)) if isinstance(pre, ObjView) else ()


def _learned(connection: Connection, chain: tuple[Transform, ...]) -> tuple[Transform, ...]:
    """A chain in which weights that are learned are none of them zero: they will not stay so."""
    modified = {rule.learning_rule_type.modifies for rule in connection.learning_rules}
    if not modified - {"encoders"}:
        return chain
    return tuple(
        replace(part, matrix=np.ones_like(part.matrix)) if isinstance(part, Dense) else part
        for part in chain
    )


def end_shape(item: Item, sends: bool) -> Shape:
    """Shape of the value that a place sends, or receives."""
    if isinstance(item, Partial):
        return item.shape
    if sends:
        return item.shape_in if isinstance(item, LearningRule) else output_shape(item)
    return input_shape(item)
