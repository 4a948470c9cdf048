"""Evaluation of one shard: it is run, and its results are counted.

A worker elsewhere gets the conversion as the bytes of a saved file: data, never code.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from numpy.typing import NDArray

from spikewright.engines import Precision, Totals
from spikewright.engines.memory import available
from spikewright.evaluation.data import Shard
from spikewright.evaluation.operations import OperationCounter
from spikewright.evaluation.settings import Settings
from spikewright.graph import Graph
from spikewright.lower import Lowered, Options, lower
from spikewright.measure.activity import count
from spikewright.measure.exact_counts import ExactCounts, Key, concatenated, joined_steps
from spikewright.measure.scores import metric_scores, scores, scores_of_model
from spikewright.measure.targets import Targets, given_of, place_of
from spikewright.network import Node
from spikewright.passes.standard import run as run_passes
from spikewright.running.inputs import Feeds, encoders_for, feeds_of, without_held
from spikewright.running.recording import outputs_of, real_outputs
from spikewright.running.runner import RunJob, Runner, RunPart, Whole
from spikewright.running.single_step import SingleStepNetwork, StepAnswers, rounded
from spikewright.running.storage import from_bytes

Outputs = Mapping[str, NDArray]


def operations_of(runner: Runner, settings: Settings) -> OperationCounter:
    """The counter of a network's operations; raises as `OperationCounter` does."""
    lowered = runner.lowered
    encoders = encoders_for(without_held(settings.encoder, lowered), lowered.inputs)
    program = runner.program(settings.dt, settings.seed, settings.precision)
    return OperationCounter(lowered, runner.counting(), encoders, settings.dt, program)


class SourceNetwork(SingleStepNetwork):
    """The source model's outputs: the rate network of a graph that was read, on an exact engine.

    Unlike a matrix library's, its results depend neither on the batch nor on processor and threads.
    """

    def __init__(self, graph: Graph, precision: Precision, threads: int | None) -> None:
        canonical, _ = run_passes(graph)
        super().__init__(lower(canonical, Options()), 1.0, 0, precision, threads)


