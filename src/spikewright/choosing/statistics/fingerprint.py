"""Hashes: one that identifies a graph, and the few samples with the smallest hashes.

These stand for all samples, the same ones whatever the order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.codec import RecordEncoder
from spikewright._base.formatting import label_to_name
from spikewright._base.storage import bytes_of
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Input, PythonCall


def fingerprint(graph: Graph) -> str:
    """A hash of everything that a graph computes with, weights included."""
    encoder, own = RecordEncoder(), own_names(graph)
    manifest = {
        "nodes": [encoder.encode(_distinguished(node, own)) for node in graph],
        "outputs": {key: own[name] for key, name in graph.outputs.items()},
        "aliases": {key: own.get(name, name) for key, name in graph.aliases.items()},
    }
    digest = hashlib.sha256(json.dumps(manifest).encode())
    for name, array in encoder.arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(bytes_of(array))
    return digest.hexdigest()


def own_names(graph: Graph) -> dict[str, str]:
    """The names of nodes without the kinds that numbered layers are printed with."""
    return {
        node.name: label_to_name(node.source) + node.name.removeprefix(node.source)
        if node.source and node.name.startswith(node.source)
        else node.name
        for node in graph
    }


def _distinguished(node: GraphNode, own: Mapping[str, str]) -> GraphNode:
    """A node's identity: of an input its shape, of Python code everything but its function.

    Neither that a layer is frozen nor how its name is printed says what it computes.
    """
    inputs = tuple(own[name] for name in node.inputs)
    source = label_to_name(node.source)
    layer = node.layer
    node = replace(node, name=own[node.name], inputs=inputs, source=source, frozen=())
    if isinstance(layer, Input):
        return replace(node, layer=Input(layer.shape))
    if isinstance(layer, PythonCall):
        return replace(node, layer=replace(layer, function=None))
    return node


KEPT = 16


@dataclass(frozen=True, eq=False)
class Examples:
    """At most `KEPT` different samples, `{input name: (samples, *shape)}`, in the order of `keys`.

    A sample's key is a hash of its values, so that the choice does not depend on the samples'
    order. Merging keeps the samples that collecting everything would have kept (a bottom-k sketch;
    Cohen & Kaplan 2007). As hashes know nothing of values they are a random choice.
    """

    keys: tuple[str, ...]
    values: Mapping[str, NDArray]

    @classmethod
    def of(
        cls, sample: Mapping[str, NDArray], without_padding: Mapping[str, NDArray] | None = None
    ) -> Examples:
        """One sample, `{input name: (1, *shape)}`.

        Its key is that of the values in `without_padding`, where these are given.
        """
        digest = hashlib.sha256()
        for name, array in (without_padding or sample).items():
            digest.update(name.encode() + np.ascontiguousarray(array, np.float64).tobytes())
        return cls((digest.hexdigest()[:32],), dict(sample))

    @classmethod
    def join(cls, parts: Iterable[Examples]) -> Examples:
        """The smallest keys of all parts, each once."""
        parts = list(parts)
        places = {key: (part, i) for part in parts for i, key in enumerate(part.keys)}
        kept = sorted(places)[:KEPT]
        values = {
            name: np.stack([part.values[name][i] for part, i in map(places.__getitem__, kept)])
            for name in parts[0].values
        }
        return cls(tuple(kept), values)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Examples)
            and self.keys == other.keys
            and all(np.array_equal(self.values[name], other.values[name]) for name in self.values)
        )

    __hash__ = None  # type: ignore[assignment]
