"""A NIR graph laid flat: nodes of subgraphs among the others, in an order in which they compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from spikewright.errors import NetworkError
from spikewright.exchange.nir.walks import walked

SPIKING = frozenset({"IF", "LIF", "CubaLIF"})
STATEFUL = SPIKING | {"I", "LI", "CubaLI"}


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
    """The wiring of a graph with one input and one output; raises `NetworkError` for another."""
    nodes, edges = _flat(graph, "")
    ends = [[n for n, node in nodes.items() if kind(node) == end] for end in ("Input", "Output")]
    for what, names in zip(("input", "output"), ends, strict=True):
        if len(names) != 1:
            raise NetworkError(
                f"the graph has {len(names)} {what}s ({', '.join(names)}), and readers are "
                f"compared on graphs with one. Write a file for each {what}"
            )
    sources: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        sources[target].append(source)
    (given,), (taken,) = ends
    fixed = {name: tuple(found) for name, found in sources.items()}
    return Wiring(nodes, fixed, _ordered(fixed), walked(nodes, edges, given), given, taken)


def _flat(graph: Any, prefix: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges of a graph; a subgraph's ends stay as nodes that pass values on."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    heads: dict[str, str] = {}
    tails: dict[str, str] = {}
    for name, node in graph.nodes.items():
        full = f"{prefix}{name}"
        if kind(node) != "NIRGraph":
            nodes[full] = node
            continue
        inner, wires = _flat(node, f"{full}.")
        for part, end in (("Input", heads), ("Output", tails)):
            (found,) = [n for n, m in inner.items() if kind(m) == part and _own(n, full)]
            inner[found] = None
            end[full] = found
        nodes.update(inner)
        edges += wires
    edges += [
        (tails.get(a := f"{prefix}{s}", a), heads.get(b := f"{prefix}{t}", b))
        for s, t in graph.edges
    ]
    return nodes, edges


def _own(name: str, full: str) -> bool:
    return "." not in name.removeprefix(f"{full}.")


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
