"""Large files whose arrays stay in the file: memory holds of them what is being read.

A process reads such arrays as any others. The pages of memory that it read are given back once an
engine has weights in its own form, and come from the file again where they are wanted once more.
"""

from __future__ import annotations

import mmap
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from spikewright._base.files import format_path
from spikewright.errors import DamagedFileError

LARGE = 64 * 2**20
"""Bytes from which on a file is mapped; smaller ones are read, and closed."""

_DROPS = hasattr(mmap, "MADV_DONTNEED")  # systems without it lock files that are mapped


class MappedFile(mmap.mmap):
    """The bytes of a file, as memory that nobody can write to."""

    _path: Path
    _file: int
    _written: tuple[int, int]

    @classmethod
    def of(cls, path: Path) -> MappedFile:
        """That of a file; one that replaces it later is another file, and changes nothing."""
        file = os.open(path, os.O_RDONLY)
        try:
            found = cls(file, 0, access=mmap.ACCESS_READ)
        except BaseException:
            os.close(file)
            raise
        weakref.finalize(found, os.close, file)
        found._path, found._file = path, file
        found._written = found._last_written()
        return found

    def _last_written(self) -> tuple[int, int]:
        """The size of the file, and when it was last written to."""
        status = os.fstat(self._file)
        return status.st_size, status.st_mtime_ns

    def give_back(self) -> None:
        """Give back the memory of what was read so far; raises as `give_back`."""
        if self._last_written() != self._written:
            raise DamagedFileError(
                f"{format_path(self._path)}: was written to while its arrays were in use, so that "
                "they may hold other numbers. Load it again"
            )
        self.madvise(mmap.MADV_DONTNEED)


def content_of(path: Path) -> bytes | MappedFile:
    """The bytes of a file, which nobody can write to."""
    mapped = _DROPS and path.stat().st_size >= LARGE
    return MappedFile.of(path) if mapped else path.read_bytes()


def give_back(*arrays: Any) -> None:
    """Give back the memory of arrays that lie in files, a file once; others stay as they are.

    Raises `DamagedFileError` where a file was written to since it was opened.
    """
    files = {id(file): file for file in map(_file_of, arrays) if file is not None}
    for file in files.values():
        file.give_back()


def _file_of(array: Any) -> MappedFile | None:
    """The file that an array lies in, if there is one."""
    while isinstance(array, np.ndarray):
        array = array.base
    file = array.obj if isinstance(array, memoryview) else None
    return file if isinstance(file, MappedFile) else None