class ShardEvaluator:
    """Evaluates shards of a lowered network, which came from `graph`."""

    def __init__(self, runner: Runner, graph: Graph, settings: Settings) -> None:
        self._runner, self._graph, self.settings = runner, graph, settings
        self._outputs = outputs_of(runner.lowered)
        self._names = {node: name for name, node in runner.lowered.inputs.items()}
        self._source: SourceNetwork | None = None
        self._twins = _rounded_twins(runner.lowered, settings)
        self._rounded: dict[int, SingleStepNetwork] = {}
        self._all_known = runner.counting().keys() == runner.populations().keys()
        self._operations = operations_of(runner, settings) if settings.operations else None
        self._one_at_a_time = threading.Lock()

    def __call__(
        self, shard: Shard, threads: int | None = None, source: StepAnswers | None = None
    ) -> ExactCounts:
        """The counts of a shard; raises what `Conversion.run` raises.

        `source` are the source model's answers, where they are known. One shard at a time: an
        engine uses all threads that it is given.
        """
        with self._one_at_a_time:
            return self._counted(shard, self.settings.threads or threads, source)

    def source(self, shard: Shard, threads: int | None = None) -> StepAnswers | None:
        """The source model's answers for a shard; None where they are not asked for."""
        with self._one_at_a_time:
            return self._source_answers(self._fed(shard), self.settings.threads or threads)

    def _fed(self, shard: Shard) -> Feeds:
        given, lowered = self.settings, self._runner.lowered
        encoder = without_held(given.encoder, lowered)
        return feeds_of(shard.x, lowered.inputs, encoder, given.steps, given.dt, given.seed)

    def _counted(
        self, shard: Shard, threads: int | None, source: StepAnswers | None
    ) -> ExactCounts:
        given, fed = self.settings, self._fed(shard)
        whole, counted = Whole(fed.batch), []
        for part in self._run(fed, threads):
            whole.add(part.samples, part.raw)
            counted.append(joined_steps(list(part.counted.values())))
        raw, activity = whole.arrays, concatenated(counted)
        source = self._source_answers(fed, threads) if source is None else source
        answers: Outputs = {} if source is None else source.outputs
        truths = shard.y if given.metric is None else {}
        real = real_outputs(self._runner.lowered, fed)
        rows: dict[Key, NDArray] = {}
        for name, output in self._outputs.items():
            truth, counts = truths.get(name), real.get(name)
            rows |= scores(
                output=output, raw=raw[name], source=answers.get(name), truth=truth,
                readouts=given.readouts, dt=given.dt, real=counts,
                thresholds=given.thresholds if output.classes else (),
            )  # fmt: skip
        if given.metric is not None:
            rows |= metric_scores(
                metric=given.metric, outputs=self._outputs, raw=raw, source=answers, truths=shard.y,
                readouts=given.readouts, dt=given.dt, thresholds=given.thresholds,
            )  # fmt: skip
        rows |= self._rounded_scores(fed, truths, shard.y, threads)
        if source is not None and self._all_known:
            rows["active",] = source.active
        return ExactCounts({**rows, **activity.samples}, activity.sums)

    def _run(self, fed: Feeds, threads: int | None) -> Iterator[RunPart[ExactCounts]]:
        given, runner = self.settings, self._runner
        whole = given.at == (given.steps,)
        program = runner.program(
            given.dt, given.seed, given.precision, own_steps=whole, moving=fed.moving
        )
        engine = runner.engine(given.engine, program, threads)
        job = RunJob(program, engine, fed.values, fed.batch, given.steps)
        size = given.batch_size or runner.batch_size(engine, fed.sample_bytes())
        runner.memory(job, size, keep_totals=False).only("recording", "totals").require(
            available(), f"an evaluation of {fed.batch} samples at a time and {given.steps} steps"
        )

        def counted(step: int, totals: dict[str, Totals], fed: dict[Node, NDArray]) -> ExactCounts:
            exact_counts = count(runner.counted(totals), step, runner.sending_steps(step))
            if self._operations is None:
                return exact_counts
            sent = {name: total.sent for name, total in totals.items()}
            return ExactCounts(
                exact_counts.samples,
                {**exact_counts.sums, **self._operations.count(step, sent, fed)},
            )

        return runner.parts(job, size, counted, given.at)

    def _source_answers(self, fed: Feeds, threads: int | None) -> StepAnswers | None:
        if not self.settings.source:
            return None
        if self._source is None:
            self._source = SourceNetwork(self._graph, self.settings.precision, threads)
        return self._source.answers(fed, self._names)

    def _rounded_scores(
        self,
        fed: Feeds,
        truths: Mapping[str, Targets],
        y: Mapping[str, Targets],
        threads: int | None,
    ) -> dict[Key, NDArray]:
        """The scores of the rounded twins, one for each number of steps that is looked at."""
        given, rows = self.settings, dict[Key, NDArray]()
        real = real_outputs(self._runner.lowered, fed)
        for steps, twin in self._twins.items():
            if steps not in self._rounded:
                dt = steps * given.dt
                still = SingleStepNetwork(twin, dt, given.seed, given.precision, threads)
                self._rounded[steps] = still
            values = self._rounded[steps].answers(fed, self._names).outputs
            found: dict[Key, NDArray] = {}
            for name, output in self._outputs.items():
                truth, counts = truths.get(name), real.get(name)
                found |= scores_of_model("rounded", output, values[name], truth, counts)
            if given.metric is not None:
                found["rounded score", place_of(self._outputs)] = given.metric(values, given_of(y))
            rows |= {(*key, str(steps)): row for key, row in found.items()}
        return rows


def _rounded_twins(lowered: Lowered, settings: Settings) -> dict[int, Lowered]:
    """The rounded twins of runs of so many steps as results are asked for; none where none is.

    That of digits says all of them.
    """
    if not settings.source:
        return {}
    at = settings.at if lowered.times is None else [settings.steps]
    twins = {steps: rounded(lowered, steps) for steps in at}
    return {steps: twin for steps, twin in twins.items() if twin is not None}


@dataclass(frozen=True)
class SerializedEvaluator:
    """A conversion as the bytes of a saved file, and settings: the data for workers elsewhere.

    `key` says which it is, so that a worker opens it once.
    """

    key: str
    content: bytes = field(compare=False, repr=False)
    settings: Settings = field(compare=False)


class Task(NamedTuple):
    """A shard to be done, and the key that its result is stored under.

    `source` are the source model's answers, where they are known; `keep` asks for them.
    """

    key: str
    shard: Shard
    source: StepAnswers | None = None
    keep: bool = False


class Done(NamedTuple):
    """A shard's result, and the source model's answers where they were asked for."""

    key: str
    shard: int
    exact_counts: ExactCounts
    source: StepAnswers | None = None


_opening = threading.Lock()


def evaluate_shard(
    shared: ShardEvaluator | SerializedEvaluator, task: Task, threads: int | None
) -> Done:
    """Evaluate the shard of a task, in this process or on a worker."""
    with _opening:
        work = _deserialized(shared) if isinstance(shared, SerializedEvaluator) else shared
    source = task.source
    if source is None and task.keep:
        source = work.source(task.shard, threads)
    exact_counts = work(task.shard, threads, source)
    return Done(task.key, task.shard.index, exact_counts, source if task.keep else None)


@lru_cache(maxsize=1)
def _deserialized(packed: SerializedEvaluator) -> ShardEvaluator:
    parts = from_bytes(packed.content)
    return ShardEvaluator(Runner(parts.lowered), parts.graph, packed.settings)
