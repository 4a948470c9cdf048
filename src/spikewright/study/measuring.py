"""Every setting of a sweep, measured: values common to all settings are computed once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from spikewright._base.progress import progress_bar
from spikewright.conversion import Conversion
from spikewright.conversion.trace_warnings import CHOICE, doubt_of_length
from spikewright.errors import MissingExtraError, SimulationError, SpikewrightError
from spikewright.evaluation.checkpoint import Checkpoint
from spikewright.evaluation.data import Shard
from spikewright.evaluation.settings import Settings
from spikewright.evaluation.sharded import Evaluating, reader_of, shard_size
from spikewright.executors import Executor
from spikewright.measure import Evaluation
from spikewright.records import Record, Worth, own_energies, select, worths
from spikewright.running.own_steps import complete_readouts, run_steps
from spikewright.running.runner import Runner
from spikewright.running.single_step import StepAnswers
from spikewright.study.point import NETWORK_STEPS, OperatingPoint, OutputScore, StudySetting
from spikewright.study.programs import ModelReference

_FOLDER = re.compile(r"[0-9a-f]{16}")  # holds what is finished of one setting
_OF_TRUTH = ("accuracy", "relative error")


@dataclass(eq=False)
class Measuring:
    """The measurement of a sweep's settings on one model, with energies under a cost `table`.

    With `own_steps` a code that has a number of steps is read after these, in place of those of the
    settings. `doubts` says why no length of a setting's runs is a right one, where that is so, and
    `chosen` what settings with steps of their own came to, by name.
    """

    base: Conversion
    origin: ModelReference
    settings: Settings
    executor: Executor
    table: str
    checkpoint: Path | None = None
    own_steps: bool = False
    doubts: list[str] = field(default_factory=list, init=False)
    chosen: dict[str, str] = field(default_factory=dict, init=False)

    def all(
        self, settings: Sequence[StudySetting], x: Any, y: Any, progress: bool
    ) -> list[OperatingPoint]:
        """The points of each setting on the data; one that fails is a point with its reason.

        Raises `SimulationError` for data that does not fit, and where every setting failed.
        """
        if self.checkpoint is not None:
            _check_folder(self.checkpoint)
        reader = reader_of(self.base, self.settings, self.executor)
        size = shard_size(self.base.lowered, self.settings)
        shards = list(reader.shards(x, y, size))
        samples = sum(map(len, shards))
        known: dict[int, StepAnswers] = {}
        found: list[OperatingPoint] = []
        with progress_bar(samples * len(settings), progress, "samples x settings") as advance:
            for setting in settings:
                count = _Count(advance)
                try:
                    found += self._one(setting, shards, size, known, count)
                except MissingExtraError:  # all settings need it
                    raise
                except SpikewrightError as error:
                    found.append(self._point(setting, failed=str(error)))
                advance(samples - count.done)
        _require_one(found)
        return found

    def _one(
        self,
        setting: StudySetting,
        shards: Sequence[Shard],
        size: int,
        known: dict[int, StepAnswers],
        advance: Callable[[int], None],
    ) -> Iterator[OperatingPoint]:
        """The points of a setting; raises as converting and running it does."""
        conversion = self.base.replace(**setting.arguments)
        given = self._settings(conversion, setting.steps)
        work = Evaluating(conversion, Runner(conversion.lowered), given, size)
        found = work.over(shards, self._store(work, shards), self.executor, advance, known)
        for entry in (entry for entry in conversion.trace if entry.stage == CHOICE):
            self.chosen[setting.name] = entry.text
        doubt = doubt_of_length(conversion, given.at, given.dt, "the longest run has")
        self.doubts += [doubt] if doubt else []
        make = partial(self.base.replace, **conversion.resolved)
        return self._read(setting, Evaluation(found.records, found.settings), make)

    def _settings(self, conversion: Conversion, wanted: int | None) -> Settings:
        """The settings for a network, whose code may have a number of steps of its own.

        Raises `SimulationError` where that is none of those that were asked for.
        """
        own, readouts = conversion.coding.steps, self.settings.readouts
        given = replace(self.settings, readouts=complete_readouts(conversion.lowered, readouts))
        if wanted is not None:
            return replace(given, steps=wanted, at=(wanted,))
        digits = conversion.lowered.times is not None
        if own is None or not (self.own_steps or digits):
            return given
        if not self.own_steps and own not in given.at:
            run_steps(conversion, given.steps)
        return replace(given, steps=own, at=(own,))

    def _read(
        self, setting: StudySetting, found: Evaluation, make: Callable[[], Conversion]
    ) -> Iterator[OperatingPoint]:
        """The points of an evaluation: after each of the steps, under each readout."""
        whole = [r for r in found.records if "layer" not in r.how and "threshold" not in r.how]
        measures = _measures(whole)
        for steps in found.settings["at"]:
            at = [r for r in whole if r.how.get("steps") == steps]
            costs = select(at, "spikes per sample")
            costs += own_energies(at, table=self.table) if costs else []
            if more := found.settings.get("network_steps"):
                costs.append(Record(NETWORK_STEPS, more, "steps", found.settings["samples"]))
            for readout in setting.readouts:
                if str(readout) not in found.settings["readouts"]:
                    continue  # digits have one reading
                read = [r for r in at if r.how.get("readout") == str(readout)]
                scores = tuple(_score(w, output, read, whole) for output, w in measures.items())
                yield self._point(
                    setting, steps=steps, readout=readout, scores=scores, costs=tuple(costs),
                    evaluation=found, make=make,
                )  # fmt: skip

    def _point(self, setting: StudySetting, **measured: Any) -> OperatingPoint:
        place = {"steps": self.settings.steps, "dt": self.settings.dt, "origin": self.origin}
        make = partial(self.base.replace, **setting.arguments)
        return OperatingPoint(setting=setting, **{**place, "make": make, **measured})

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


class _Count:
    """Counts finished work, and passes the count on."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance, self.done = advance, 0

    def __call__(self, done: int) -> None:
        self.done += done
        self._advance(done)


def _require_one(found: Sequence[OperatingPoint]) -> None:
    """Raise `SimulationError` where every setting failed."""
    if any(not point.failed for point in found):
        return
    reasons = dict.fromkeys(point.failed for point in found)
    raise SimulationError(
        f"no setting could be measured, of {len(found)} that were tried: {'; '.join(reasons)}"
    )


def _measures(records: Sequence[Record]) -> dict[str | None, Worth]:
    """The measure of each output; a metric judges all of them together.

    Outputs without truth are left out; where none has truth, all are compared with the source.
    """
    known = worths(records)
    if not known[0].fraction:
        return {None: known[0]}
    found: dict[str | None, Worth] = {}
    for worth in [worth for worth in known if worth.name in _OF_TRUTH] or known:
        for record in select(records, worth.name):
            found.setdefault(record.how.get("output"), worth)
    return found


def _score(
    worth: Worth, output: str | None, read: Sequence[Record], whole: Sequence[Record]
) -> OutputScore:
    of_output = {} if output is None else {"output": output}
    (value,) = select(read, worth.name, **of_output)
    drop = select(read, f"{worth.name} drop", **of_output)
    source = select(whole, f"source {worth.name}", **of_output)
    return OutputScore(worth, value, next(iter(drop), None), next(iter(source), None))
