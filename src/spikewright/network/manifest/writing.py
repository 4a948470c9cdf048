"""A network's objects as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikewright._base import storage as _storage
from spikewright._base.arguments import is_whole
from spikewright.errors import NetworkError
from spikewright.network.connection import Connection, End
from spikewright.network.ensemble import Ensemble
from spikewright.network.learning import LearningRule
from spikewright.network.manifest.registries import (
    DRAWN,
    OUTPUTS,
    PLAIN,
    RANDOM,
    RULES,
    TYPES,
    Object,
    check,
    rules_to_data,
)
from spikewright.network.network import Network
from spikewright.network.node import Node
from spikewright.network.pointwise import POINTWISE
from spikewright.network.probe import Probe
from spikewright.network.solvers import SOLVERS
from spikewright.network.synapses import SYNAPSES
from spikewright.network.transforms import TRANSFORMS
from spikewright.network.view import NeuronsView, ObjView


class ManifestWriter:
    """Plain data for the objects of one network."""

    def __init__(self, objects: Sequence[Object], encoder: _storage.ManifestEncoder) -> None:
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
            **({} if network.dt is None else {"dt": float(network.dt)}),
            "nodes": [self._node(node) for node in network.nodes],
            "ensembles": [self._ensemble(ensemble) for ensemble in network.ensembles],
            "connections": [self._connection(connection) for connection in network.connections],
            "probes": [self._probe(probe) for probe in network.probes],
            "networks": [self.network(inner) for inner in network.networks],
        }

    def _node(self, node: Node) -> dict[str, Any]:
        return {
            "label": _label(node),
            "shape": list(node.shape_in),
            "shape_out": list(node.shape_out),
            "output": self._typed(node.output, OUTPUTS, node),
            "restart_every": node.restart_every,
            "at_once": node.at_once,
        }

    def _ensemble(self, ensemble: Ensemble) -> dict[str, Any]:
        return {
            "label": _label(ensemble),
            "shape": list(ensemble.shape),
            "dimensions": ensemble.dimensions or None,
            "seed": ensemble.seed,
            "restart_every": ensemble.restart_every,
            "neuron_type": self._typed(ensemble.neuron_type, TYPES, ensemble),
            "initial_voltage": self._typed(ensemble.initial_voltage, RANDOM, ensemble),
            "initial_state": {
                name: self._typed(value, RANDOM, ensemble)
                for name, value in ensemble.initial_state.items()
            },
            **{name: self._typed(getattr(ensemble, name), RANDOM, ensemble) for name in DRAWN},
            **{name: getattr(ensemble, name) for name in PLAIN},
        }

    def _connection(self, connection: Connection) -> dict[str, Any]:
        return {
            "label": _label(connection),
            "pre": self._end(connection.pre, connection),
            "post": self._end(connection.post, connection),
            "synapse": self._typed(connection.synapse, SYNAPSES, connection),
            "delay": self._typed(connection.delay, SYNAPSES, connection),
            "transform": self._typed(connection.transform, TRANSFORMS, connection),
            "function": self._typed(connection.function, POINTWISE, connection),
            "solver": self._typed(connection.solver, SOLVERS, connection),
            "eval_points": self._typed(connection.eval_points, RANDOM, connection),
            "scale_eval_points": connection.scale_eval_points,
            "seed": connection.seed,
            **rules_to_data(connection, lambda value: self._typed(value, RULES, connection)),
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
        if isinstance(end, LearningRule):
            return {"rule_of": self._end(end.connection, owner)["object"], "rule": end.key}
        item = end.ensemble if isinstance(end, NeuronsView) else end
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

    def _typed(self, value: Any, registry: Mapping[str, type], owner: Object) -> Any:
        """Arrays, ranges, words and None as they are; others by the registry that they are in.

        Their fields are checked as they will be at loading.
        """
        try:
            if not isinstance(value, np.ndarray | tuple | str | float | None):
                check(value, registry)
            return self._encoder.encode(value)
        except TypeError as error:
            raise NetworkError(f"{owner!r} cannot be saved: {error}") from error


def _label(item: Network | Object) -> str | None:
    if item.label is not None and not isinstance(item.label, str):
        raise NetworkError(f"{item!r}: a label must be text to be saved, got {item.label!r}")
    return item.label
