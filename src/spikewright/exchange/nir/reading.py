"""NIR graphs as plain records, read in a process of their own: fields, edges and orders."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.budget import Budget, budget_of
from spikewright._base.files import file_at
from spikewright._base.hdf5 import look_through
from spikewright._base.optional import require
from spikewright.errors import DamagedFileError

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


class NoForm(Exception):
    """An object has no form in NIR, or a node has none here: the reason, and what would help."""

    def __init__(self, reason: str, help: str = "") -> None:
        super().__init__(reason, help)
        self.reason, self.help = reason, help


@dataclass(frozen=True, eq=False)
class NodeRecord:
    """A node as it is in a file: its name, kind and fields. Raises `DamagedFileError` for them."""

    name: str
    kind: str
    fields: Mapping[str, Any]
    metadata: Mapping[str, Any]
    place: str
    budget: Budget | None = None

    def wrong(self, what: str) -> DamagedFileError:
        """An error about this node."""
        return DamagedFileError(f"{self.place}: node {self.name!r} ({self.kind}) {what}.")

    def array(self, name: str, default: float | None = None, empty: bool = False) -> NDArray:
        """A field of finite numbers, in float64 or the file's own precision; `empty` where it may.

        Raises `DamagedFileError` for any other.
        """
        given = self.fields.get(name, default)
        if given is None:
            raise self.wrong(f"has no {name}")
        values = np.asarray(given)
        if values.size == 0 and not empty:
            raise self.wrong(f"has a {name} without values")
        if values.dtype.kind not in "fiub" or not np.all(np.isfinite(values)):
            raise self.wrong(f"has a {name} that holds no finite numbers")
        return values if values.dtype.kind == "f" else values.astype(np.float64)

    def numbers(self, name: str, default: float | None = None) -> NDArray:
        """A field of finite numbers in float64, in which what follows from them is computed."""
        return self.array(name, default).astype(np.float64)

    def same_shape(self, *names: str) -> list[NDArray]:
        """Fields of one shape, in float64."""
        arrays = [self.numbers(name) for name in names]
        if len({a.shape for a in arrays}) > 1:
            shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(names, arrays, strict=True))
            raise self.wrong(f"has fields of different shapes: {shapes}")
        return arrays

    def whole(self, name: str, count: int, default: int | None = None) -> tuple[int, ...]:
        """Whole numbers from 0, `count` of them or one for all."""
        values = self.array(name, default)
        if values.shape not in ((), (1,), (count,)) or np.any(values != np.round(values)):
            raise self.wrong(
                f"has a {name} of {self.fields.get(name)!r}, not {count} whole numbers"
            )
        if np.any(values < 0) or np.any(values > 2**31):
            raise self.wrong(f"has a {name} of {self.fields.get(name)!r}, which is out of range")
        return tuple(int(v) for v in np.broadcast_to(values.ravel(), count))

    def shape(self, name: str) -> tuple[int, ...]:
        """A shape."""
        values = np.atleast_1d(self.array(name, empty=True))
        if values.ndim != 1 or np.any(values != np.round(values)) or np.any(values < 1):
            raise self.wrong(f"has a {name} of {self.fields.get(name)!r}, which is no shape")
        found = tuple(int(v) for v in values)
        if self.budget is not None:
            self.budget.take(8 * math.prod(found), f"node {self.name!r:.80} of shape {found!s:.80}")
        return found

    def text(self, name: str) -> str | None:
        """A field that is a text, or None."""
        given = self.fields.get(name)
        return given if isinstance(given, str) else None

    def stated(self, name: str) -> Any:
        """A value of the metadata, or None."""
        return self.metadata.get(name)


@dataclass(frozen=True, eq=False)
class Flat:
    """A graph without graphs in it: records in order, edges between them, its metadata."""

    nodes: dict[str, NodeRecord] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_flat(source: Any) -> Flat:
    """The graph of a file, or of a `nir.NIRGraph`, with its subgraphs written out.

    Raises `MissingFileError`, and `DamagedFileError` for what is no NIR graph.
    """
    if hasattr(source, "to_dict"):
        return _flat(source.to_dict(), f"{type(source).__name__}", None)
    path = file_at(source)
    look_through(path, path, budget=(budget := budget_of(path)))
    with require("h5py").File(path, "r") as file:
        if "node" not in file:
            raise DamagedFileError(f"{path}: it is an HDF5 file without a NIR graph in it.")
        content = _content(file["node"])
    return _flat(content, str(path), budget)


def _content(group: Any) -> Any:
    """A group as a dict, a dataset as its value."""
    if hasattr(group, "keys"):
        return {name: _content(group[name]) for name in group}
    value = group[()]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _flat(content: Any, place: str, budget: Budget | None) -> Flat:
    record = _record("", content, place, budget)
    if record.kind != "NIRGraph":
        raise DamagedFileError(f"{place}: its root is {record.kind}, not a NIRGraph.")
    flat = Flat(metadata=record.metadata)
    _take(record, "", flat)
    return flat


def _record(name: str, content: Any, place: str, budget: Budget | None) -> NodeRecord:
    kind = content.get("type") if isinstance(content, Mapping) else None
    if not isinstance(kind, str):
        raise DamagedFileError(f"{place}: node {name!r} does not say its type.")
    metadata = content.get("metadata", {})
    fields = {k: v for k, v in content.items() if k not in ("type", "metadata")}
    stored = metadata if isinstance(metadata, Mapping) else {}
    return NodeRecord(name, kind, fields, stored, place, budget)


def _take(graph: NodeRecord, prefix: str, flat: Flat) -> None:
    """Put a graph's nodes and edges into `flat`; edges to a graph in it lead to its ends."""
    nodes = graph.fields.get("nodes")
    if not isinstance(nodes, Mapping):
        raise graph.wrong("has no nodes")
    heads: dict[str, list[str]] = {}
    tails: dict[str, list[str]] = {}
    for name, content in nodes.items():
        record = _record(f"{prefix}{name}", content, graph.place, graph.budget)
        heads[name] = tails[name] = [record.name]
        if record.kind != "NIRGraph":
            flat.nodes[record.name] = record
            continue
        before = set(flat.nodes)
        _take(record, f"{record.name}.", flat)
        inner = [n for n in flat.nodes if n not in before]
        heads[name] = [n for n in inner if flat.nodes[n].kind == "Input"]
        tails[name] = [n for n in inner if flat.nodes[n].kind == "Output"]
    seen = set()
    for pre, post in _edges(graph):
        if (pre, post) in seen:
            raise graph.wrong(f"has the edge from {pre!r} to {post!r} twice")
        seen.add((pre, post))
        flat.edges.extend(_between(graph, prefix, (pre, post), (tails, heads), flat))


def _between(
    graph: NodeRecord, prefix: str, edge: Edge, ends: tuple[dict, dict], flat: Flat
) -> Iterator[Edge]:
    """An edge between the nodes that its ends stand for."""
    found: list[str] = []
    for name, known in zip(edge, ends, strict=True):
        places = known.get(name) or ([f"{prefix}{name}"] if f"{prefix}{name}" in flat.nodes else [])
        if len(places) != 1:
            what = "several ends" if places else "no such end"
            raise graph.wrong(
                f"has an edge from {edge[0]!r} to {edge[1]!r}, and {name!r} is {what}"
            )
        found += places
    yield found[0], found[1]


def _edges(graph: NodeRecord) -> Sequence[Edge]:
    given = graph.fields.get("edges")
    try:
        return [(_text(a), _text(b)) for a, b in (() if given is None else given)]
    except (TypeError, ValueError):
        raise graph.wrong(f"has edges that are no pairs of names: {given!r:.80}") from None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if not isinstance(value, str):
        raise TypeError(value)
    return value
