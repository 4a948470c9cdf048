"""What a reader cannot take of a finished graph: loops, branches, orders in which it computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from spikewright.errors import Refusal
from spikewright.exchange.nir.building import Building
from spikewright.exchange.nir.dialects import OTHER_DIALECT
from spikewright.exchange.nir.walks import Edge, late, order_of


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
