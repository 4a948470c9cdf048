"""A NIR graph laid flat: nodes of subgraphs among the others, in an order in which they compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from spikewright.errors import NetworkError
from spikewright.exchange.nir.reading import read_flat
from spikewright.exchange.nir.walks import SPIKING, STATEFUL, walked


@dataclass(frozen=True)
class Wiring:
    """Nodes by name, the sources of each, and an order: behind its sources, but around a loop.

    `walk` is another order: from the input along the edges, each branch to its end.
    """

    nodes: dict[str, Any]
    sources: dict[str, tuple[str, ...]]
    order: tuple[str, ...]
    walk: tuple[str, ...]
    input: str
    output: str

    @property
    def neurons(self) -> tuple[str, ...]:
        """The nodes that hold a state, in their order."""
        return tuple(name for name in self.order if kind(self.nodes[name]) in STATEFUL)

    @property
    def spiking(self) -> tuple[str, ...]:
        """The nodes that send spikes, in their order."""
        return tuple(name for name in self.order if kind(self.nodes[name]) in SPIKING)

    def as_walked(self) -> Wiring:
        """The graph in the order of the walk."""
        return replace(self, order=self.walk)

    def without_late_ones(self) -> Wiring:
        """The graph without the edges from nodes that come later in its order."""
        return self._keeping(lambda forward, loops: forward)

    def as_chain(self) -> Wiring:
        """The graph with one edge to a node, from its last source, and the loops."""
        return self._keeping(lambda forward, loops: (*forward[-1:], *loops))

    def through_loops(self) -> Wiring:
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

    def _keeping(self, kept: Callable[..., tuple[str, ...]]) -> Wiring:
        """The graph with some of each node's sources: those before it in order, and the others."""
        place = {name: i for i, name in enumerate(self.order)}
        sources = {}
        for name, found in self.sources.items():
            ordered = sorted(found, key=lambda source: place[source])
            forward = tuple(s for s in ordered if place[s] < place[name])
            sources[name] = kept(forward, tuple(ordered[len(forward) :]))
        return replace(self, sources=sources)


def kind(node: Any) -> str:
    """The primitive that a node is."""
    return type(node).__name__


def wiring_of(graph: Any) -> Wiring:
    """The wiring of a graph with one input and one output.

    Raises `NetworkError` for another one, and `DamagedFileError` for edges that fit no nodes.
    """
    ends = [
        [name for name, node in graph.nodes.items() if kind(node) == end]
        for end in ("Input", "Output")
    ]
    for what, names in zip(("input", "output"), ends, strict=True):
        if len(names) != 1:
            raise NetworkError(
                f"the graph has {len(names)} {what}s ({', '.join(names)}), and readers are "
                f"compared on graphs with one. Write a file for each {what}"
            )
    flat = read_flat(graph)
    sources: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for source, target in flat.edges:
        sources[target].append(source)
    (given,), (taken,) = ends
    fixed = {name: tuple(found) for name, found in sources.items()}
    nodes, walk = dict(_nodes(graph, "")), walked(flat.nodes, flat.edges, given)
    return Wiring(nodes, fixed, _ordered(fixed), walk, given, taken)


def _nodes(graph: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """The nodes of a graph and of those in it, under the names that `read_flat` gives them."""
    for name, node in graph.nodes.items():
        if kind(node) == "NIRGraph":
            yield from _nodes(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", node


def _ordered(sources: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
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
