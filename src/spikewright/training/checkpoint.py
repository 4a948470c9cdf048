"""A training in a file, so that it goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikewright._base.codec import Format
from spikewright._base.files import check_place
from spikewright._base.storage import differing
from spikewright.errors import TrainingError
from spikewright.training.history import Epoch, Measured, Refitted


@dataclass(frozen=True)
class TrainingEntry:
    """A training in a file: all that its results depend on, and its state."""

    about: dict[str, Any]
    state: Any


_PARTS = {"Epoch": Epoch, "Measured": Measured, "Refitted": Refitted}
FORMAT = Format("training", TrainingEntry, (_PARTS,))


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
        entry = FORMAT.read(self._path)
        if what := differing(entry.about, self._about):
            raise TrainingError(
                f"{self._path}: holds another training, which differs in {what}. Use another path"
            )
        return entry.state

    def save(self, state: Any) -> None:
        """Replace what the file holds, whole or not at all."""
        FORMAT.write(self._path, TrainingEntry(self._about, state))
