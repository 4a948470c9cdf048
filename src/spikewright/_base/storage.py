"""Files are data: a JSON manifest and named arrays in one safetensors file, never pickle.

The manifest is the file's metadata entry `spikewright`; `codec.py` makes values of it, and it of
values. A checksum over manifest and arrays finds damage that would otherwise read as other numbers.
Files are written in one step.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.budget import Budget, budget_of
from spikewright._base.files import FileKind, begins_with, file_at, file_kind, write_file
from spikewright._base.mapped import MappedFile, content_of, give_back
from spikewright.errors import DamagedFileError, FileError

FORMAT = 1
_DTYPES = {
    **{f"F{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
    **{f"I{8 * size}": np.dtype(f"i{size}") for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": np.dtype(f"u{size}") for size in (1, 2, 4, 8)},
    "BOOL": np.dtype(bool),
}
_NAMES = {kind: name for name, kind in _DTYPES.items()}
_LOADERS = {
    "conversion": " Read it with spikewright.load.",
    "network": " Read it with spikewright.network.load.",
    "graph": " Read it with spikewright.graph.load.",
}


def _saved(what: str, name: str) -> FileKind:
    """The kind of files that hold `what`: their manifest, which comes first, says so."""
    entry = rb'.{8}\{"__metadata__":\{"spikewright":"\{\\"format\\": \d+, \\"what\\": \\"'
    return file_kind(name, begins_with(entry + what.encode() + rb'\\"'))


SAVED = MappingProxyType(
    {
        what: _saved(what, name)
        for what, name in {
            "conversion": "a saved conversion",
            "network": "a saved network",
            "graph": "a saved graph",
            "statistics": "statistics for calibration",
            "training": "the checkpoint of a training",
            "evaluation shard": "a part of an evaluation",
            "decoders": "stored decoders",
        }.items()
    }
)
"""The kind of file by what it holds."""


def storable(dtype: np.dtype) -> bool:
    """Whether arrays of this type are numbers of at most 64 bits."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def _checksum(content: Any, arrays: Mapping[str, NDArray]) -> int:
    """CRC-32 of the manifest and of every array's name, type, shape and bytes."""
    crc = zlib.crc32(json.dumps(content).encode())
    for name in sorted(arrays):
        array = arrays[name]
        crc = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), crc)
        crc = zlib.crc32(bytes_of(array), crc)
    return crc


def write(
    path: str | Path,
    what: str,
    manifest: Any,
    arrays: Mapping[str, NDArray],
    *,
    overwrite: bool = False,
) -> None:
    """Write atomically; `what`, a key of `SAVED`, is checked when the file is read.

    Raises as `write_file` does: another kind of file is replaced only with `overwrite`.
    """
    write_file(path, _parts(what, manifest, arrays), SAVED[what], overwrite=overwrite)


def packed(what: str, manifest: Any, arrays: Mapping[str, NDArray]) -> bytes:
    """The bytes of such a file."""
    return b"".join(_parts(what, manifest, arrays))


def _parts(what: str, manifest: Any, arrays: Mapping[str, NDArray]) -> list[bytes | memoryview]:
    """The bytes of a safetensors file in parts: its head, and the arrays' own memory."""
    content = json.loads(json.dumps(manifest))  # as a reader will see it: keys are text
    document = {
        "format": FORMAT,
        "what": what,
        "crc32": _checksum(content, arrays),
        "content": content,
    }
    head: dict[str, Any] = {"__metadata__": {"spikewright": json.dumps(document)}}
    parts, end = [], 0
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])):
        begin, end = end, end + array.nbytes
        offsets = [begin, end]
        head[name] = {"dtype": _NAMES[array.dtype], "shape": array.shape, "data_offsets": offsets}
        parts.append(bytes_of(array))
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # arrays begin at multiples of their items
    return [len(text).to_bytes(8, "little"), text, *parts]


