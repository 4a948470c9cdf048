"""A training in a file, so that it goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikewright._base import storage as _storage
from spikewright._base.writing import check_place
from spikewright.errors import DamagedFileError, TrainingError
from spikewright.training.history import Epoch, Measured, Refitted

_WHAT = "training"
_PARTS = {"Epoch": Epoch, "Measured": Measured, "Refitted": Refitted}


class TrainingCheckpoint:
    """The state of one training in a file, which is replaced in one step after every epoch.

    `about` is plain data: all that the results depend on, by name. States are plain data with
    arrays and epochs. Raises `OSError` for a place where no file can be.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any]) -> None:
        self._path = check_place(path)
        self._about = json.loads(json.dumps(about))

    def load(self) -> Any:
        """The state, or None where there is no file.

        Raises `TrainingError` naming what differs for a file of another training, and
        `DamagedFileError` for any other file; it stays as it is.
        """
        if not self._path.exists():
            return None
        content, arrays = _storage.read(self._path, _WHAT)
        try:
            self._check(content["about"])
            return _storage.ManifestDecoder(arrays, _PARTS).decode(content["state"])
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, TrainingError):
                raise
            raise self.damage(error) from error

    def damage(self, error: Exception) -> DamagedFileError:
        """The error for a file that holds no training's state."""
        return DamagedFileError(
            f"{self._path}: is no training's checkpoint ({type(error).__name__}: {error}). Use "
            "another path"
        )

    def _check(self, found: dict[str, Any]) -> None:
        if what := _storage.differing(found, self._about):
            raise TrainingError(
                f"{self._path}: holds another training, which differs in {what}. Use another path"
            )

    def save(self, state: Any) -> None:
        """Replace what the file holds, whole or not at all."""
        encoder = _storage.ManifestEncoder()
        content = {"about": self._about, "state": encoder.encode(state)}
        _storage.write(self._path, _WHAT, content, encoder.arrays)
