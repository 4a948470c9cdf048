"""A cache of solved decoders, for this process and later ones.

The key of an entry covers all that decoders depend on, the code that solves them included. Entries
are files of their own (`_base/codec.py`: arrays and plain data with a checksum, never pickle),
written in one step, so several processes may use one folder; a damaged one is dropped with a
warning. Where there are too many, the least recently used are deleted.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.codec import Format, describing
from spikewright._base.files import make_folder, path_of
from spikewright.errors import BuildError, DamagedFileError, FileError
from spikewright.network.solvers import Solution

MODE, FOLDER, SIZE = (
    "SPIKEWRIGHT_DECODER_CACHE",
    "SPIKEWRIGHT_CACHE_DIR",
    "SPIKEWRIGHT_DECODER_CACHE_MB",
)
"""Environment variables: "on", "off" or "read-only"; where caches are; how large this one gets."""

_SUFFIX = ".decoders"
_MODES = ("on", "read-only", "off")
_ABANDONED = 3600.0  # seconds after which a file that was never finished may go
_LARGEST = 0.25  # share of the limit that one entry may take
_LOOK_AGAIN = 0.05  # share of the limit written after which the folder is measured again
_MEMORY = 64 * 2**20

Choice = Literal["on", "off", "read-only"] | bool | None


@dataclass(frozen=True)
class DecodersEntry:
    """Decoders in a file, and the solver's information."""

    decoders: NDArray
    info: Any


FORMAT = Format("decoders", DecodersEntry)


@dataclass
class _Memory:
    """Entries of this process, the most recently used last."""

    limit: int
    entries: OrderedDict[str, Solution] = field(default_factory=OrderedDict)
    size: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key: str) -> Solution | None:
        with self.lock:
            if key in self.entries:
                self.entries.move_to_end(key)
            return self.entries.get(key)

    def keep(self, key: str, solution: Solution) -> None:
        with self.lock:
            if key in self.entries or solution.decoders.nbytes > _LARGEST * self.limit:
                return
            self.entries[key] = solution
            self.size += solution.decoders.nbytes
            while self.size > self.limit:
                _, gone = self.entries.popitem(last=False)
                self.size -= gone.decoders.nbytes

    def clear(self) -> None:
        with self.lock:
            self.entries.clear()
            self.size = 0


class DecoderCache:
    """Keeps decoders in memory and in files of `folder` (default: the user's cache folder).

    `size_limit` is in bytes; the least recently read entries are deleted first. With several
    processes a folder may exceed it by a twentieth of the limit for each, which a process writes
    before it looks again. `read_only` reads files and writes none. A folder that cannot be written
    is one warning, and decoders are then kept in memory alone.

    Raises `BuildError` for a limit that is not above 0.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        read_only: bool = False,
        size_limit: int = 512 * 2**20,
    ) -> None:
        if not (is_number(size_limit) and size_limit > 0):
            raise BuildError(
                f"DecoderCache: size_limit must be above 0 bytes, got {size_limit!r}; to keep "
                f"nothing, give decoder_cache=False to the Simulator or set {MODE}=off"
            )
        self.folder = default_folder() if folder is None else path_of(folder)
        self.read_only, self.size_limit = bool(read_only), int(size_limit)
        self._memory = _Memory(_MEMORY)
        self._unusable = False
        self._measured: int | None = None
        self._written = 0

    def __repr__(self) -> str:
        return f"<DecoderCache in {self.folder}{', read only' if self.read_only else ''}>"

    @property
    def size(self) -> int:
        """Bytes of all entries on disk."""
        return sum(size for _, size, _ in self._files())

    def __len__(self) -> int:
        return len(self._files())

    def __bool__(self) -> bool:
        return True

    def clear(self) -> None:
        """Delete every entry, in memory and on disk."""
        self._memory.clear()
        for path, _, _ in self._files():
            _delete(path)

    def get_or_solve(
        self, key: str, shape: tuple[int, int], solve: Callable[[], Solution]
    ) -> Solution:
        """The decoders of `shape` under a key; if there are none, they are solved and stored."""
        found = self.find(key, shape)
        if found is None:
            found = solve()
            if np.all(np.isfinite(found.decoders)):
                self.keep(key, found)
        return found

    def find(self, key: str, shape: tuple[int, int]) -> Solution | None:
        """Decoders of `shape` under a key, or None; `info["from"]` names their place."""
        found = self._memory.find(key)
        if found is not None:
            return Solution(found.decoders, {**found.info, "from": "memory"})
        found = self._read(key, shape)
        if found is not None:
            self._memory.keep(key, found)
            return Solution(found.decoders, {**found.info, "from": str(self._path(key))})
        return None

    def keep(self, key: str, solution: Solution) -> None:
        """Put decoders under a key; a second time changes nothing."""
        kept = _frozen(Solution(np.array(solution.decoders, np.float64), solution.info))
        self._memory.keep(key, kept)
        if not (self.read_only or self._unusable):
            try:
                self._write(key, kept)
            except OSError as error:
                self._give_up(error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _read(self, key: str, shape: tuple[int, int]) -> Solution | None:
        path = self._path(key)
        try:
            entry = FORMAT.read(path)
            with describing(FORMAT.kind, path):
                solution = _solution(entry, shape)
        except FileError:
            return None
        except DamagedFileError as error:
            warnings.warn(f"{error} Its decoders are solved again.", stacklevel=2)
            if not self.read_only:
                _delete(path)
            return None
        if not self.read_only:
            _touch(path)
        return solution

    def _write(self, key: str, solution: Solution) -> None:
        if solution.decoders.nbytes > _LARGEST * self.size_limit:
            return
        make_folder(self.folder)
        FORMAT.write(self._path(key), DecodersEntry(*solution))
        self._written += self._path(key).stat().st_size
        self._bound()

    def _bound(self) -> None:
        """Delete the least recently used entries where all together exceed the limit."""
        first = self._measured is None
        if not first and self._written < _LOOK_AGAIN * self.size_limit:
            return
        files = sorted(self._files(), key=lambda file: file[2])
        total = sum(size for _, size, _ in files)
        for path, size, _ in files:
            if total <= self.size_limit:
                break
            _delete(path)
            total -= size
        self._measured, self._written = total, 0
        if first:
            self._sweep()

    def _sweep(self) -> None:
        """Delete half-written files of processes that died."""
        for path in self.folder.glob(f".*{_SUFFIX}.*"):
            stat = _stat(path)
            if stat is not None and time.time() - stat.st_mtime > _ABANDONED:
                _delete(path)

    def _files(self) -> list[tuple[Path, int, float]]:
        """Every entry on disk with its bytes and when it was last used."""
        found = ((path, _stat(path)) for path in self.folder.glob(f"[!.]*{_SUFFIX}"))
        return [(path, s.st_size, s.st_mtime) for path, s in found if s is not None]

    def _give_up(self, error: OSError) -> None:
        """Warn once that nothing can be written; entries are then kept in memory."""
        self._unusable = True
        warnings.warn(
            f"{self!r} cannot be written ({error}), so decoders are kept in memory alone; set "
            f"{FOLDER} to a folder that can be, or {MODE}=off",
            stacklevel=2,
        )


def _solution(entry: DecodersEntry, shape: tuple[int, int]) -> Solution:
    """The solution in a file; raises `TypeError` for decoders that are none of this shape."""
    decoders, info = entry.decoders, entry.info
    right = isinstance(info, dict) and decoders.shape == shape and np.all(np.isfinite(decoders))
    if not (right and decoders.dtype == np.float64):
        raise TypeError(f"it holds no decoders of shape {shape}")
    return _frozen(Solution(decoders, info))


def _frozen(solution: Solution) -> Solution:
    """A copy with read-only arrays: all callers are given the same ones."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: kept(item) for name, item in value.items()}
        if not isinstance(value, np.ndarray):
            return value
        array = np.array(value)
        array.setflags(write=False)
        return array

    return Solution(kept(solution.decoders), kept(solution.info))