def bytes_of(array: NDArray) -> memoryview:
    """The bytes of an array in C order, which is not copied where it lies so."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


class Arrays(dict[str, NDArray]):
    """The arrays of a file by name: each time that one is looked up, its budget pays for it.

    A manifest may name one array any number of times, and every object that takes it copies it.
    """

    def __init__(self, arrays: Mapping[str, NDArray], budget: Budget) -> None:
        super().__init__(arrays)
        self._budget = budget

    def __getitem__(self, name: str) -> NDArray:
        array = super().__getitem__(name)
        self._budget.take(array.nbytes, f"its array {name!r:.80}")
        return array


def read(path: str | Path, what: str) -> tuple[Any, Arrays]:
    """Read `(manifest, arrays)`.

    Raises `MissingFileError`, or `DamagedFileError` naming the fault of the file.
    """
    source = file_at(path)
    text, arrays = _open(source)
    try:
        document = json.loads(text)
        version, found, content = document["format"], document["what"], document["content"]
        intact = document.get("crc32") == _checksum(content, arrays)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedFileError(
            f"{source}: its manifest is not Spikewright's ({type(error).__name__}: {error})."
        ) from error
    if version != FORMAT:
        raise DamagedFileError(
            f"{source}: written in format {version!r}, this version reads format {FORMAT}."
        )
    if found != what:
        raise DamagedFileError(
            f"{source}: holds a {found!r}, a {what!r} was expected.{_LOADERS.get(str(found), '')}"
        )
    if not intact:
        raise DamagedFileError(
            f"{source}: its content does not match its checksum, so it was damaged after it was "
            f"written. Copy or save it again."
        )
    give_back(*arrays.values())  # the checksum has read them all
    return content, Arrays(arrays, budget_of(source))


def holds(path: str | Path, what: str) -> bool:
    """True for a file that says that it holds `what`; of any other `read` tells the fault."""
    try:
        return bool(json.loads(_open(file_at(path))[0])["what"] == what)
    except (DamagedFileError, FileError, LookupError, TypeError, ValueError, RecursionError):
        return False


def _open(source: Path) -> tuple[str, dict[str, NDArray]]:
    """The manifest's text and the arrays of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(source, framework="np") as file:
            metadata = file.metadata() or {}  # sizes and places of all arrays fit the file
        content = content_of(source)
        begin = 8 + int.from_bytes(content[:8], "little")
        head = {k: v for k, v in json.loads(content[8:begin]).items() if k != "__metadata__"}
        foreign = [entry["dtype"] for entry in head.values() if entry["dtype"] not in _DTYPES]
        if foreign:
            raise DamagedFileError(
                f"{source}: holds arrays of {foreign[0]}, which none is saved as."
            )
        arrays = {name: _array(content, begin, entry) for name, entry in head.items()}
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise DamagedFileError(
            f"{source}: not a readable Spikewright file ({error}). Save it again."
        ) from error
    if "spikewright" not in metadata:
        raise DamagedFileError(f"{source}: a safetensors file without Spikewright's manifest.")
    return metadata["spikewright"], arrays


def _array(content: bytes | MappedFile, begin: int, entry: Mapping[str, Any]) -> NDArray:
    """An array in the bytes of a file, which nobody can write to, so that all may share it."""
    kind, shape = _DTYPES[entry["dtype"]], entry["shape"]
    offset = begin + entry["data_offsets"][0]
    return np.frombuffer(content, kind, math.prod(shape), offset).reshape(shape)


def differing(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The names whose values differ, and both values of the first; empty where none does.

    Of a value by key, such as one of each layer, the first key that differs is named.
    """
    names = _apart(there, here)
    if not names:
        return ""
    first = names[0]
    one, other = there.get(first), here.get(first)
    while isinstance(one, Mapping) and isinstance(other, Mapping) and (keys := _apart(one, other)):
        first = f"{first} of {keys[0]!r}"
        one, other = one.get(keys[0]), other.get(keys[0])
    return f"{', '.join(names)} (there {first} is {one!r}, here {other!r})"


def _apart(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in {**there, **here} if there.get(name) != here.get(name))
