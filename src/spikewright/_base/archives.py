"""Zip archives from anywhere: members within a budget, compressed as archives of arrays are.

Files of NumPy's arrays (`.npz`) are such archives, read without NumPy's pickles.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.lib import format as _format
from numpy.typing import NDArray

from spikewright._base.budget import Budget, budget_of
from spikewright._base.files import file_at
from spikewright.errors import DamagedFileError

UNREADABLE = (
    OSError, EOFError, LookupError, TypeError, ValueError, AttributeError, RuntimeError,
    ArithmeticError, NotImplementedError, RecursionError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""The errors from opening and reading a damaged archive, and from parsing what is in it."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_JSON = 30  # bytes in memory for each byte of JSON, at most: an empty list is two of these


class Archive:
    """A zip archive: `names` of its members, and what they hold, taken from a budget.

    Raises `ValueError` for members that are encrypted, compressed by other methods (whose sizes
    nothing bounds) or of one name, an error of `UNREADABLE` for other damage, and
    `DamagedFileError` where the budget has no room for a member.
    """

    def __init__(self, source: Path | IO[bytes], budget: Budget) -> None:
        self._budget = budget
        self._zip = zipfile.ZipFile(source)
        entries = [entry for entry in self._zip.infolist() if not entry.is_dir()]
        self._entries = {entry.filename: entry for entry in entries}
        if len(self._entries) < len(entries):
            raise ValueError("it holds two members of one name")
        for entry in entries:
            if entry.flag_bits & _ENCRYPTED:
                raise ValueError(f"its member {entry.filename!r:.80} is encrypted")
            if entry.compress_type not in _METHODS:
                raise ValueError(f"its member {entry.filename!r:.80} is compressed in another way")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all members that are no folders, in order."""
        return tuple(self._entries)

    def stored(self, name: str) -> bool:
        """True for a member that is not compressed."""
        return self._entries[name].compress_type == zipfile.ZIP_STORED

    def read(self, name: str) -> bytes:
        """All bytes of a member."""
        entry = self._entries[name]
        self._budget.take(entry.file_size, f"its member {name!r:.80}")
        return self._zip.read(entry)

    def json(self, name: str) -> Any:
        """The data in a member, which takes many times its bytes; raises `ValueError` for none."""
        self._budget.take(_JSON * self._entries[name].file_size, f"the data in {name!r:.80}")
        return json.loads(self.read(name))


_MAGIC = b"\x93NUMPY"
_ENDING = ".npy"
_HEADERS = {(1, 0): _format.read_array_header_1_0, (2, 0): _format.read_array_header_2_0}


def read_npz(path: Path) -> dict[str, NDArray]:
    """The arrays of a file by name: real numbers and truth values.

    Raises `DamagedFileError` for any other file, and `OSError` where it cannot be read.
    """
    with file_at(path).open("rb") as stream:
        if stream.read(len(_MAGIC)) == _MAGIC:
            raise DamagedFileError(
                f"{path}: is no .npz file of numbers (it holds a single array). Write one with "
                f"np.savez({path.name!r:.80}, x=x)"
            )
        try:
            with Archive(stream, budget_of(path)) as archive:
                return {
                    name.removesuffix(_ENDING): _array(path, name, archive.read(name))
                    for name in archive.names
                }
        except DamagedFileError:
            raise
        except UNREADABLE as error:
            raise DamagedFileError(f"{path}: is no .npz file of numbers ({error})") from error


def _array(path: Path, name: str, content: bytes) -> NDArray:
    """The array in a member; raises `ValueError` for what is none, before anything is made."""
    if not name.endswith(_ENDING) or not content.startswith(_MAGIC):
        raise ValueError(f"its member {name!r:.80} is no array")
    stream = io.BytesIO(content)
    try:
        version = _format.read_magic(stream)
        shape, by_columns, dtype = _HEADERS[version](stream)
    except Exception as error:  # whatever the parsers of literals and types raise
        raise ValueError(f"its array {name!r:.80} has no readable header ({error})") from error
    if dtype.hasobject:
        raise ValueError(f"its array {name!r:.80} holds Python objects")
    if dtype.kind not in "biuf":
        raise DamagedFileError(
            f"{path}: {name.removesuffix(_ENDING)!r:.80} holds {dtype}, which are no real numbers. "
            "Give floats, whole numbers or truth values"
        )
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"its array {name!r:.80} has not the bytes of shape {shape}")
    order = "F" if by_columns else "C"
    values: NDArray = np.frombuffer(content, dtype, offset=stream.tell()).copy()
    return values.reshape(shape, order=order)  # type: ignore[call-overload]
