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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikewright._base.budget import BYTES_VARIABLE, Budget, budget_of
from spikewright._base.optional import require
from spikewright.errors import DamagedFileError

SECONDS = 20.0
"""The time limit for looking through a small file."""

BYTES_PER_SECOND = 5_000_000
"""The additional time for a large one."""

_DEEPEST = 64
_SMALLEST = 32  # bytes of an object with its link, at least


@dataclass(frozen=True)
class Contents:
    """The contents of an HDF5 file: its root's text attributes, the number of values, their bytes.

    All links to a dataset count, since a reader follows all of them.
    """

    attributes: dict[str, str]
    numbers: int
    size: int


def look_through(
    path: Path, place: Path, attributes: Sequence[str] = (), budget: Budget | None = None
) -> Contents:
    """Read everything in an HDF5 file once; returns the root's text `attributes` that are there.

    `place` is the file that an error names, of which this one may be a part; `budget` is its own
    (that of `place`). Raises `DamagedFileError` where it cannot be read, or not within its time,
    and where its values take more than the budget has left.
    """
    require("h5py")
    budget = budget_of(path, place) if budget is None else budget
    limit = SECONDS + path.stat().st_size / BYTES_PER_SECOND
    command = [sys.executable, "-P", "-m", __name__, str(path.absolute()), str(budget.left)]
    command += attributes
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
    found = Contents(**json.loads(done.stdout))
    budget.take(found.size, "its arrays")
    return found


def main(path: str, most: str, *attributes: str) -> None:
    """Print the result of `look_through`, in the process that it starts: `most` bytes are left."""
    _limit_memory(int(most))
    reading = _Reading(int(most), Path(path).stat().st_size // _SMALLEST)
    with require("h5py").File(path, "r") as file:
        reading.group(file, 0)
        found = {name: file.attrs[name] for name in attributes if name in file.attrs}
    texts = {name: v.decode() if isinstance(v, bytes) else str(v) for name, v in found.items()}
    contents = asdict(Contents(texts, reading.numbers, reading.size))
    sys.stdout.write(json.dumps(contents))


class _Reading:
    """Reads groups and their members: values of at most so many bytes, so many objects at most."""

    def __init__(self, most: int, objects: int) -> None:
        self._most, self._objects = most, objects
        self.numbers = self.size = 0

    def group(self, group: Any, depth: int) -> None:
        """Read a group and its members."""
        if depth > _DEEPEST:
            raise ValueError(f"groups lie more than {_DEEPEST} deep in each other")
        _read_attributes(group)
        if "no such name" in group:
            raise ValueError("it holds objects that it does not list")
        for name in group:
            self._objects -= 1
            if self._objects < 0:
                raise ValueError("it leads to more objects than it can hold, so some hold others")
            if type(group.get(name, getlink=True)).__name__ != "HardLink":
                raise ValueError(f"{name!r:.80} lies elsewhere, not in this file")
            item = group[name]
            if hasattr(item, "keys"):
                self.group(item, depth + 1)
            else:
                self._values(item)

    def _values(self, item: Any) -> None:
        """Read a dataset of this file."""
        _read_attributes(item)
        if item.external or item.is_virtual:
            raise ValueError(f"the values of {item.name:.80} lie elsewhere, not in this file")
        if item.shape is None:
            raise ValueError(f"{item.name:.80} is a dataset without values")
        numbers = math.prod(item.shape)
        self._count(item, numbers * item.dtype.itemsize)
        values = item[()]
        self.numbers += numbers
        if item.dtype.kind == "O":  # texts of any length, which may all be the same one
            texts = [values] if numbers == 1 else values.ravel()
            self._count(item, sum(len(text) for text in texts if hasattr(text, "__len__")))

    def _count(self, item: Any, size: int) -> None:
        """Count the bytes of values that are read next, or were."""
        if self.size + size > self._most:
            raise ValueError(
                f"{item.name:.80} claims {item.shape} values of {item.dtype}, and all that reading "
                f"the file may still make is {self._most - self.size} bytes; if you trust it, set "
                f"the environment variable {BYTES_VARIABLE} to more"
            )
        self.size += size


def _read_attributes(item: Any) -> None:
    for name in item.attrs:
        item.attrs[name]


def _limit_memory(data: int) -> None:
    """Limit memory to the values of a file and the needs of Python and HDF5, if known."""
    try:
        import resource
    except ImportError:
        return  # not on this system
    wanted, allowed = 2 * data + (2 << 30), resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = wanted if allowed == resource.RLIM_INFINITY else min(wanted, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
