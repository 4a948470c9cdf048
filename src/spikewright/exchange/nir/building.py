"""A graph of NIR as it is made, and what a reader cannot take of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import Refusal
from spikewright.exchange.nir.dialects import OTHER_DIALECT, Dialect
from spikewright.exchange.nir.forms import Form
from spikewright.exchange.nir.maps import Map
from spikewright.exchange.nir.refusal import NoForm
from spikewright.exchange.nir.walks import Edge, late, order_of


@dataclass
class Building:
    """The nodes and edges so far, and the names of nodes whose weights were rounded."""

    dialect: Dialect
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    rounded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nir = require("nir")

    def add(self, name: str, node: Any, sources: Iterable[str]) -> str:
        """A node under a name of its own.

        Files list nodes in the order of their names, and some readers need that of the graph.
        """
        kind = type(node).__name__
        if kind in self.dialect.lacks:
            raise NoForm(
                f"{self.dialect.name} reads no {kind} as NIR says it",
                OTHER_DIALECT,
            )
        name = re.sub(r"[^0-9A-Za-z_]", "_", name)
        if not isinstance(node, self.nir.Input | self.nir.Output):
            name = f"n{len(self.nodes):04}_{name}"
        if name in self.nodes:
            name = f"{name}_{len(self.nodes)}"
        self.nodes[name] = node
        self.lead(sources, name)
        return name

    def lead(self, sources: Iterable[str], name: str) -> None:
        """Edges to a node."""
        self.edges += [(source, name) for source in sources]

    def sent(self, name: str, form: Form) -> tuple[str, ...]:
        """The nodes that send a form: one with its weights and bias, where it needs one."""
        if form.map is None:
            return form.names
        return (self.affine(name, form.map, form.bias, form.names),)

    def affine(self, name: str, map: Map, bias: NDArray, sources: Iterable[str]) -> str:
        """A node with weights and a bias."""
        weight, offset = single(map.kernel), single(bias)
        if not map.size:
            node = self.nir.Affine(weight=weight, bias=offset)
        else:
            kind = self.nir.Conv2d if len(map.size) == 2 else self.nir.Conv1d
            pads = tuple(before for before, _ in map.padding)
            shape, stride, padding, dilation = (
                values if len(values) > 1 else values[0]
                for values in (map.shape[1:], map.stride, pads, map.dilation)
            )
            node = kind(shape, weight, stride, padding, dilation, 1, offset)
        added = self.add(name, node, sources)
        if not (_holds(weight, map.kernel) and _holds(offset, bias)):
            self.rounded.append(added)
        return added


def single(values: NDArray) -> NDArray:
    """An array in single precision, as readers compute."""
    return values.astype(np.float32)


def _holds(made: NDArray, values: NDArray) -> bool:
    """True for an array of the same values but for the rounding of doubles on the way."""
    return np.allclose(made, values, rtol=1e-14, atol=0.0)


def limits_of(made: Building, edges: Sequence[Edge], closing: Collection[Edge]) -> list[Refusal]:
    """The refusals of a graph whose `edges` are in the order of the file.

    `closing` are the edges that wait one step.
    """
    found = [*_loops(made, closing)]
    if made.dialect.chain:
        found += _branches(made)
    if made.dialect.walks:
        found += _walk(made, edges, closing)
    return found


def _kinds(made: Building) -> dict[str, str]:
    return {name: type(node).__name__ for name, node in made.nodes.items()}


def _loops(made: Building, closing: Collection[Edge]) -> Iterator[Refusal]:
    """Loops that a reader would cut elsewhere, so that another edge waits."""
    kinds = _kinds(made)
    _, back = order_of(kinds, made.edges)
    wrong = {post for _, post in back ^ set(closing) if kinds[post] != "Delay"}
    for name in sorted(wrong):
        yield Refusal(
            made.nodes[name].metadata.get("layer", name),
            kinds[name],
            "it is part of a loop that waits at another place than where readers cut it",
            "Let every loop wait where it leads back to its first neurons",
        )


def _branches(made: Building) -> Iterator[Refusal]:
    """What a reader of chains would leave out."""
    ends = Counter(end for edge in made.edges for end in enumerate(edge))
    several = sorted({name for (_, name), count in ends.items() if count > 1})
    why = f"{made.dialect.name} reads chains, and it has several edges on one side"
    for name in several:
        yield Refusal(name, _kinds(made)[name], why, OTHER_DIALECT)


def _walk(made: Building, edges: Sequence[Edge], closing: Collection[Edge]) -> Iterator[Refusal]:
    """Edges that a reader which walks the graph would read too late, or drop."""
    nodes, dialect = made.nodes, made.dialect
    first = next(n for n, node in nodes.items() if isinstance(node, made.nir.Input))
    for edge in late(nodes, edges, first):
        if edge not in closing:
            why = f"it joins another branch, and {dialect.name} computes that one before it"
            advice = "Give the layers that meet one scale, so that the edge needs no weights"
        elif not dialect.loops:
            why = f"it closes a loop, and {dialect.name} drops such edges"
            advice = OTHER_DIALECT
        else:
            continue
        yield Refusal(edge[0], type(nodes[edge[0]]).__name__, why, advice)
