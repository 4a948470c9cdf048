"""HDF5 files looked through in a process of their own, with limits of time and memory.

A damaged file can make HDF5 loop for ever, past any interruption, crash, or ask for memory without
end. A process of its own can be ended. A file that it could read whole can be read afterwards.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikewright._base.optional import require
from spikewright.errors import DamagedFileError

SECONDS = 20.0
"""The time limit for looking through a small file."""

BYTES_PER_SECOND = 5_000_000
"""The additional time for a large one."""

_EXPANSION = 100
_SMALL = 1 << 26
_DEEPEST = 64


@dataclass(frozen=True)
class Contents:
    """The contents of an HDF5 file: its root's text attributes, and the number of values."""

    attributes: dict[str, str]
    numbers: int


def look_through(path: Path, place: Path, attributes: Sequence[str] = ()) -> Contents:
    """Read everything in an HDF5 file once; returns the root's text `attributes` that are there.

    `place` is the file that an error names, of which this one may be a part. Raises
    `DamagedFileError` where it cannot be read, or not within its time.
    """
    require("h5py")
    limit = SECONDS + path.stat().st_size / BYTES_PER_SECOND
    command = [sys.executable, "-P", "-m", __name__, str(path), *attributes]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=limit, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise DamagedFileError(
            f"{place}: reading it did not end within {limit:.0f} s, so it is damaged. Copy or save "
            "it again."
        ) from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        why = last or f"its reader ended with code {done.returncode}"
        raise DamagedFileError(f"{place}: not a readable HDF5 file ({why}). Save it again.")
    found = json.loads(done.stdout)
    return Contents(found["attributes"], found["numbers"])


def main(path: str, *attributes: str) -> None:
    """Print the result of `look_through`, in the process that it starts."""
    _limit_memory(_SMALL + _EXPANSION * Path(path).stat().st_size)
    with require("h5py").File(path, "r") as file:
        numbers = _read(file, _SMALL + _EXPANSION * Path(path).stat().st_size, 0)
        found = {name: file.attrs[name] for name in attributes if name in file.attrs}
    texts = {name: v.decode() if isinstance(v, bytes) else str(v) for name, v in found.items()}
    sys.stdout.write(json.dumps({"attributes": texts, "numbers": numbers}))


def _read(group: Any, most: int, depth: int) -> int:
    """Read a group and its members; returns the number of values in its datasets."""
    if depth > _DEEPEST:
        raise ValueError(f"groups lie more than {_DEEPEST} deep in each other")
    numbers = 0
    _read_attributes(group)
    if "no such name" in group:
        raise ValueError("it holds objects that it does not list")
    for name in group:
        if type(group.get(name, getlink=True)).__name__ != "HardLink":
            raise ValueError(f"{name!r} lies elsewhere, not in this file")
        item = group[name]
        numbers += _read(item, most, depth + 1) if hasattr(item, "keys") else _values(item, most)
    return numbers


def _values(item: Any, most: int) -> int:
    """Read a dataset of this file; returns how many numbers it holds."""
    _read_attributes(item)
    if item.external or item.is_virtual:
        raise ValueError(f"the values of {item.name} lie elsewhere, not in this file")
    if item.shape is None or math.prod(item.shape) * item.dtype.itemsize > most:
        raise ValueError(f"{item.name} claims {item.shape} values of {item.dtype}")
    item[()]
    return math.prod(item.shape)


def _read_attributes(item: Any) -> None:
    for name in item.attrs:
        item.attrs[name]


def _limit_memory(data: int) -> None:
    """Limit memory to the file's largest contents and the needs of Python and HDF5, if known."""
    try:
        import resource
    except ImportError:
        return  # not on this system
    resource.setrlimit(resource.RLIMIT_AS, (2 * data + (2 << 30),) * 2)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
