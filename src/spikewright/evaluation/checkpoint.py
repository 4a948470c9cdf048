"""Finished shards in a folder, so that an evaluation goes on where it was stopped.

`evaluation.json` says whose results the folder holds, `shard-<number>.safetensors` are the results.
A folder that holds anything else is not touched.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.codec import Format
from spikewright._base.files import begins_with, check_target, file_kind, make_folder, write_file
from spikewright._base.process import outside
from spikewright._base.storage import differing
from spikewright.errors import DamagedFileError, SimulationError
from spikewright.measure.exact_counts import ExactCounts, Key

FORMAT = 1
_ABOUT = "evaluation.json"
_KIND = file_kind("the settings of an evaluation", begins_with(rb'\{\n "format": '))
_SHARD = re.compile(r"shard-\d{6,}\.safetensors")
_UNFINISHED = re.compile(r"\.(shard-\d{6,}\.safetensors|evaluation\.json)\..*")


@dataclass(frozen=True)
class ShardEntry:
    """A shard's results in a file: arrays by their keys."""

    key: str
    samples: tuple[tuple[Key, NDArray], ...]
    sums: tuple[tuple[Key, NDArray], ...]


_SHARDS = Format("evaluation shard", ShardEntry)


def finished_shards(folder: Path) -> int:
    """The number of shards that are finished in a folder and in those inside it."""
    return sum(_SHARD.fullmatch(path.name) is not None for path in folder.rglob("*"))


class Checkpoint:
    """The results of one evaluation in a folder, which is made where there is none.

    `about` is plain data: all that results depend on but the data. Raises `SimulationError` naming
    files of the folder that are not this evaluation's.
    """

    def __init__(self, folder: str | Path, about: Mapping[str, Any]) -> None:
        self._folder = make_folder(folder)
        self._about = json.loads(json.dumps({"format": FORMAT, **about}))
        names = sorted(path.name for path in self._folder.iterdir())
        self._check_names(names)
        if _ABOUT in names:
            self._check_about()
        elif any(map(_SHARD.fullmatch, names)):
            raise SimulationError(
                f"{self._folder}: holds shards and no {_ABOUT}: use another folder"
            )
        else:
            content = json.dumps(self._about, indent=1).encode()
            write_file(self._folder / _ABOUT, content, _KIND)

    def __str__(self) -> str:
        return str(self._folder)

    def _check_names(self, names: list[str]) -> None:
        """Left-overs of a write that was cut short are known by their names."""
        known = (_SHARD, _UNFINISHED, re.compile(re.escape(_ABOUT)))
        other = [name for name in names if not any(kind.fullmatch(name) for kind in known)]
        if other:
            raise SimulationError(
                f"{self._folder}: holds {other[0]!r}, which is no evaluation's: use an empty folder"
            )

    def _check_about(self) -> None:
        path = self._folder / _ABOUT
        try:
            found = json.loads(path.read_bytes())
            what = differing(found, self._about)
        except (ValueError, TypeError, RecursionError) as error:
            raise DamagedFileError(f"{path}: is damaged ({error}); use another folder") from error
        if what:
            raise SimulationError(
                f"{self._folder}: holds another evaluation, which differs in {what}: use another "
                "folder"
            )

    def _path(self, index: int) -> Path:
        return self._folder / f"shard-{index:06d}.safetensors"

    def load(self, index: int, key: str, samples: int) -> ExactCounts | None:
        """The counts of the samples of a shard, or None where they are still to be made.

        A damaged file gives a warning that the shard is done again. Raises `SimulationError` for a
        file that was made of other data, and `ExistingFileError` for one that is no shard.
        """
        path = self._path(index)
        if not path.is_file():
            return None
        check_target(path, _SHARDS.kind)
        try:
            entry = _SHARDS.read(path)
            counts = ExactCounts(dict(entry.samples), dict(entry.sums))
            if any(value.shape[:1] != (samples,) for value in counts.samples.values()):
                raise ValueError(f"its rows are not those of {samples} samples")
        except (DamagedFileError, ValueError) as error:
            message = f"{path}: is damaged, so its samples are evaluated again ({error})"
            warnings.warn(message, stacklevel=outside())
            return None
        if entry.key != key:
            raise SimulationError(f"{path}: was made of other data: use another folder")
        return counts

    def save(self, index: int, key: str, counts: ExactCounts) -> None:
        """Store the counts of a shard, whole or not at all."""
        _SHARDS.write(self._path(index), ShardEntry(key, _kept(counts.samples), _kept(counts.sums)))


def _kept(rows: Mapping[Key, NDArray]) -> tuple[tuple[Key, NDArray], ...]:
    return tuple((name, np.ascontiguousarray(_narrow(value))) for name, value in rows.items())


def _narrow(values: NDArray) -> NDArray:
    """Whole numbers in no more bytes than they need."""
    if values.dtype.kind != "i" or values.size == 0 or values.min() < 0:
        return values
    return values.astype(np.min_scalar_type(int(values.max())))
