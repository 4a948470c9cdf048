"""Networks in files (see `spikewright._base.codec` for the format and its guarantees).

Python functions are refused: a file is data.
"""

from __future__ import annotations

import graphlib
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from spikewright._base.arguments import is_whole
from spikewright._base.codec import Format, RecordEncoder, describing
from spikewright.errors import NetworkError
from spikewright.network.connection import Connection
from spikewright.network.ensemble import Ensemble
from spikewright.network.entries import (
    REGISTRIES,
    ConnectionEntry,
    End,
    EnsembleEntry,
    NetworkEntry,
    NodeEntry,
    ObjectEnd,
    PartEnd,
    ProbeEntry,
    RuleEnd,
    RulesEntry,
    SliceEntry,
)
from spikewright.network.learning import LearningRule
from spikewright.network.network import Network, detached
from spikewright.network.node import Node
from spikewright.network.node_functions import PythonCall
from spikewright.network.pointwise import Pointwise
from spikewright.network.probe import Probe
from spikewright.network.processes import Process
from spikewright.network.solvers import LstsqL2
from spikewright.network.view import NeuronsView, ObjView

Object = Node | Ensemble | Connection | Probe
FORMAT = Format("network", NetworkEntry, REGISTRIES)
"""The kind of file that holds a network."""

E = TypeVar("E")


