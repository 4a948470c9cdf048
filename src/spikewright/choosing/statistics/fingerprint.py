"""A hash that tells a graph from any other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np

from spikewright._base import storage as _storage
from spikewright.graph import Graph, Node
from spikewright.graph import storage as graph_storage
from spikewright.graph.layers import Input, PythonCall


def fingerprint(graph: Graph) -> str:
    """A hash of everything that a graph computes with, weights included."""
    encoder = _storage.Encoder()
    manifest = graph_storage.described(graph, map(_told_apart, graph), encoder)
    digest = hashlib.sha256(json.dumps(manifest).encode())
    for name, array in encoder.arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _told_apart(node: Node) -> Node:
    """A node's identity: of an input its shape, of Python code everything but its function.

    That a layer is frozen says nothing of what it computes.
    """
    layer, node = node.layer, replace(node, frozen=())
    if isinstance(layer, Input):
        return replace(node, layer=Input(layer.shape))
    if isinstance(layer, PythonCall):
        return replace(node, layer=replace(layer, function=None))
    return node
