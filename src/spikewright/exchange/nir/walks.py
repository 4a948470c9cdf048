"""Orders in which nodes compute: each behind its sources, or in that of a walk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Edge = tuple[str, str]

SPIKING = frozenset({"IF", "LIF", "CubaLIF"})
STATEFUL = SPIKING | {"I", "LI", "CubaLI"}
"""The primitives that hold a state, apart from delays."""


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


def order_of(kinds: Mapping[str, str], edges: Iterable[Edge]) -> tuple[list[str], set[Edge]]:
    """Nodes by name, each behind those that it reads, and the edges that are left to close loops.

    `kinds` are the primitives of the nodes. A loop is cut before a delay of it, else before
    neurons: those that something outside leads to. Raises `LookupError` where a loop has neither.
    """
    before: dict[str, set[str]] = {name: set() for name in kinds}
    for pre, post in edges:
        before[post].add(pre)
    order: dict[str, None] = {}
    back: set[Edge] = set()
    while len(order) < len(before):
        ready = [n for n in before if n not in order and before[n] <= order.keys()]
        if not ready:
            cut = _cut(kinds, before, order)
            back |= {(pre, cut) for pre in before[cut] - order.keys()}
            ready = [cut]
        order.update(dict.fromkeys(ready))
    return list(order), back


def _cut(kinds: Mapping[str, str], before: dict[str, set[str]], order: dict[str, None]) -> str:
    """The node before which a loop is cut; raises `LookupError` where nothing has a state."""
    left = [name for name in before if name not in order]
    for wanted in ({"Delay"}, STATEFUL):
        found = [name for name in left if kinds[name] in wanted]
        led = [name for name in found if before[name] & order.keys()]
        if led or found:
            return (led or found)[0]
    raise LookupError(left[0])
