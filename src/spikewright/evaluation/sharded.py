"""`Conversion.evaluate`: shards in, one evaluation out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spikewright._base import storage as _storage
from spikewright._base.files import path_of
from spikewright._base.progress import progress_bar
from spikewright.errors import DamagedFileError, SimulationError
from spikewright.evaluation.checkpoint import Checkpoint
from spikewright.evaluation.data import DataReader, Shard, add_array
from spikewright.evaluation.device_noise import DeviceNoise, over_draws
from spikewright.evaluation.settings import Settings
from spikewright.evaluation.work import (
    SerializedEvaluator,
    ShardEvaluator,
    Task,
    evaluate_shard,
    operations_of,
)
from spikewright.executors import Executor
from spikewright.lower import Lowered
from spikewright.measure import Evaluation
from spikewright.measure.activity import activity_records, bits_of_spikes
from spikewright.measure.exact_counts import ExactCounts, Key, concatenated, summed
from spikewright.measure.scores import score_records
from spikewright.measure.targets import Metric, Output
from spikewright.running.encoders import Encoder, Events, Frames
from spikewright.running.inputs import encoders_for, lists_of, without_held
from spikewright.running.own_steps import network_steps
from spikewright.running.protocols import ConversionLike
from spikewright.running.recording import outputs_of
from spikewright.running.runner import Runner
from spikewright.running.single_step import StepAnswers
from spikewright.running.storage import WHAT, as_data

_HISTORY = ("trace", "arguments")
"""The history of a conversion; it does not affect what the conversion computes."""

_MOST = 256  # samples of a shard
_FEWEST = 32  # as long as their outputs fit
_VALUES = 4_000_000  # output values of a shard, over all steps
_UPDATES = 2_000_000_000  # neurons times steps times samples of a shard: some seconds of work

_INPUTS = 16_000_000  # input values of a shard


def evaluate(
    conversion: ConversionLike,
    runner: Runner,
    x: Any,
    y: Any,
    settings: Settings,
    *,
    checkpoint: str | Path | None,
    executor: Executor,
    progress: bool,
    noise: DeviceNoise | None = None,
) -> Evaluation:
    """See `Conversion.evaluate`."""
    if noise is not None:

        def one(draw: int) -> Evaluation:
            chip = noise.chip(conversion, draw)
            mine = replace(settings, seed=settings.seed + draw)
            folder = None if checkpoint is None else path_of(checkpoint) / f"draw {draw}"
            how: dict[str, Any] = {"executor": executor, "progress": progress}
            return evaluate(chip, Runner(chip.lowered), x, y, mine, checkpoint=folder, **how)

        return over_draws(noise, x, one)
    reader = reader_of(conversion, settings, executor)
    size = shard_size(runner.lowered, settings)
    work = Evaluating(conversion, runner, settings, size)
    store = None if checkpoint is None else Checkpoint(checkpoint, work.about)
    with progress_bar(reader.length(x, y), progress, "samples") as advance:
        return work.over(reader.shards(x, y, size), store, executor, advance)


def reader_of(conversion: ConversionLike, settings: Settings, executor: Executor) -> DataReader:
    """The reader of a user's data; raises `SimulationError` for settings that do not fit it."""
    outputs = outputs_of(conversion.lowered)
    _check_thresholds(settings, outputs)
    encoder = without_held(settings.encoder, conversion.lowered)
    encoders = encoders_for(encoder, conversion.inputs)
    if executor.remote:
        _refuse_foreign(encoders, settings.metric)
    if conversion.lowered.times is not None:
        _refuse_frames(encoders)
    structure = replace(conversion.graph.structure, lists=lists_of(encoders))
    return DataReader(structure, outputs, settings.metric is not None)


