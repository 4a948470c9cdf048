"""Data files: `.npz` with `x` (or one array an input) and, where it is known, `y`."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from spikewright.errors import DamagedFileError, SimulationError


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs, an array or `{input name: array}`, and labels `(batch,)` or None."""

    x: NDArray | dict[str, NDArray]
    y: NDArray | None


def load_samples(path: Path, limit: int | None = None) -> Samples:
    """Read a data file, the first `limit` samples of it; runs no code from it.

    Raises `FileNotFoundError`, `DamagedFileError` for what is no `.npz` of numbers, and
    `SimulationError` where it holds no input.
    """
    arrays = _arrays(path)
    y = arrays.pop("y", None)
    if not arrays:
        raise SimulationError(
            f"{path}: holds no array x of inputs. Write one with np.savez({path.name!r}, x=x, y=y)"
        )
    scalar = [name for name, array in arrays.items() if array.ndim == 0]
    if scalar or (y is not None and y.ndim == 0):
        raise SimulationError(f"{path}: {(scalar or ['y'])[0]!r} has no batch axis")
    x = {name: array[:limit] for name, array in arrays.items()}
    return Samples(x["x"] if set(x) == {"x"} else x, None if y is None else y[:limit])


def _arrays(path: Path) -> dict[str, NDArray]:
    with path.open("rb") as stream:
        try:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, NpzFile):
                raise ValueError("it holds a single array")
            return {name: file[name] for name in file.files}
        except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
            raise DamagedFileError(f"{path}: is no .npz file of numbers ({error})") from error
