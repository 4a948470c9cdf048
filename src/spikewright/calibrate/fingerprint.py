"""A hash that tells a graph from any other."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from spikewright import _storage
from spikewright.graph import Graph
from spikewright.graph import storage as graph_storage


def fingerprint(graph: Graph) -> str:
    """A hash of everything in a graph, weights included."""
    encoder = _storage.Encoder()
    manifest = graph_storage.to_manifest(graph, encoder)
    digest = hashlib.sha256(json.dumps(manifest).encode())
    for name, array in encoder.arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
