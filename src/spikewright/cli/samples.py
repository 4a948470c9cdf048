"""Data files: `.npz` with `x` (or one array an input) and, where it is known, `y`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from spikewright._base.archives import read_npz
from spikewright.errors import SimulationError


@dataclass(frozen=True, eq=False)
class FileSamples:
    """Inputs, an array or `{input name: array}`, and labels `(batch,)` or None."""

    x: NDArray | dict[str, NDArray]
    y: NDArray | None


def load_samples(path: Path, limit: int | None = None) -> FileSamples:
    """Read a data file, the first `limit` samples of it; runs no code from it.

    Raises `MissingFileError`, `DamagedFileError` for files that are not a `.npz` of real numbers,
    and `SimulationError` where it holds no input, no samples, or another number of y than of x.
    """
    arrays = read_npz(path)
    if set(arrays) <= {"y"}:
        raise SimulationError(
            f"{path}: holds no array x of inputs. Write one with np.savez({path.name!r}, x=x, y=y)"
        )
    _check_lengths(path, arrays)
    cut = {name: array[:limit] for name, array in arrays.items()}
    y = cut.pop("y", None)
    return FileSamples(cut["x"] if set(cut) == {"x"} else cut, y)


def _check_lengths(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Raise `SimulationError` unless all have as many samples, at least one."""
    for name, array in arrays.items():
        if array.ndim == 0:
            raise SimulationError(f"{path}: {name!r} has no batch axis")
        if array.size == 0:
            raise SimulationError(f"{path}: {name!r} is empty, of shape {array.shape}")
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{n} of {name}" for name, n in lengths.items())
        raise SimulationError(f"{path}: holds different numbers of samples: {told}")
