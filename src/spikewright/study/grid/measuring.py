"""Every setting of a sweep, measured: values common to all settings are computed once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikewright._base.progress import progress_bar
from spikewright.conversion import Conversion
from spikewright.conversion.length import doubt_of_length
from spikewright.errors import MissingExtraError, SimulationError, SpikewrightError
from spikewright.evaluation.checkpoint import Checkpoint
from spikewright.evaluation.data import Shard
from spikewright.evaluation.settings import Settings
from spikewright.evaluation.sharded import Evaluating, reader_of, shard_size
from spikewright.executors import Executor
from spikewright.measure import Evaluation
from spikewright.running.runner import Runner
from spikewright.running.still import Answers
from spikewright.study.grid.settings import Setting

_FOLDER = re.compile(r"[0-9a-f]{16}")  # holds what is finished of one setting


@dataclass(frozen=True, eq=False)
class Tried:
    """A setting, and its results: an evaluation, or the reason why there is none.

    The evaluation holds its records alone, as one that was loaded from a file: data of each sample
    and neuron would add up over many settings. `resolved` are the arguments of `sw.convert`, with
    numbers in the place of rules. `doubt` says why no length of the runs is a right one, if so.
    """

    setting: Setting
    evaluation: Evaluation | None
    reason: str = ""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    doubt: str = ""


@dataclass(frozen=True, eq=False)
class Measuring:
    """The measurement of a sweep's settings on one model."""

    base: Conversion
    settings: Settings
    executor: Executor
    checkpoint: Path | None = None

    def all(self, settings: Sequence[Setting], x: Any, y: Any, progress: bool) -> list[Tried]:
        """Measure each setting on the data; one that fails is found with its reason.

        Raises `SimulationError` for data that does not fit, and where every setting failed.
        """
        if self.checkpoint is not None:
            _check_folder(self.checkpoint)
        reader = reader_of(self.base, self.settings, self.executor)
        size = shard_size(self.base.lowered, self.settings)
        shards = list(reader.shards(x, y, size))
        samples = sum(map(len, shards))
        known: dict[int, Answers] = {}
        found = []
        with progress_bar(samples * len(settings), progress, "samples x settings") as advance:
            for setting in settings:
                count = _Count(advance)
                found.append(self._one(setting, shards, size, known, count))
                advance(samples - count.done)
        _require_one(found)
        return found

    def _one(
        self,
        setting: Setting,
        shards: Sequence[Shard],
        size: int,
        known: dict[int, Answers],
        advance: Callable[[int], None],
    ) -> Tried:
        try:
            conversion = self.base.again(**setting.arguments)
        except SpikewrightError as error:
            return Tried(setting, None, _reason(error))
        work = Evaluating(conversion, Runner(conversion.lowered), self.settings, size)
        store = self._store(work, shards)
        try:
            found = work.over(shards, store, self.executor, advance, known)
        except SpikewrightError as error:
            return Tried(setting, None, _reason(error))
        evaluation = Evaluation(found.records, found.settings)
        given = self.settings
        doubt = doubt_of_length(conversion, given.at, given.dt, "the longest run has")
        return Tried(setting, evaluation, "", conversion.resolved, doubt)

    def _store(self, work: Evaluating, shards: Sequence[Shard]) -> Checkpoint | None:
        """The folder of one setting's results, named after everything that they depend on."""
        if self.checkpoint is None:
            return None
        digests = " ".join([work.key, *(shard.digest for shard in shards)])
        name = hashlib.sha256(digests.encode()).hexdigest()[:16]
        return Checkpoint(self.checkpoint / name, work.about)


def _check_folder(folder: Path) -> None:
    """Raise `SimulationError` where a folder holds anything but settings of sweeps."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    other = [name for name in names if not _FOLDER.fullmatch(name)]
    if other:
        raise SimulationError(
            f"{folder}: holds {other[0]!r}, which is no sweep's: use an empty folder"
        )


def _reason(error: SpikewrightError) -> str:
    """The reason of a setting's failure; a missing extra, needed by all settings, is raised."""
    if isinstance(error, MissingExtraError):
        raise error
    return str(error)


class _Count:
    """Counts finished work, and passes the count on."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance, self.done = advance, 0

    def __call__(self, done: int) -> None:
        self.done += done
        self._advance(done)


def _require_one(found: Sequence[Tried]) -> None:
    """Raise `SimulationError` where every setting failed."""
    if any(tried.evaluation is not None for tried in found):
        return
    reasons = dict.fromkeys(tried.reason for tried in found)
    raise SimulationError(
        f"no setting could be measured, of {len(found)} that were tried: {'; '.join(reasons)}"
    )
