"""A conversion as bytes, and what tells it from another."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from spikewright import _storage
from spikewright.conversion.evaluation.data import Shard, add_array
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
        add_array(digest, name, arrays[name])
    return content, digest.hexdigest()


def shard_key(shard: Shard, evaluation: str) -> str:
    """What tells a shard's result from every other: its data, and what the evaluation is."""
    return hashlib.sha256(f"{evaluation} {shard.index} {shard.digest}".encode()).hexdigest()
