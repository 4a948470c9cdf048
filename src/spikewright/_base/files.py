"""Paths as users give them: checked where they come in, so that every error names the path.

The type of an error of the system decides what is said of it, never its text.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikewright.errors import (
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
            raise MissingFileError(f"{shown(path)}: no such file") from None
        if stat.S_ISDIR(mode):
            raise FolderError(f"{shown(path)}: is a folder. Name a file in it")
        if not stat.S_ISREG(mode):
            raise FileError(f"{shown(path)}: is a device, and no file that ends")
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


def shown(path: str | Path) -> str:
    """A path in a message: on one line, and short."""
    return short_name(str(path))


def _cannot(path: Path, what: str, error: OSError | ValueError) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"{shown(path)}: cannot be {what} ({reason})"
