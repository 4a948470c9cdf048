"""Paths as users give them, and files that are written in one step and replace no file of a user's.

Paths are checked where they come in, so that every error names the path. The type of an error of
the system decides what is said of it, never its text. Writing goes to a temporary file beside the
target that replaces it at the end. A failure leaves everything as it was, and is a `FileError` that
names the given path. A file that is there already is replaced only where it is of the kind that is
written, which its content decides.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spikewright.errors import (
    ExistingFileError,
    FileError,
    FolderError,
    MissingFileError,
    SpikewrightError,
    short_name,
)


def path_of(given: Any) -> Path:
    """The path that a user gives; raises `FileError` for anything that cannot be one."""
    if not isinstance(given, str | os.PathLike):
        raise FileError(
            f"{short_name(repr(given))} is no path of a file. Give a text, or a pathlib.Path"
        )
    text = os.fspath(given)
    if not isinstance(text, str):
        raise FileError(f"{short_name(repr(text))} is bytes. Give a text, or a pathlib.Path")
    if not text or "\0" in text:
        what = "holds a NUL character" if text else "is empty"
        raise FileError(f"{short_name(repr(text))} is no path of a file: it {what}. Give another")
    try:
        os.fsencode(text)
    except UnicodeError:
        raise FileError(
            f"{short_name(repr(text))} is no path of a file: this system has no such characters. "
            "Give another"
        ) from None
    return Path(text)


def file_at(given: Any) -> Path:
    """The path of a file that is there and can be read.

    Raises `MissingFileError` where there is none, `FolderError` for a folder, and `FileError` for
    anything else that is no file, or that cannot be opened.
    """
    path = path_of(given)
    with naming(path, "read"):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFileError(f"{format_path(path)}: no such file") from None
        if stat.S_ISDIR(mode):
            raise FolderError(f"{format_path(path)}: is a folder. Name a file in it")
        if not stat.S_ISREG(mode):
            raise FileError(f"{format_path(path)}: is a device, and no file that ends")
        path.open("rb").close()
    return path


@contextmanager
def naming(path: Path, what: str) -> Iterator[None]:
    """Errors of the system as `FileError`s: the path cannot be `what`, "read" or "written"."""
    try:
        yield
    except SpikewrightError:
        raise
    except FileNotFoundError as error:
        raise MissingFileError(_cannot(path, what, error)) from error
    except IsADirectoryError as error:
        raise FolderError(_cannot(path, what, error)) from error
    except (OSError, ValueError) as error:  # a ValueError for a name that no file can have
        raise FileError(_cannot(path, what, error)) from error


def format_path(path: str | Path) -> str:
    """A path in a message: on one line, and short."""
    return short_name(str(path))


def _cannot(path: Path, what: str, error: OSError | ValueError) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"{format_path(path)}: cannot be {what} ({reason})"


_LONGEST = 120  # bytes of a name that its temporary file repeats; systems allow 255 in all
_ENDS = 4096  # bytes at each end of a file that show its kind


@dataclass(frozen=True)
class FileKind:
    """A kind of file that is written here: its name with an article, and how it is recognised.

    `recognises` says whether the content of the file at a path is of this kind.
    """

    name: str
    recognises: Callable[[Path], bool]


_kinds: dict[str, FileKind] = {}
KINDS: Mapping[str, FileKind] = MappingProxyType(_kinds)
"""Every registered kind of file, by its name (read only)."""


def file_kind(name: str, recognises: Callable[[Path], bool]) -> FileKind:
    """A new kind of file, registered under its name."""
    if name in _kinds:
        raise ValueError(f"{name}: two kinds of files have this name")
    _kinds[name] = FileKind(name, recognises)
    return _kinds[name]


def begins_with(pattern: bytes) -> Callable[[Path], bool]:
    """A test for files whose first bytes match a regular expression."""
    compiled = re.compile(pattern, re.DOTALL)
    return lambda path: compiled.match(head_and_tail(path)[0]) is not None


def head_and_tail(path: Path) -> tuple[bytes, bytes]:
    """The first and the last bytes of a file, up to 4096 of each; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_ENDS)
            file.seek(max(0, path.stat().st_size - _ENDS))
            return head, file.read(_ENDS)
    except (OSError, ValueError):
        return b"", b""


def write_file(
    path: str | Path,
    content: bytes | Sequence[bytes | memoryview],
    kind: FileKind,
    *,
    overwrite: bool = False,
) -> Path:
    """Put `content` at `path` in one step, or leave the old file; raises as `check_target`."""
    target = check_target(path, kind, overwrite=overwrite)
    with naming(target, "written"):
        _replace(target, [content] if isinstance(content, bytes) else content)
    return target


def check_target(path: str | Path, kind: FileKind, *, overwrite: bool = False) -> Path:
    """The path, if a file of a kind may be written there.

    Raises as `check_place` does, and `ExistingFileError` for a file that is there and is not of
    this kind, unless `overwrite`.
    """
    target = check_place(path)
    if overwrite or not target.exists() or kind.recognises(target):
        return target
    found = next((k.name for k in KINDS.values() if k.recognises(target)), None)
    what = f"{found}, not {kind.name}" if found else f"not {kind.name}"
    raise ExistingFileError(target, f"exists and is {what}")


def check_place(path: str | Path) -> Path:
    """The path, if a file may be written there.

    Raises `MissingFileError` where its folder does not exist, `FolderError` for a folder, and
    `FileError` for a path that is no file, such as a device, or cannot be one.
    """
    target = path_of(path)
    with naming(target, "written"):
        if not target.parent.is_dir():
            raise MissingFileError(f"{format_path(target)}: its folder does not exist")
        if target.is_dir():
            raise FolderError(f"{format_path(target)}: is a folder; name a file in it")
        if target.exists() and not target.is_file():
            raise FileError(
                f"{format_path(target)}: is no file that another could take the place of"
            )
    return target


def make_folder(path: str | Path) -> Path:
    """The folder, made where it is missing; raises `FileError` naming it where it cannot be."""
    folder = path_of(path)
    with naming(folder, "written"):
        if folder.exists() and not folder.is_dir():
            raise FileError(f"{format_path(folder)}: is a file, and a folder is needed")
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _replace(target: Path, parts: Sequence[bytes | memoryview]) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{_shortened(target.name)}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _shortened(name: str) -> str:
    return os.fsencode(name)[:_LONGEST].decode(errors="ignore")
