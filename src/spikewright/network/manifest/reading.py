"""Plain data as a network's objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base import storage as _storage
from spikewright._base.arguments import is_whole
from spikewright._base.windows import Windows
from spikewright.network.connection import Connection
from spikewright.network.distributions import Distribution
from spikewright.network.ensemble import Ensemble
from spikewright.network.functions import NodeFunction
from spikewright.network.learning import LearningRuleType
from spikewright.network.manifest.registries import (
    DRAWN,
    OUTPUTS,
    PLAIN,
    RANDOM,
    RULES,
    TYPES,
    Object,
    check,
    in_order,
    rule_of,
    rules_from_data,
)
from spikewright.network.network import Network
from spikewright.network.neurons import NeuronType
from spikewright.network.node import Node
from spikewright.network.pointwise import POINTWISE, Pointwise
from spikewright.network.probe import Probe
from spikewright.network.processes import Process
from spikewright.network.solvers import SOLVERS, LstsqL2, Solver
from spikewright.network.synapses import SYNAPSES, Synapse
from spikewright.network.transforms import TRANSFORMS, Transform
from spikewright.network.view import ObjView


class ManifestReader:
    """Rebuilds a network; raises an error of data where the data describe none."""

    def __init__(self, arrays: Mapping[str, NDArray]) -> None:
        self._arrays = arrays
        self._objects: list[Object] = []

    def network(self, content: Any) -> tuple[Network, list[Object]]:
        nets: list[tuple[Network, Any]] = []
        root = self._tree(content, nets)
        stages: tuple[tuple[str, Callable[[Any], Object]], ...] = (
            ("nodes", self._node),
            ("ensembles", self._ensemble),
        )
        for name, make in stages:
            for net, entries in nets:
                with net:
                    self._objects += [make(entry) for entry in entries[name]]
        self._connect(nets)
        for net, entries in nets:
            with net:
                self._objects += [self._probe(entry) for entry in entries["probes"]]
        return root, self._objects

    def _connect(self, nets: list[tuple[Network, Any]]) -> None:
        """All connections; those to learning rules follow the connections that have the rules."""
        entries = [(net, entry) for net, content in nets for entry in content["connections"]]
        first = len(self._objects)
        self._objects += [None] * len(entries)  # type: ignore[list-item]
        for index in in_order([entry for _, entry in entries], first):
            net, entry = entries[index]
            with net:
                self._objects[first + index] = self._connection(entry)
        made = iter(self._objects[first:])
        for net, content in nets:
            net.connections[:] = [next(made) for _ in content["connections"]]  # type: ignore[misc]

    def _tree(self, content: Any, nets: list[tuple[Network, Any]]) -> Network:
        """The networks alone, each with its data, outer ones first."""
        net = Network(self._text(content["label"]), content["seed"])
        net.dt = content.get("dt")
        nets.append((net, content))
        for inner in content["networks"]:
            net.add(self._tree(inner, nets))
        return net

    def _node(self, entry: Any) -> Node:
        output = self._typed(entry["output"], OUTPUTS, NodeFunction, Process, np.ndarray)
        shape = _tuple(entry["shape"])
        size_in = None if isinstance(output, np.ndarray) and shape == (0,) else shape
        size_out = _tuple(entry["shape_out"]) if isinstance(output, Process) else None
        if isinstance(output, np.ndarray):
            size_out = output.shape  # a number without axes stays one
        label, restart = self._text(entry["label"]), entry.get("restart_every")
        at_once = entry.get("at_once", 1)
        return Node(output, size_in, size_out, label, restart_every=restart, at_once=at_once)

    def _ensemble(self, entry: Any) -> Ensemble:
        neuron_type = self._given(entry["neuron_type"], TYPES, NeuronType)
        return Ensemble(
            _tuple(entry["shape"]),
            entry["dimensions"],
            neuron_type=neuron_type,
            seed=entry["seed"],
            restart_every=entry.get("restart_every"),
            label=self._text(entry["label"]),
            initial_voltage=self._drawn(entry["initial_voltage"]),
            initial_state={
                name: self._drawn(value) for name, value in entry.get("initial_state", {}).items()
            },
            **{name: self._drawn(entry[name]) for name in DRAWN if name in entry},
            **{name: entry[name] for name in PLAIN if name in entry},
        )

    def _drawn(self, value: Any) -> Any:
        """An array, a range, a word, None, a distribution or a process."""
        return self._typed(value, RANDOM, np.ndarray, tuple, str, Distribution, Process)

    def _connection(self, entry: Any) -> Connection:
        decoder = _storage.ManifestDecoder(self._arrays, {})
        connection = Connection(
            self._end(entry["pre"]),
            self._end(entry["post"]),
            self._typed(entry["synapse"], SYNAPSES, Synapse),
            self._typed(entry["transform"], TRANSFORMS, Transform),
            self._text(entry["label"]),
            delay=decoder.decode(entry.get("delay", 0.0)),
            learning_rule_type=rules_from_data(entry, self._rule),
            **self._decoding(entry),
        )
        learned = entry.get("learned", {}).items()
        connection.learned = {name: decoder.decode(value) for name, value in learned}
        return connection

    def _rule(self, value: Any) -> Any:
        return self._given(value, RULES, LearningRuleType)

    def _decoding(self, entry: Any) -> dict[str, Any]:
        """Options of a connection's decoding; files from before there were decoders have none."""
        if "solver" not in entry:
            return {}
        solver = self._typed(entry["solver"], SOLVERS, Solver)
        return {
            "function": self._typed(entry["function"], POINTWISE, np.ndarray, Pointwise),
            "solver": None if solver == LstsqL2() else solver,
            "eval_points": self._drawn(entry["eval_points"]),
            "scale_eval_points": entry["scale_eval_points"],
            "seed": entry["seed"],
        }

    def _probe(self, entry: Any) -> Probe:
        solver = self._typed(entry.get("solver"), SOLVERS, Solver)
        return Probe(
            self._end(entry["target"]),
            entry["attr"],
            solver=None if solver == LstsqL2() else solver,
            sample_every=entry["sample_every"],
            synapse=self._typed(entry["synapse"], SYNAPSES, Synapse),
            label=self._text(entry["label"]),
        )

    def _end(self, entry: Any) -> Any:
        if "part" in entry:
            return ObjView(self._end(entry["part"]), tuple(map(self._key, _tuple(entry["key"]))))
        if "rule_of" in entry:
            return rule_of(self._at(entry["rule_of"]), entry["rule"])
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
        return _storage.ManifestDecoder(self._arrays, {}).decode(part)

    def _typed(self, value: Any, registry: Mapping[str, type], *kinds: type) -> Any:
        """The object that a manifest describes, of one of `kinds`, or None."""
        found = _storage.ManifestDecoder(self._arrays, {**registry, "Windows": Windows}).decode(
            value
        )
        if found is not None and not isinstance(found, kinds):
            raise TypeError(f"a {type(found).__name__} is none of {[k.__name__ for k in kinds]}")
        if is_dataclass(found):
            check(found, registry)
        return found

    def _given(self, value: Any, registry: Mapping[str, type], kind: type) -> Any:
        """The object of a kind that a manifest describes; raises `TypeError` for none."""
        found = self._typed(value, registry, kind)
        if found is None:
            raise TypeError(f"a {kind.__name__} is missing")
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
