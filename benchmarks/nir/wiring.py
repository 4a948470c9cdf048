"""The wiring of a NIR graph: the sources of each node, and the orders in which readers compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from spikewright.errors import NetworkError
from spikewright.exchange.nir.reading import (
    SPIKING,
    STATEFUL,
    Flat,
    NodeRecord,
    read_flat,
    walked,
)


@dataclass(frozen=True)
class NirWiring:
    """Nodes by name, the sources of each, and an order: behind its sources, but around a loop.

    `walk` is another order: from the input along the edges, each branch to its end.
    """

    nodes: dict[str, NodeRecord]
    sources: dict[str, tuple[str, ...]]
    order: tuple[str, ...]
    walk: tuple[str, ...]
    input: str
    output: str

    @property
    def neurons(self) -> tuple[str, ...]:
        """The nodes that hold a state, in their order."""
        return tuple(name for name in self.order if self.nodes[name].kind in STATEFUL)

    @property
    def spiking(self) -> tuple[str, ...]:
        """The nodes that send spikes, in their order."""
        return tuple(name for name in self.order if self.nodes[name].kind in SPIKING)

    def as_walked(self) -> NirWiring:
        """The graph in the order of the walk."""
        return replace(self, order=self.walk)

    def without_late_ones(self) -> NirWiring:
        """The graph without the edges from nodes that come later in its order."""
        return self._keeping(lambda forward, loops: forward)

    def as_chain(self) -> NirWiring:
        """The graph with one edge to a node, from its last source, and the loops."""
        return self._keeping(lambda forward, loops: (*forward[-1:], *loops))

    def through_loops(self) -> NirWiring:
        """The graph with edges into neurons that read themselves led to their recurrent weights."""
        sources, order = dict(self.sources), list(self.order)
        for name in self.neurons:
            around = next((s for s in sources[name] if sources[s] == (name,)), None)
            if around is not None:
                others = tuple(source for source in sources[name] if source != around)
                sources[name], sources[around] = (around,), (*others, name)
                order.remove(around)
                order.insert(order.index(name), around)
        return replace(self, sources=sources, order=tuple(order))

    def _keeping(self, kept: Callable[..., tuple[str, ...]]) -> NirWiring:
        """The graph with some of each node's sources: those before it in order, and the others."""
        place = {name: i for i, name in enumerate(self.order)}
        sources = {}
        for name, found in self.sources.items():
            ordered = sorted(found, key=lambda source: place[source])
            forward = tuple(s for s in ordered if place[s] < place[name])
            sources[name] = kept(forward, tuple(ordered[len(forward) :]))
        return replace(self, sources=sources)


def wiring_of(source: Any) -> NirWiring:
    """The wiring of a file or a graph with one input and one output.

    Raises `NetworkError` for another one, and `DamagedFileError` for what is no graph.
    """
    flat = source if isinstance(source, Flat) else read_flat(source)
    sources: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for pre, post in flat.edges:
        sources[post].append(pre)
    inside = {"Input": {post for _, post in flat.edges}, "Output": {pre for pre, _ in flat.edges}}
    ends = []
    for kind, others in inside.items():  # graphs inside the graph have ends of their own
        names = [n for n, node in flat.nodes.items() if node.kind == kind and n not in others]
        if len(names) != 1:
            raise NetworkError(
                f"the graph has {len(names)} {kind.lower()}s ({', '.join(names)}), and readers are "
                f"compared on graphs with one. Write a file for each {kind.lower()}"
            )
        ends += names
    given, taken = ends
    fixed = {name: tuple(found) for name, found in sources.items()}
    walk = walked(flat.nodes, flat.edges, given)
    return NirWiring(flat.nodes, fixed, _in_order_of_values(fixed), walk, given, taken)


def _in_order_of_values(sources: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Nodes in the order in which values reach them; an edge back to an earlier one closes a loop.

    Readers are walked depth first from the nodes without sources, and listed when all behind them
    are: the reverse of that is an order.
    """
    readers: dict[str, list[str]] = {name: [] for name in sources}
    for name, found in sources.items():
        for source in found:
            readers[source].append(name)
    listed: dict[str, None] = {}
    entered: set[str] = set()
    for first in sorted(sources, key=lambda name: len(sources[name]) > 0):
        stack = [] if first in entered else [(first, iter(readers[first]))]
        entered.add(first)
        while stack:
            name, rest = stack[-1]
            new = next((reader for reader in rest if reader not in entered), None)
            if new is None:
                listed[stack.pop()[0]] = None
            else:
                entered.add(new)
                stack.append((new, iter(readers[new])))
    return tuple(reversed(listed))
