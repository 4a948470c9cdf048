"""A hash that tells a graph from any other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np

from spikewright import _storage
from spikewright.graph import Graph
from spikewright.graph import storage as graph_storage
from spikewright.graph.layers import Input


def fingerprint(graph: Graph) -> str:
    """A hash of everything that a graph computes with, weights included."""
    encoder = _storage.Encoder()
    nodes = tuple(
        replace(node, layer=Input(node.layer.shape)) if isinstance(node.layer, Input) else node
        for node in graph
    )
    manifest = graph_storage.to_manifest(replace(graph, nodes=nodes), encoder)
    digest = hashlib.sha256(json.dumps(manifest).encode())
    for name, array in encoder.arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