@dataclass(frozen=True, eq=False)
class Evaluating:
    """An evaluation of a conversion under some settings, in shards of one size."""

    conversion: ConversionLike
    runner: Runner
    settings: Settings
    size: int

    @cached_property
    def _serialized(self) -> tuple[bytes, str]:
        """The bytes of the conversion's file, and the fingerprint of what it computes.

        Raises `NetworkError` naming the part that a file cannot hold.
        """
        manifest, arrays = as_data(self.conversion)
        hashed = {name: part for name, part in manifest.items() if name not in _HISTORY}
        digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode())
        for name in sorted(arrays):
            add_array(digest, name, arrays[name])
        return _storage.packed(WHAT, manifest, arrays), digest.hexdigest()

    @property
    def about(self) -> dict[str, Any]:
        """All that results depend on but the data, as plain data."""
        about = {"conversion": self._serialized[1], "shard": self.size, **self.settings.as_dict()}
        if self.settings.metric is not None:
            about["what the metric does"] = self.settings.metric.key
        return about

    @cached_property
    def key(self) -> str:
        """The key of the evaluation."""
        return hashlib.sha256(json.dumps(self.about).encode()).hexdigest()

    def over(
        self,
        shards: Iterable[Shard],
        store: Checkpoint | None,
        executor: Executor,
        advance: Callable[[int], None],
        sources: dict[int, StepAnswers] | None = None,
    ) -> Evaluation:
        """Evaluate the data; `advance` takes how many samples are done.

        Finished shards are kept in `store`. `sources` are the source model's outputs by shard,
        where they are known already; those that are not are put there.
        """
        shared: ShardEvaluator | SerializedEvaluator = ShardEvaluator(
            self.runner, self.conversion.graph, self.settings
        )
        if executor.remote:
            shared = SerializedEvaluator(self.key, self._serialized[0], self.settings)
        known = {} if sources is None else sources
        gathered = _Gathered()

        def take(index: int, counts: ExactCounts) -> None:
            with _from(store):
                advance(gathered.add(index, counts))

        def missing() -> Iterator[Task]:
            for shard in shards:
                key, found = "", None
                if store is not None:
                    text = f"{self.key} {shard.index} {shard.digest}"
                    key = hashlib.sha256(text.encode()).hexdigest()
                    found = store.load(shard.index, key, len(shard))
                if found is None:
                    yield Task(key, shard, known.get(shard.index), sources is not None)
                else:
                    take(shard.index, found)

        for done in executor.completed(evaluate_shard, shared, missing()):
            if store is not None:
                store.save(done.shard, done.key, done.exact_counts)
            if done.source is not None:
                known[done.shard] = done.source
            take(done.shard, done.exact_counts)
        with _from(store):
            return self._evaluation(gathered.whole())

    def _evaluation(self, counts: ExactCounts) -> Evaluation:
        given, outputs = self.settings, tuple(self.runner.lowered.outputs)
        metric = None if given.metric is None else given.metric.name
        records = score_records(counts, outputs, given.steps, given.dt, given.thresholds, metric)
        sending = [self.runner.sending_steps(step) for step in given.at]
        records += activity_records(counts, given.at, given.dt, sending)
        kinds = {name: e.neuron_type for name, e in self.runner.populations().items()}
        records += bits_of_spikes(kinds, given.at, given.dt)
        if given.operations:
            counter = operations_of(self.runner, given)
            graph = self.conversion.graph
            records += counter.records(counts.sums, len(counts), given.at, given.dt, graph)
        found = {"samples": len(counts), **given.as_dict()}
        whole = network_steps(self.runner.lowered, given.steps)
        if whole != given.steps:
            found["network_steps"] = whole
        totals = {key[1]: total for key, total in counts.sums.items() if key[0] == "spikes"}
        return Evaluation(tuple(records), found, counts.samples, totals)


@contextmanager
def _from(store: Checkpoint | None) -> Iterator[None]:
    """Turn errors of kept results into a `DamagedFileError` that names their folder."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        if store is None:
            raise
        raise DamagedFileError(
            f"{store}: holds results that make no evaluation ({type(error).__name__}: {error}); "
            "use another folder"
        ) from error


class _Gathered:
    """Results of shards, in whatever order they come."""

    def __init__(self) -> None:
        self._rows: dict[int, ExactCounts] = {}
        self._sums: dict[Key, NDArray] = {}

    def add(self, index: int, counts: ExactCounts) -> int:
        """Add a shard's result; returns its number of samples."""
        self._rows[index] = ExactCounts(counts.samples, {})
        self._sums = summed([self._sums, counts.sums])
        return len(counts)

    def whole(self) -> ExactCounts:
        """All of them as one."""
        rows = concatenated([self._rows[index] for index in sorted(self._rows)])
        return ExactCounts(rows.samples, self._sums)


def shard_size(lowered: Lowered, settings: Settings) -> int:
    """The number of samples of a shard: it follows from the network and the steps alone."""
    outputs = outputs_of(lowered)
    values = settings.steps * sum(math.prod(output.shape) for output in outputs.values())
    inputs = sum(math.prod(node.shape_out) for node in lowered.inputs.values())
    updates = settings.steps * max(1, lowered.network.n_neurons)
    fitting = min(_VALUES // max(1, values), _INPUTS // max(1, inputs))
    return max(1, min(fitting, _MOST, max(_FEWEST, _UPDATES // updates)))


def _check_thresholds(settings: Settings, outputs: Mapping[str, Output]) -> None:
    if not settings.thresholds:
        return
    shapes = {name: output.shape for name, output in outputs.items()}
    if not any(output.classes for output in outputs.values()):
        raise SimulationError(
            f"thresholds of early exit need an output that tells classes apart, got shapes {shapes}"
        )
    if settings.metric is not None and len(outputs) > 1:
        raise SimulationError(
            "thresholds of early exit and a metric need one output: which of several says when a "
            f"sample is done? Got shapes {shapes}"
        )


def _refuse_frames(encoders: Mapping[str, Encoder]) -> None:
    """Signed digits answer each frame, and an evaluation compares one answer a sample."""
    for name, encoder in encoders.items():
        if isinstance(encoder, Events | Frames):
            raise SimulationError(
                f"input {name!r}: with signed digits every frame has an answer, and evaluate "
                f"expects one a sample. Run the frames, run(x, encoder={encoder!r}), and compare "
                "predict_frames() with your labels"
            )


def _refuse_foreign(encoders: Mapping[str, Encoder], metric: Metric | None) -> None:
    """Workers elsewhere run no code of a user's."""
    for name, encoder in encoders.items():
        if not type(encoder).__module__.startswith("spikewright."):
            raise SimulationError(
                f"the encoder of input {name!r} is of a class of one's own, "
                f'{type(encoder).__name__}, which no worker elsewhere has: use executor="local"'
            )
    if metric is not None:
        raise SimulationError(
            f"metric {metric.name!r} is a function of one's own, which no worker elsewhere has: "
            'use executor="local"'
        )
