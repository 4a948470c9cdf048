"""The calibration data of a source model, and its statistics: collected once, kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spikewright._base.progress import progress_bar
from spikewright.advice import advise
from spikewright.choosing import Statistics, collect, fingerprint
from spikewright.choosing.statistics.collect import Batch, batches, count_of, gather
from spikewright.choosing.statistics.statistics import refusal
from spikewright.executors import Executor
from spikewright.graph import Graph, Sequences

_SHARD = 64  # samples that are collected at once
_MEASURED = 256  # samples that a network is run on to see what it sends


class Calibration:
    """The value of `calibration=`, for a source that may be converted many times.

    The statistics of the same object under the same graph are collected once. An iterator, which
    can be read only once, is kept in memory where samples are needed too.
    """

    def __init__(self) -> None:
        self._statistics: list[tuple[Any, str, Statistics]] = []
        self._samples: list[tuple[Any, list[Batch]]] = []

    def statistics(
        self, data: Any, graph: Graph, names: Sequence[str], sequences: Sequences | None = None
    ) -> Statistics:
        """Statistics of layers from data, from `Statistics` or from a file of them.

        Raises `ConversionError` for data that does not fit and for statistics of another model;
        `MissingFileError` and `DamagedFileError` for files.
        """
        mark = fingerprint(graph)
        if is_statistics(data):
            given = data if isinstance(data, Statistics) else Statistics.load(data)
            found = given.in_names_of(graph)
            found.check(mark, names)
            return found.at_every_step()
        for known, its_mark, statistics in self._statistics:
            if known is data and its_mark == mark:
                return statistics
        gathered = self._gathered(data)
        found = collect(graph, names, gathered, sequences=sequences).at_every_step()
        self._statistics.append((data, mark, found))
        return found

    def samples(self, data: Any, graph: Graph) -> Batch:
        """All samples, `{input name: (batch, *shape)}`, for code that has to run the network.

        Raises `ConversionError` where the data is not at hand: none, statistics of it, or an
        iterator that was read before.
        """
        if data is None or is_statistics(data):
            given = "none was given" if data is None else "statistics of it were"
            raise refusal(
                f"a correction runs the network on data, and {given}", advise("data for a rule")
            )
        (found,) = self._kept(data, graph)
        return found

    def some(self, data: Any, graph: Graph, sequences: Sequences | None = None) -> list[Batch]:
        """Samples to measure on: all, or some that are spread evenly, those of a length together.

        Of statistics the few examples that they hold, but none of sequences. Raises as `samples`.
        """
        if is_statistics(data):
            statistics = self.statistics(data, graph, ())
            return [] if sequences else [dict(statistics.examples.values)]
        found = self._kept(data, graph, sequences)
        share = min(1.0, _MEASURED / sum(map(count, found)))
        return [_spread(batch, max(1, round(share * count(batch)))) for batch in found]

    def _kept(self, data: Any, graph: Graph, sequences: Sequences | None = None) -> list[Batch]:
        """The data in memory: one batch, or of sequences one for each length."""
        for known, samples in self._samples:
            if known is data:
                return samples
        if isinstance(data, Iterator) and any(known is data for known, *_ in self._statistics):
            raise refusal("this iterator was read before, and it can be read once", "Give a list")
        found = gather(data, graph, sequences)
        self._samples.append((data, found))
        return found

    def _gathered(self, data: Any) -> Any:
        """The samples where they are kept already, else the data."""
        return next((samples for known, samples in self._samples if known is data), data)


def is_statistics(data: Any) -> bool:
    """Whether calibration data is statistics of it, or a file of them."""
    return isinstance(data, Statistics | str | Path)


def _spread(batch: Batch, most: int) -> Batch:
    """At most so many samples, as far apart as can be."""
    places = np.linspace(0, count(batch) - 1, min(most, count(batch))).round().astype(int)
    return {name: array[places] for name, array in batch.items()}


def collect_sharded(
    graph: Graph,
    names: Sequence[str],
    data: Any,
    executor: Executor,
    progress: bool,
    sequences: Sequences | None = None,
) -> Statistics:
    """Statistics of layers, some samples at a time wherever the executor does them.

    Place and order of collecting do not affect the result: joining is exact.
    """
    found: list[Statistics] = []
    expected = count_of(data, graph, sequences)
    with progress_bar(expected, progress, "calibration samples") as advance:
        shared = graph, tuple(names), sequences
        shards = _shards(data, graph, sequences)
        for part in executor.completed(_collect_shard, shared, shards):
            found = [Statistics.join([*found, part])]
            advance(part.samples)
    return found[0].require_values()


def _collect_shard(
    shared: tuple[Graph, tuple[str, ...], Sequences | None], shard: Batch, threads: int | None
) -> Statistics:
    """The statistics of some samples."""
    graph, names, sequences = shared
    return collect(graph, names, shard, progress=False, sequences=sequences)


def _shards(data: Any, graph: Graph, sequences: Sequences | None) -> Iterator[Batch]:
    """The data, at most `_SHARD` samples at a time."""
    for batch in batches(data, graph, sequences):
        yield from parts(batch, _SHARD)


def count(samples: Batch) -> int:
    """The number of samples."""
    return len(next(iter(samples.values())))


def parts(samples: Batch, size: int) -> Iterator[Batch]:
    """`size` samples at a time."""
    for start in range(0, count(samples), size):
        yield {name: np.asarray(array[start : start + size]) for name, array in samples.items()}
