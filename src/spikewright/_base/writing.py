"""Files that are written in one step: whole, or not at all.

Writing goes to a temporary file beside the target that replaces it at the end. A failure
leaves everything as it was, and is an `OSError` that names the given path.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 120  # bytes of a name that its temporary file repeats; systems allow 255 in all


def replace_file(path: str | Path, content: bytes) -> None:
    """Put `content` at `path` in one step, or leave the old file; raises as `check_place`."""
    target = check_place(path)
    with _naming(target):
        _replace(target, content)


def check_place(path: str | Path) -> Path:
    """The path, if a file may be written there.

    Raises `FileNotFoundError` where its folder does not exist, `IsADirectoryError` for a folder,
    and `OSError` for a path that is no file, such as a device, or cannot be one.
    """
    target = Path(path)
    with _naming(target):
        if not target.parent.is_dir():
            raise FileNotFoundError(f"{target}: its folder does not exist")
        if target.is_dir():
            raise IsADirectoryError(f"{target}: is a folder; name a file in it")
        if target.exists() and not target.is_file():
            raise OSError(f"{target}: is no file that another could take the place of")
    return target


def make_folder(path: str | Path) -> Path:
    """The folder, made where it is missing; raises `OSError` naming it where it cannot be."""
    folder = Path(path)
    with _naming(folder):
        if folder.exists() and not folder.is_dir():
            raise FileExistsError(f"{folder}: is a file, and a folder is needed")
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Errors of the system as ones that name the target, and no temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise  # it says so already
        raise type(error)(f"{target}: cannot be written ({error.strerror})") from error
    except ValueError as error:  # a name that no file can have
        raise OSError(f"{str(target)!r}: cannot be written ({error})") from error


def _replace(target: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{_shortened(target.name)}.")
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


def _shortened(name: str) -> str:
    return os.fsencode(name)[:_LONGEST].decode(errors="ignore")
