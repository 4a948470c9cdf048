"""Networks in files (see `spikewright._storage` for the format and its guarantees).

A firing-rate scale is saved as a field of its own, beside unscaled parameters. Python functions are
refused: a file is data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright import _storage
from spikewright._windows import Windows
from spikewright.errors import DamagedFileError, NetworkError
from spikewright.network.connection import Connection, End
from spikewright.network.distributions import DISTRIBUTIONS, Distribution
from spikewright.network.ensemble import Ensemble, Neurons
from spikewright.network.functions import FUNCTIONS, NodeFunction
from spikewright.network.network import Network, detached
from spikewright.network.neurons import NEURON_TYPES, Direct, NeuronType
from spikewright.network.node import Node
from spikewright.network.probe import Probe
from spikewright.network.processes import PROCESSES, Process
from spikewright.network.shapes import is_whole
from spikewright.network.solvers import SOLVERS, LstsqL2, Solver
from spikewright.network.synapses import SYNAPSES, Synapse
from spikewright.network.transforms import TRANSFORMS, Transform
from spikewright.network.view import ObjView

Object = Node | Ensemble | Connection | Probe
_NEURON_TYPES: dict[str, type] = {**NEURON_TYPES, "Direct": Direct}
_RANDOM: dict[str, type] = {**DISTRIBUTIONS, **PROCESSES, **SYNAPSES}
_OUTPUTS: dict[str, type] = {**FUNCTIONS, **_RANDOM}
_VALUES = ("gain", "bias", "rate_scale", "initial_voltage")
_DRAWN = ("max_rates", "intercepts", "encoders", "eval_points", "noise")
_PLAIN = ("radius", "n_eval_points", "normalize_encoders")
T = TypeVar("T")

_DAMAGE = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError,
    MemoryError,
)  # fmt: skip


def save(network: Network, path: str | Path) -> None:
    """Write the network to one file, atomically.

    Raises `NetworkError` naming what a file cannot hold, before anything is written: nodes with
    Python functions, types that no registry knows, connections to objects outside the network.
    """
    encoder = _storage.Encoder()
    content, _ = to_manifest(network, encoder)
    _storage.write(path, "network", content, encoder.arrays)


def load(path: str | Path) -> Network:
    """Read a network, which becomes part of no other until it is added there.

    Raises `FileNotFoundError` or `DamagedFileError`.
    """
    content, arrays = _storage.read(path, "network")
    network, _ = from_manifest(content, arrays, path)
    return network


def to_manifest(network: Network, encoder: _storage.Encoder) -> tuple[dict[str, Any], list[Object]]:
    """Plain data for a network, its arrays collected in the encoder, and its objects in order.

    `from_manifest` returns the loaded objects in the same order, so that an index stands for one.
    Raises `NetworkError` as `save` does.
    """
    _refuse_functions(network)
    objects: list[Object] = [
        *network.all_nodes,
        *network.all_ensembles,
        *network.all_connections,
        *network.all_probes,
    ]
    writer = _Writer(objects, encoder)
    return writer.network(network), objects


def from_manifest(
    content: Any, arrays: Mapping[str, NDArray], place: str | Path
) -> tuple[Network, list[Object]]:
    """The network that `to_manifest` wrote, and its objects in the same order.

    Raises `DamagedFileError` naming `place`.
    """
    try:
        with detached():
            return _Reader(arrays).network(content)
    except _DAMAGE as error:
        raise DamagedFileError(
            f"{place}: its manifest does not describe a network ({type(error).__name__}: {error})."
        ) from error


def _refuse_functions(network: Network) -> None:
    calling: list[Object] = [n for n in network.all_nodes if callable(n.output)]
    calling += [c for c in network.all_connections if callable(c.function)]
    if calling:
        names = ", ".join(map(repr, calling))
        raise NetworkError(
            f"{names}: Python functions cannot be saved, a file is data. Give such nodes a "
            "constant or a NodeFunction, or keep them in another network and connect them after "
            "loading."
        )


class _Writer:
    """Plain data for the objects of one network."""

    def __init__(self, objects: Sequence[Object], encoder: _storage.Encoder) -> None:
        self._encoder = encoder
        self._index = {id(item): i for i, item in enumerate(objects)}
        if len(self._index) < len(objects):
            raise NetworkError(
                "a network is a part of this one more than once; it can be saved once"
            )

    def network(self, network: Network) -> dict[str, Any]:
        return {
            "label": _label(network),
            "seed": network.seed,
            "nodes": [self._node(node) for node in network.nodes],
            "ensembles": [self._ensemble(ensemble) for ensemble in network.ensembles],
            "connections": [self._connection(connection) for connection in network.connections],
            "probes": [self._probe(probe) for probe in network.probes],
            "networks": [self.network(inner) for inner in network.networks],
        }

    def _node(self, node: Node) -> dict[str, Any]:
        output = node.output
        known = isinstance(output, NodeFunction | Process)
        return {
            "label": _label(node),
            "shape": list(node.shape_in),
            "shape_out": list(node.shape_out),
            "output": self._typed(output, _OUTPUTS, node) if known else self._plain(output, node),
            "restart_every": node.restart_every,
        }

    def _ensemble(self, ensemble: Ensemble) -> dict[str, Any]:
        return {
            "label": _label(ensemble),
            "shape": list(ensemble.shape),
            "dimensions": ensemble.dimensions or None,
            "seed": ensemble.seed,
            "restart_every": ensemble.restart_every,
            "neuron_type": self._typed(ensemble.neuron_type, _NEURON_TYPES, ensemble),
            **{name: self._plain(getattr(ensemble, name), ensemble) for name in _VALUES},
            **{name: self._drawn(getattr(ensemble, name), ensemble) for name in _DRAWN},
            **{name: getattr(ensemble, name) for name in _PLAIN},
        }

    def _drawn(self, value: Any, owner: Object) -> Any:
        """An array, a range or None as they are; a distribution or process by its registry."""
        if isinstance(value, Distribution | Process):
            return self._typed(value, _RANDOM, owner)
        return self._plain(value, owner)

    def _connection(self, connection: Connection) -> dict[str, Any]:
        return {
            "label": _label(connection),
            "pre": self._end(connection.pre, connection),
            "post": self._end(connection.post, connection),
            "synapse": self._typed(connection.synapse, SYNAPSES, connection),
            "transform": self._typed(connection.transform, TRANSFORMS, connection),
            "function": self._plain(connection.function, connection),
            "solver": self._typed(connection.solver, SOLVERS, connection),
            "eval_points": self._drawn(connection.eval_points, connection),
            "scale_eval_points": connection.scale_eval_points,
            "seed": connection.seed,
        }

    def _probe(self, probe: Probe) -> dict[str, Any]:
        every = probe.sample_every
        return {
            "label": _label(probe),
            "target": self._end(probe.target, probe),
            "solver": self._typed(probe.solver, SOLVERS, probe),
            "attr": probe.attr,
            "sample_every": None if every is None else float(every),
            "synapse": self._typed(probe.synapse, SYNAPSES, probe),
        }

    def _end(self, end: End | Connection, owner: Object) -> dict[str, Any]:
        if isinstance(end, ObjView):
            return {"part": self._end(end.target, owner), "key": [self._key(k) for k in end.key]}
        item = end.ensemble if isinstance(end, Neurons) else end
        if id(item) not in self._index:
            raise NetworkError(f"{owner!r}: {item!r} is not in the network that is to be saved")
        index = self._index[id(item)]
        # An ensemble alone means its neurons, as in files from before there were vectors.
        return {"object": index, "vector": True} if isinstance(end, Ensemble) else {"object": index}

    def _key(self, part: Any) -> Any:
        if part is Ellipsis:
            return "..."
        if isinstance(part, slice):
            ends = (part.start, part.stop, part.step)
            return {"slice": [None if end is None else int(end) for end in ends]}
        if part is None or is_whole(part):
            return None if part is None else int(part)
        return self._encoder.encode(np.asarray(part))

    def _plain(self, value: Any, owner: Object) -> Any:
        try:
            return self._encoder.encode(value)
        except TypeError as error:
            raise NetworkError(f"{owner!r}: {error}") from error

    def _typed(self, value: Any, registry: Mapping[str, type], owner: Object) -> Any:
        """A registered dataclass, or None, its fields checked as they will be at loading."""
        if value is not None:
            try:
                _check(value, registry)
            except TypeError as error:
                raise NetworkError(f"{owner!r} cannot be saved: {error}") from error
        return self._plain(value, owner)


def _label(item: Network | Object) -> str | None:
    if item.label is not None and not isinstance(item.label, str):
        raise NetworkError(f"{item!r}: a label must be text to be saved, got {item.label!r}")
    return item.label


def _check(value: Any, registry: Mapping[str, type]) -> None:
    """Raise `TypeError` unless a value, and all inside, are registered and of plain fields."""
    kind = type(value)
    if kind is not Windows and registry.get(kind.__name__) is not kind:
        raise TypeError(f"{kind.__name__} is not registered, so that a file could not name it")
    if not is_dataclass(value):
        raise TypeError(f"{kind.__name__} is not a dataclass, so that its fields are not known")
    _storage.check_types(value)
    for entry in fields(value):
        inner = getattr(value, entry.name)
        for item in inner if isinstance(inner, tuple) else (inner,):
            if is_dataclass(item):
                _check(item, registry)


class _Reader:
    """Rebuilds a network; raises one of `_DAMAGE` where the data describe none."""

    def __init__(self, arrays: Mapping[str, NDArray]) -> None:
        self._arrays = arrays
        self._objects: list[Object] = []

    def network(self, content: Any) -> tuple[Network, list[Object]]:
        nets: list[tuple[Network, Any]] = []
        root = self._tree(content, nets)
        stages: tuple[tuple[str, Callable[[Any], Object]], ...] = (
            ("nodes", self._node),
            ("ensembles", self._ensemble),
            ("connections", self._connection),
            ("probes", self._probe),
        )
        for name, make in stages:
            for net, entries in nets:
                with net:
                    self._objects += [make(entry) for entry in entries[name]]
        return root, self._objects

    def _tree(self, content: Any, nets: list[tuple[Network, Any]]) -> Network:
        """The networks alone, each with its data, outer ones first."""
        net = Network(self._text(content["label"]), content["seed"])
        nets.append((net, content))
        for inner in content["networks"]:
            net.add(self._tree(inner, nets))
        return net

    def _node(self, entry: Any) -> Node:
        output = self._typed(entry["output"], _OUTPUTS, NodeFunction, Process, np.ndarray)
        shape = _tuple(entry["shape"])
        size_in = None if isinstance(output, np.ndarray) and shape == (0,) else shape
        size_out = _tuple(entry["shape_out"]) if isinstance(output, Process) else None
        label, restart = self._text(entry["label"]), entry.get("restart_every")
        return Node(output, size_in, size_out, label=label, restart_every=restart)

    def _ensemble(self, entry: Any) -> Ensemble:
        decoder = _storage.Decoder(self._arrays, {})
        neuron_type = self._typed(entry["neuron_type"], _NEURON_TYPES, NeuronType)
        if neuron_type is None:
            raise TypeError("an ensemble has a neuron type")
        return Ensemble(
            _tuple(entry["shape"]),
            entry["dimensions"],
            neuron_type=neuron_type,
            seed=entry["seed"],
            restart_every=entry.get("restart_every"),
            label=self._text(entry["label"]),
            **{name: decoder.decode(entry[name]) for name in _VALUES},
            **{name: self._drawn(entry[name]) for name in _DRAWN if name in entry},
            **{name: entry[name] for name in _PLAIN if name in entry},
        )

    def _drawn(self, value: Any) -> Any:
        """An array, a range, None, a distribution or a process."""
        return self._typed(value, _RANDOM, np.ndarray, tuple, Distribution, Process)

    def _connection(self, entry: Any) -> Connection:
        return Connection(
            self._end(entry["pre"]),
            self._end(entry["post"]),
            self._typed(entry["synapse"], SYNAPSES, Synapse),
            self._typed(entry["transform"], TRANSFORMS, Transform),
            self._text(entry["label"]),
            **self._decoding(entry),
        )

    def _decoding(self, entry: Any) -> dict[str, Any]:
        """How a connection decodes; a file from before there were decoders says nothing of it."""
        if "solver" not in entry:
            return {}
        solver = self._typed(entry["solver"], SOLVERS, Solver)
        return {
            "function": self._typed(entry["function"], {}, np.ndarray),
            "solver": None if solver == LstsqL2() else solver,
            "eval_points": self._drawn(entry["eval_points"]),
            "scale_eval_points": entry["scale_eval_points"],
            "seed": entry["seed"],
        }

    def _probe(self, entry: Any) -> Probe:
        item = self._at(entry["target"]["object"])
        direct = isinstance(item, Ensemble) and not entry["target"].get("vector")
        solver = self._typed(entry.get("solver"), SOLVERS, Solver)
        return Probe(
            item.neurons if direct else item,  # type: ignore[arg-type, union-attr]
            entry["attr"],
            solver=None if solver == LstsqL2() else solver,
            sample_every=entry["sample_every"],
            synapse=self._typed(entry["synapse"], SYNAPSES, Synapse),
            label=self._text(entry["label"]),
        )

    def _end(self, entry: Any) -> Any:
        if "part" in entry:
            return ObjView(self._end(entry["part"]), tuple(map(self._key, _tuple(entry["key"]))))
        item = self._at(entry["object"])
        return item.neurons if isinstance(item, Ensemble) and not entry.get("vector") else item

    def _at(self, index: Any) -> Object:
        if not (is_whole(index) and index >= 0):
            raise TypeError(f"an object is a number, not {index!r}")
        return self._objects[index]

    def _key(self, part: Any) -> Any:
        if part == "...":
            return Ellipsis
        if isinstance(part, dict) and "slice" in part:
            return slice(*part["slice"])
        return _storage.Decoder(self._arrays, {}).decode(part)

    def _typed(self, value: Any, registry: Mapping[str, type], *kinds: type) -> Any:
        """What a manifest describes, of one of `kinds` or None."""
        found = _storage.Decoder(self._arrays, {**registry, "Windows": Windows}).decode(value)
        if found is not None and not isinstance(found, kinds):
            raise TypeError(f"a {type(found).__name__} is none of {[k.__name__ for k in kinds]}")
        if is_dataclass(found):
            _check(found, registry)
        return found

    @staticmethod
    def _text(value: Any) -> str | None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"a label is text, not {value!r}")
        return value


def _tuple(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"a list is expected, not {value!r}")
    return tuple(value)