def _stat(path: Path) -> os.stat_result | None:
    """A file's status, or None where another process has deleted it."""
    try:
        return path.stat()
    except OSError:
        return None


def _delete(path: Path) -> None:
    """Delete a file; one that another process deleted or holds open is left to that process."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"{path} cannot be deleted ({error})", stacklevel=2)


def _touch(path: Path) -> None:
    """Set the time of a file's last use, where the folder allows it."""
    try:
        os.utime(path)
    except OSError:
        return  # a folder of someone else's: only the order in which entries go depends on it


def default_folder() -> Path:
    """The folder of decoders: below `SPIKEWRIGHT_CACHE_DIR`, else the user's cache folder."""
    chosen = os.environ.get(FOLDER)
    if chosen:
        return Path(chosen) / "decoders"
    if sys.platform == "darwin":
        base = _home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache")
    return base / "spikewright" / "decoders"


def _home() -> Path:
    """The user's folder; without one, a path that cannot be written."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def chosen_cache(choice: Choice | DecoderCache) -> DecoderCache | None:
    """The cache that an argument selects; None: the environment's choice, by default "on".

    Raises `BuildError` for any other choice, and for invalid environment variables.
    """
    if isinstance(choice, DecoderCache):
        return choice
    wanted: Any = os.environ.get(MODE, "on").lower() if choice is None else choice
    if isinstance(choice, bool):
        wanted = "on" if choice else "off"
    if wanted not in _MODES:
        where = "decoder_cache" if choice is not None else MODE
        raise BuildError(
            f"{where} must be one of {_MODES}, True, False or a DecoderCache, got {wanted!r}"
        )
    if wanted == "off":
        return None
    return _shared(default_folder(), wanted == "read-only", _size_limit())


def _size_limit() -> int:
    text = os.environ.get(SIZE, "512")
    try:
        size = float(text)
    except ValueError:
        size = float("nan")
    if not (is_number(size) and size > 0):
        raise BuildError(f"{SIZE} must be a number above 0, in megabytes, got {text!r}")
    return int(size * 2**20)


@cache
def _shared(folder: Path, read_only: bool, size_limit: int) -> DecoderCache:
    """One cache a folder, so that a process has its entries in memory once."""
    return DecoderCache(folder, read_only=read_only, size_limit=size_limit)
