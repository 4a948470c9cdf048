"""A hash that tells a graph from any other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikewright._base import storage as _storage
from spikewright._base.layer_names import bare_name
from spikewright.graph import Graph, Node
from spikewright.graph import storage as graph_storage
from spikewright.graph.layers import Input, PythonCall


def fingerprint(graph: Graph) -> str:
    """A hash of everything that a graph computes with, weights included."""
    encoder, own = _storage.ManifestEncoder(), own_names(graph)
    manifest = graph_storage.described(graph, (_told_apart(node, own) for node in graph), encoder)
    manifest["outputs"] = {key: own[name] for key, name in graph.outputs.items()}
    manifest["aliases"] = {key: own.get(name, name) for key, name in graph.aliases.items()}
    digest = hashlib.sha256(json.dumps(manifest).encode())
    for name, array in encoder.arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def own_names(graph: Graph) -> dict[str, str]:
    """The names of nodes without the kinds that numbered layers are printed with."""
    return {
        node.name: bare_name(node.source) + node.name.removeprefix(node.source)
        if node.source and node.name.startswith(node.source)
        else node.name
        for node in graph
    }


def _told_apart(node: Node, own: Mapping[str, str]) -> Node:
    """A node's identity: of an input its shape, of Python code everything but its function.

    Neither that a layer is frozen nor how its name is printed says what it computes.
    """
    inputs = tuple(own[name] for name in node.inputs)
    source = bare_name(node.source)
    layer = node.layer
    node = replace(node, name=own[node.name], inputs=inputs, source=source, frozen=())
    if isinstance(layer, Input):
        return replace(node, layer=Input(layer.shape))
    if isinstance(layer, PythonCall):
        return replace(node, layer=replace(layer, function=None))
    return node
