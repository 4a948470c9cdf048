"""Zip archives from anywhere: members within a budget, compressed as archives of arrays are."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from spikewright._base.budget import Budget

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
