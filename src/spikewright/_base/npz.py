"""Files of NumPy's arrays (`.npz`), read without its pickles and within a budget."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.lib import format as _format
from numpy.typing import NDArray

from spikewright._base.archives import UNREADABLE, Archive
from spikewright._base.budget import budget_of
from spikewright._base.files import file_at
from spikewright.errors import DamagedFileError

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
