"""A conversion as bytes, and its fingerprint."""

from __future__ import annotations

import hashlib
import json

from spikewright._base import storage as _storage
from spikewright.evaluation.data import Shard, add_array
from spikewright.running.converted import Converted
from spikewright.running.storage import WHAT, as_data

_HISTORY = ("trace", "arguments")
"""The history of a conversion; it does not affect what the conversion computes."""


def packed(conversion: Converted) -> tuple[bytes, str]:
    """The bytes of the file that holds a conversion, and the fingerprint of its computation.

    Raises `NetworkError` naming the part that a file cannot hold.
    """
    manifest, arrays = as_data(conversion)
    told = {name: part for name, part in manifest.items() if name not in _HISTORY}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name in sorted(arrays):
        add_array(digest, name, arrays[name])
    return _storage.packed(WHAT, manifest, arrays), digest.hexdigest()


def shard_key(shard: Shard, evaluation: str) -> str:
    """The key of a shard's result, from its data and the key of the evaluation."""
    return hashlib.sha256(f"{evaluation} {shard.index} {shard.digest}".encode()).hexdigest()
