"""A conversion as bytes, and what tells it from another."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikewright import _storage
from spikewright.conversion.evaluation.data import Shard
from spikewright.conversion.storage import save

if TYPE_CHECKING:
    from spikewright.conversion.conversion import Conversion


def packed(conversion: Conversion) -> tuple[bytes, str]:
    """The bytes of the file that holds a conversion, and the fingerprint of what it computes.

    Raises `NetworkError` naming what a file cannot hold.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversion"
        save(conversion, path)
        manifest, arrays = _storage.read(path, "conversion")
        content = path.read_bytes()
    manifest.pop("trace")  # runs add to it, and it changes nothing
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode())
    for name in sorted(arrays):
        _add(digest, name, arrays[name])
    return content, digest.hexdigest()


def shard_key(shard: Shard, evaluation: str) -> str:
    """What tells a shard's result from every other: its data, and what the evaluation is."""
    digest = hashlib.sha256(f"{evaluation} {shard.index}".encode())
    for name in sorted(shard.x):
        values = shard.x[name]
        for part in values if isinstance(values, list) else [values]:
            _add(digest, name, part)
    for name in sorted(shard.y):
        _add(digest, f"{shard.y[name].kind} {name}", shard.y[name].values)
    return digest.hexdigest()


def _add(digest: Any, name: str, value: Any) -> None:
    array = np.ascontiguousarray(value)
    digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
    digest.update(array.reshape(-1).view(np.uint8).data)
