"""The objects of a network: what they wait for, the loops around them, their layout."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.reference.linear import matrix_of
from spikewright.exchange.nir.refusal import NoForm
from spikewright.network import Connection, Ensemble, NeuronsView, Node, Probe
from spikewright.network import transforms as t
from spikewright.network.synapses import Lowpass

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


Object = Ensemble | Node


def object_of(end: Any) -> Object:
    """The ensemble of neurons, or the node."""
    found: Object = getattr(end, "ensemble", end)
    return found


def recorded(probe: Probe) -> Object:
    """The object whose values a probe records; raises `NoForm` unless it records them as sent."""
    if not isinstance(probe.target, NeuronsView | Node) or probe.attr != "output":
        raise NoForm(
            f"it records {probe.attr!r} of {probe.target!r}, and an output of NIR is what a node "
            "or neurons send",
            "Probe a node or .neurons, all of them",
        )
    if probe.synapse is not None:
        raise NoForm(f"it has the synapse {probe.synapse!r}, and outputs have none", "Leave it out")
    return object_of(probe.target)


def check(connection: Connection) -> None:
    """Raise `NoForm` for what a connection has beside a linear map and a wait."""
    if connection.learning_rules:
        raise NoForm(f"{connection!r} learns, and weights of NIR are fixed", "Take the rule off")
    if connection.function is not None or isinstance(connection.pre_obj, Ensemble):
        raise NoForm(
            f"{connection!r} decodes a vector, and NIR has neurons alone", "Connect .neurons"
        )


def wait_of(connection: Connection, dt: float) -> tuple[int, float]:
    """Steps that a connection waits, and the time constant of its filter in steps, 0 for none."""
    if not isinstance(connection.delay, float):
        raise NoForm(f"{connection!r} has a delay for each of its weights", "Give one for all")
    steps = round(connection.delay / dt)
    synapse = connection.synapse
    if synapse is None:
        return steps, 0.0
    if not isinstance(synapse, Lowpass) or isinstance(synapse.tau, np.ndarray):
        raise NoForm(
            f"{connection!r} has the synapse {synapse!r}, and here NIR has only first-order "
            "filters of one time constant",
            "Use a Lowpass with one",
        )
    return steps + 1, synapse.tau / dt


def waits(connection: Connection) -> bool:
    """True where a connection delivers values of an earlier step."""
    return connection.synapse is not None or bool(np.any(connection.delay))


def delivered_constant(connection: Connection) -> NDArray:
    """A node's constant behind a connection; raises `NoForm` where it begins later."""
    if waits(connection):
        raise NoForm(
            f"{connection!r} delivers a constant that begins later, and constants of NIR are there "
            "from the first step on",
            "Connect it with synapse=None and without a delay",
        )
    value = np.asarray(object_of(connection.pre_obj).output)  # type: ignore[union-attr]
    maps, shape = connection.chain(), value.shape
    if not maps:
        return value
    flat = matrix_of(maps, shape) @ value.ravel()
    for part in maps:
        shape = part.output_shape(shape)
    return flat.reshape(shape)


def ordered(connections: Sequence[Connection], objects: Sequence[Object]) -> list[Object]:
    """All objects, each behind those that it reads through connections that close no loop."""
    place = {id(item): i for i, item in enumerate(objects)}
    before: dict[int, list[int]] = {i: [] for i in range(len(objects))}
    for connection in connections:
        ends = object_of(connection.pre_obj), object_of(connection.post_obj)
        pre, post = (place[id(end)] for end in ends)
        before[post].append(pre)
    return [objects[i] for i in graphlib.TopologicalSorter(before).static_order()]


def reachable(connections: Sequence[Connection]) -> dict[int, set[int]]:
    """The objects that each object leads to, by identity."""
    after: dict[int, set[int]] = {}
    for connection in connections:
        pre, post = object_of(connection.pre_obj), object_of(connection.post_obj)
        after.setdefault(id(pre), set()).add(id(post))
    found: dict[int, set[int]] = {}
    for start in after:
        seen, left = set(), [start]
        while left:
            for following in after.get(left.pop(), ()):
                if following not in seen:
                    seen.add(following)
                    left.append(following)
        found[start] = seen
    return found


def layout_of(connections: Sequence[Connection], item: Object) -> bool | None:
    """True where the windows over an object have channels last; None if there are none."""
    for connection in connections:
        if object_of(connection.pre_obj) is not item:
            continue
        for part in connection.chain():
            if isinstance(part, t.Convolution | t.SumPool):
                return part.channels_last
            if not isinstance(part, t.Scale):
                break
        else:
            found = (
                None
                if waits(connection)
                else layout_of(connections, object_of(connection.post_obj))
            )
            if found is not None:
                return found
    return None


def rank_of(connections: Sequence[Connection]) -> int:
    """The number of spatial axes of a graph's arrays: that of its windows, two at most."""
    parts = [part for c in connections for part in c.chain()]
    ranks = [len(p.windows.size) for p in parts if isinstance(p, t.Convolution | t.SumPool)]
    return max((rank for rank in ranks if rank <= 2), default=0)
