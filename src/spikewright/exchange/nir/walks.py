"""The order in which readers that walk a graph compute its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Edge = tuple[str, str]


def walked(nodes: Iterable[str], edges: Sequence[Edge], first: str) -> tuple[str, ...]:
    """Nodes as a walk comes to them that follows the edges in their order; others behind those.

    Each branch is walked to its end before the next.
    """
    found: dict[str, None] = {}
    stack = [first]
    while stack:
        name = stack.pop()
        if name not in found:
            found[name] = None
            stack += [target for source, target in reversed(edges) if source == name]
    return tuple(found | dict.fromkeys(nodes))


def late(nodes: Iterable[str], edges: Sequence[Edge], first: str) -> list[Edge]:
    """The edges from nodes that the walk does not come to before those that read them."""
    place = {name: i for i, name in enumerate(walked(nodes, edges, first))}
    return [(pre, post) for pre, post in edges if place[pre] >= place[post]]
