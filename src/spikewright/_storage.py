"""Files are data: a JSON manifest and named arrays in one safetensors file, never pickle.

The manifest is the file's metadata entry `spikewright`. Only classes that a registry names can be
rebuilt, from plain fields, so loading runs no code from the file. Writing goes to a temporary file
beside the target that replaces it at the end: nothing half-written is ever left behind.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import DamagedFileError

FORMAT = 1


class Encoder:
    """Turns registered dataclasses into plain data, collecting their arrays aside."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray] = {}

    def encode(self, value: Any) -> Any:
        """Plain data for `value`: arrays become references, dataclasses `{"type": ..., fields}`."""
        if isinstance(value, np.ndarray):
            if value.dtype == object:
                raise TypeError("an array of Python objects cannot be saved")
            name = f"a{len(self.arrays)}"
            self.arrays[name] = np.ascontiguousarray(value).reshape(value.shape)
            return {"array": name}
        if isinstance(value, np.generic):
            return value.item()
        if is_dataclass(value) and not isinstance(value, type):
            entries = {f.name: self.encode(getattr(value, f.name)) for f in fields(value) if f.init}
            return {"type": type(value).__name__, **entries}
        if isinstance(value, tuple | list):
            return [self.encode(item) for item in value]
        if isinstance(value, Mapping):
            return {"map": {str(key): self.encode(item) for key, item in value.items()}}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"a {type(value).__name__} cannot be saved: {value!r}")


class Decoder:
    """Rebuilds what `Encoder` wrote, from the classes of `registry` alone."""

    def __init__(self, arrays: Mapping[str, NDArray], registry: Mapping[str, type]) -> None:
        self._arrays = arrays
        self._registry = registry

    def decode(self, value: Any) -> Any:
        """The object that `value` describes; lists come back as tuples."""
        if isinstance(value, list):
            return tuple(self.decode(item) for item in value)
        if not isinstance(value, dict):
            return value
        if "array" in value:
            return self._arrays[value["array"]]
        if "map" in value:
            return {key: self.decode(item) for key, item in value["map"].items()}
        entries = dict(value)
        kind = entries.pop("type")
        return self._registry[kind](**{key: self.decode(item) for key, item in entries.items()})


def write(path: str | Path, what: str, manifest: Any, arrays: Mapping[str, NDArray]) -> None:
    """Write atomically; `what` ("graph", "network", ...) is checked when the file is read."""
    from safetensors.numpy import save

    document = {"format": FORMAT, "what": what, "content": manifest}
    text = json.dumps(document, allow_nan=True)
    replace_file(path, save(dict(arrays), metadata={"spikewright": text}))


def replace_file(path: str | Path, content: bytes) -> None:
    """Put `content` at `path` in one step, or leave what was there."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(path: str | Path, what: str) -> tuple[Any, dict[str, NDArray]]:
    """Read `(manifest, arrays)`.

    Raises `FileNotFoundError`, or `DamagedFileError` naming what is wrong with the file.
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such file")
    try:
        with safe_open(source, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise DamagedFileError(
            f"{source}: not a readable Spikewright file ({error}). Save it again."
        ) from error
    try:
        document = json.loads(metadata["spikewright"])
        found, version = document["what"], document["format"]
        content = document["content"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{source}: a safetensors file without Spikewright's manifest.") from error
    if version != FORMAT:
        raise DamagedFileError(
            f"{source}: written in format {version!r}, this version reads format {FORMAT}."
        )
    if found != what:
        raise DamagedFileError(f"{source}: holds a {found!r}, a {what!r} was expected.")
    return content, arrays