def save(network: Network, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the network to one file, atomically.

    An older network is replaced, any other file only with `overwrite`. Raises `NetworkError` naming
    objects that a file cannot hold, before anything is written: nodes with Python functions, types
    that no registry knows, connections to objects outside the network. Raises `ExistingFileError`
    for a file that is not replaced.
    """
    FORMAT.write(path, described(network)[0], overwrite=overwrite)


def load(path: str | Path) -> Network:
    """Read a network, which becomes part of no other until it is added there.

    Raises `MissingFileError` or `DamagedFileError`.
    """
    entry = FORMAT.read(path)
    with describing(FORMAT.kind, path):
        return rebuilt(entry)[0]


def described(network: Network) -> tuple[NetworkEntry, list[Object]]:
    """A network as a record, and its objects in order, in which `rebuilt` makes them.

    Raises `NetworkError` as `save` does.
    """
    _refuse_functions(network)
    objects: list[Object] = [
        *network.all_nodes,
        *network.all_ensembles,
        *network.all_connections,
        *network.all_probes,
    ]
    return _Describing(objects).network(network), objects


def rebuilt(entry: NetworkEntry) -> tuple[Network, list[Object]]:
    """The network of a record, and its objects in order; raises an error of data for none."""
    with detached():
        return _Rebuilding().network(entry)


def _calls_python(connection: Connection) -> bool:
    return callable(connection.function) and not isinstance(connection.function, Pointwise)


def _runs_python(node: Node) -> bool:
    return callable(node.output) or isinstance(node.output, PythonCall)


def _refuse_functions(network: Network) -> None:
    calling: list[Object] = [n for n in network.all_nodes if _runs_python(n)]
    calling += [c for c in network.all_connections if _calls_python(c)]
    if calling:
        names = ", ".join(map(repr, calling))
        raise NetworkError(
            f"{names}: Python functions cannot be saved, a file is data. Give such nodes a "
            "constant or a NodeFunction, such connections wanted values or a function of "
            "spikewright.network.pointwise, or keep them in another network and connect them "
            "after loading."
        )


class _Describing:
    """Makes records of the objects of one network."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self._index = {id(item): i for i, item in enumerate(objects)}
        if len(self._index) < len(objects):
            raise NetworkError(
                "a network is a part of this one more than once; it can be saved once"
            )

    def network(self, network: Network) -> NetworkEntry:
        none: Any = dict.fromkeys(("nodes", "ensembles", "connections", "probes", "networks"), ())
        return replace(
            _entry(NetworkEntry, network, **none),
            nodes=tuple(_entry(NodeEntry, n, shape=n.shape_in) for n in network.nodes),
            ensembles=tuple(
                _entry(EnsembleEntry, e, dimensions=e.dimensions or None) for e in network.ensembles
            ),
            connections=tuple(map(self._connection, network.connections)),
            probes=tuple(map(self._probe, network.probes)),
            networks=tuple(map(self.network, network.networks)),
        )

    def _connection(self, connection: Connection) -> ConnectionEntry:
        return _entry(
            ConnectionEntry,
            connection,
            pre=self._end(connection.pre, connection),
            post=self._end(connection.post, connection),
            learned=connection.learned or None,
            rules=_rules(connection),
        )

    def _probe(self, probe: Probe) -> ProbeEntry:
        every = None if probe.sample_every is None else float(probe.sample_every)
        target = self._end(probe.target, probe)
        return _entry(ProbeEntry, probe, target=target, sample_every=every)

    def _end(self, end: Any, owner: Object) -> End:
        if isinstance(end, ObjView):
            return PartEnd(self._end(end.target, owner), tuple(map(_key, end.key)))
        if isinstance(end, LearningRule):
            return RuleEnd(self._number(end.connection, owner), end.key)
        whole = end.ensemble if isinstance(end, NeuronsView) else end
        return ObjectEnd(self._number(whole, owner), isinstance(end, Ensemble))

    def _number(self, item: Any, owner: Object) -> int:
        if id(item) not in self._index:
            raise NetworkError(f"{owner!r}: {item!r} is not in the network that is to be saved")
        return self._index[id(item)]


def _entry(kind: type[E], item: Any, **others: Any) -> E:
    """A record of the attributes of an object that its fields name, and of others.

    Raises `NetworkError` naming the object where a file cannot hold them.
    """
    names = [f.name for f in fields(kind) if f.name not in others]  # type: ignore[arg-type]
    entry = kind(**{name: getattr(item, name) for name in names}, **others)
    try:
        RecordEncoder(REGISTRIES).record(entry)
    except TypeError as error:
        raise NetworkError(f"{item!r} cannot be saved: {error}") from error
    return entry


def _rules(connection: Connection) -> RulesEntry | None:
    given = connection.learning_rule_type
    kinds = tuple(rule.learning_rule_type for rule in connection.learning_rules)
    if isinstance(given, dict):
        return RulesEntry(names=tuple(given), kinds=kinds)
    if isinstance(given, list):
        return RulesEntry(kinds=kinds)
    return None if given is None else RulesEntry(single=kinds[0])


def _key(part: Any) -> Any:
    """A part of a key as a record has it."""
    if part is Ellipsis:
        return "..."
    if isinstance(part, slice):
        start, stop, step = (
            None if end is None else int(end) for end in (part.start, part.stop, part.step)
        )
        return SliceEntry((start, stop, step))
    return part if part is None or is_whole(part) else np.asarray(part)


class _Rebuilding:
    """Makes the objects of one network of records."""

    def __init__(self) -> None:
        self._objects: list[Any] = []

    def network(self, entry: NetworkEntry) -> tuple[Network, list[Object]]:
        nets: list[tuple[Network, NetworkEntry]] = []
        root = _tree(entry, nets)
        for net, content in nets:
            with net:
                self._objects += map(_node, content.nodes)
        for net, content in nets:
            with net:
                self._objects += map(_ensemble, content.ensembles)
        self._connect(nets)
        for net, content in nets:
            with net:
                self._objects += map(self._probe, content.probes)
        return root, self._objects

    def _connect(self, nets: list[tuple[Network, NetworkEntry]]) -> None:
        """All connections; those to learning rules follow the connections that have the rules."""
        entries = [(net, entry) for net, content in nets for entry in content.connections]
        first = len(self._objects)
        self._objects += [None] * len(entries)
        for index in _in_order([entry for _, entry in entries], first):
            net, entry = entries[index]
            with net:
                self._objects[first + index] = self._connection(entry)
        made = iter(self._objects[first:])
        for net, content in nets:
            net.connections[:] = [next(made) for _ in content.connections]

    def _connection(self, entry: ConnectionEntry) -> Connection:
        given = _given(entry)
        learned, rules = given.pop("learned") or {}, _rule_types(given.pop("rules"))
        ends = {name: self._end(given.pop(name)) for name in ("pre", "post")}
        connection = Connection(**ends, **given, learning_rule_type=rules)
        connection.learned = learned
        return connection

    def _probe(self, entry: ProbeEntry) -> Probe:
        given = _given(entry)
        return Probe(self._end(given.pop("target")), **given)

    def _end(self, entry: End) -> Any:
        if isinstance(entry, PartEnd):
            return ObjView(self._end(entry.part), tuple(map(_key_part, entry.key)))
        if isinstance(entry, RuleEnd):
            return _rule_of(self._objects[entry.rule_of], entry.rule)
        item = self._objects[entry.object]
        return item.neurons if isinstance(item, Ensemble) and not entry.vector else item


def _tree(entry: NetworkEntry, nets: list[tuple[Network, NetworkEntry]]) -> Network:
    """The networks alone, each with its record, outer ones first."""
    net = Network(entry.label, entry.seed)
    net.dt = entry.dt
    nets.append((net, entry))
    for inner in entry.networks:
        net.add(_tree(inner, nets))
    return net


def _node(entry: NodeEntry) -> Node:
    output = entry.output
    size_in = None if isinstance(output, np.ndarray) and entry.shape == (0,) else entry.shape
    size_out = entry.shape_out if isinstance(output, Process) else None
    if isinstance(output, np.ndarray):
        size_out = output.shape  # a number without axes stays one
    at_once: Any = entry.at_once
    return Node(
        output, size_in, size_out, entry.label, restart_every=entry.restart_every, at_once=at_once,
        once=entry.once,
    )  # fmt: skip


def _ensemble(entry: EnsembleEntry) -> Ensemble:
    given = _given(entry)
    return Ensemble(given.pop("shape"), **given)


def _given(entry: EnsembleEntry | ConnectionEntry | ProbeEntry) -> dict[str, Any]:
    """The fields of a record by the names of arguments, as they are given.

    The default solver stands also where nothing is decoded, and is left out.
    """
    given = dict(vars(entry))
    if given.get("solver") == LstsqL2():
        given["solver"] = None
    return given


def _rule_types(entry: RulesEntry | None) -> Any:
    """`learning_rule_type` of its record."""
    if entry is None or entry.kinds is None:
        return None if entry is None else entry.single
    if entry.names is None:
        return list(entry.kinds)
    if len(set(entry.names)) != len(entry.kinds):
        raise ValueError(f"{len(entry.kinds)} rules are named {entry.names!r}")
    return dict(zip(entry.names, entry.kinds, strict=True))


def _rule_of(connection: Any, key: Any) -> LearningRule:
    """The rule that a record names by its key; raises `LookupError` where there is none."""
    for rule in getattr(connection, "learning_rules", ()):
        if rule.key == key and type(rule.key) is type(key):
            found: LearningRule = rule
            return found
    raise LookupError(f"{connection!r} has no learning rule {key!r}")


def _key_part(part: Any) -> Any:
    if isinstance(part, SliceEntry):
        return slice(*part.slice)
    return Ellipsis if isinstance(part, str) and part == "..." else part


def _in_order(entries: Sequence[ConnectionEntry], first: int) -> list[int]:
    """An order in which every connection follows the one whose rule it leads to.

    The number of the first connection among all objects is `first`. Raises `ValueError` where there
    is no order.
    """
    before: dict[int, tuple[int, ...]] = {}
    for number, entry in enumerate(entries):
        end = entry.post
        while isinstance(end, PartEnd):
            end = end.part
        before[number] = (end.rule_of - first,) if isinstance(end, RuleEnd) else ()
    order = list(graphlib.TopologicalSorter(before).static_order())
    if len(order) > len(entries):
        raise ValueError("connections lead to learning rules of objects that are no connections")
    return order
