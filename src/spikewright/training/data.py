"""Samples as a training sees them: shuffled batches of arrays, or a user's own batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import SimulationError, TrainingError
from spikewright.evaluation.data import DataReader, Shard
from spikewright.measure.targets import Targets
from spikewright.running.protocols import ConversionLike
from spikewright.running.recording import outputs_of

_ALL = 2**62  # samples of one shard, where all are read at once
_UNKNOWN = 100  # batches of an iterable that does not tell


@dataclass(frozen=True, eq=False)
class TrainingSamples(Shard):
    """Samples at hand: `x` arrays by input, `y` what is known of outputs.

    `aside` are arrays that were computed of them, row by row, such as a teacher's outputs.
    """

    aside: Mapping[str, NDArray] = field(default_factory=dict)

    def at(self, chosen: Any) -> TrainingSamples:
        """Some of them, by number."""

        def some(arrays: Mapping[str, Any]) -> dict[str, Any]:
            return {name: values[chosen] for name, values in arrays.items()}

        return TrainingSamples(0, some(self.x), some(self.y), some(self.aside))

    @classmethod
    def joined(cls, parts: Sequence[TrainingSamples]) -> TrainingSamples:
        """All samples of some parts, in order; nothing is aside."""
        first = parts[0]
        x = {name: np.concatenate([part.x[name] for part in parts]) for name in first.x}
        y = {
            name: Targets(truth.kind, np.concatenate([part.y[name].values for part in parts]))
            for name, truth in first.y.items()
        }
        return cls(0, x, y)

    def batches(self, size: int) -> Iterator[TrainingSamples]:
        """In their order."""
        for start in range(0, len(self), size):
            yield self.at(slice(start, start + size))

    def shuffled(self, size: int, seed: int, epoch: int) -> Iterator[TrainingSamples]:
        """In an order that depends on the seed and the epoch's number alone."""
        yield from self.at(np.random.default_rng((seed, epoch)).permutation(len(self))).batches(
            size
        )

    def count(self, size: int) -> int:
        """Batches of an epoch."""
        return -(-len(self) // size)

    def first(self, most: int, seed: int) -> TrainingSamples:
        """So many of those that the first epoch begins with."""
        return next(iter(self.shuffled(most, seed, 0)))

    def divided(self, share: float, seed: int) -> tuple[TrainingSamples, TrainingSamples]:
        """Those to train on, and a share that is held back."""
        held = round(share * len(self))
        order = np.random.default_rng((seed, 2**31)).permutation(len(self))
        return self.at(np.sort(order[held:])), self.at(np.sort(order[:held]))


class SampleStream:
    """Batches from an iterable of the user's, which is gone through once an epoch.

    A `DataLoader`'s own generator of random numbers is seeded anew for each epoch, so that its
    order depends on the seed and the epoch's number alone. `once` is True of an iterator, which is
    at its end after one epoch.
    """

    def __init__(self, reader: DataReader, source: Iterable[Any]) -> None:
        self._reader, self._source = reader, source
        self.once = isinstance(source, Iterator)
        self._ahead: list[Any] = []  # batches of an iterator that come all the same

    def count(self, size: int) -> int:
        """Batches of an epoch, at least about."""
        try:
            return max(1, len(self._source))  # type: ignore[arg-type]
        except TypeError:
            return _UNKNOWN

    def first(self, least: int, seed: int) -> TrainingSamples:
        """The first batches, of so many samples or more; of an iterator the first one alone."""
        parts: list[TrainingSamples] = []
        if self.once:
            self._ahead = list(islice(self._source, 1))
            if not self._ahead:
                raise TrainingError("x gave no batch: a generator is gone through once")
            parts.extend(self._read(self._ahead[0]))
        else:
            for batch in self.shuffled(least, seed, 0):
                parts.append(batch)
                if sum(map(len, parts)) >= least:
                    break
        return TrainingSamples.joined(parts)

    def shuffled(self, size: int, seed: int, epoch: int) -> Iterator[TrainingSamples]:
        """As they come; raises `TrainingError` where there are none, as at a generator's end."""
        generator = getattr(self._source, "generator", None)
        if generator is not None and hasattr(generator, "manual_seed"):
            generator.manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))
        ahead, self._ahead = self._ahead, []
        found = False
        for batch in chain(ahead, self._source):
            found = True
            yield from self._read(batch)
        if not found:
            raise TrainingError(
                f"epoch {epoch + 1}: x gave no batch. A generator is at its end after one epoch: "
                "give a list of batches, a DataLoader or arrays"
            )

    def _read(self, batch: Any) -> Iterator[TrainingSamples]:
        """The samples of a batch."""
        yield from map(_samples, self._reader.shards([batch], None, _ALL))


def data_of(conversion: ConversionLike, x: Any, y: Any) -> TrainingSamples | SampleStream:
    """A user's data; raises `SimulationError` where it does not fit."""
    reader = _reader(conversion)
    batches = isinstance(x, Iterable) and not isinstance(x, tuple | str | bytes)
    if batches and not reader.at_once(x, y):
        return SampleStream(reader, x)
    return _all_of(reader, x, y)


def held_back(conversion: ConversionLike, given: Any) -> TrainingSamples:
    """Samples to judge by, as a user gave them: `(x, y)`, x alone, or an iterable of batches."""
    reader = _reader(conversion)
    x, y = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    try:
        return _all_of(reader, x, y)
    except SimulationError as error:
        raise SimulationError(f"validation: {error}") from error


def _reader(conversion: ConversionLike) -> DataReader:
    graph = conversion.graph
    shapes = {name: graph.shapes[name] for name in graph.inputs}
    return DataReader(graph.structure, outputs_of(conversion.lowered), held=shapes)


def _all_of(reader: DataReader, x: Any, y: Any) -> TrainingSamples:
    (shard,) = reader.shards(x, y, _ALL)
    return _samples(shard)


def _samples(shard: Shard) -> TrainingSamples:
    """The samples of a shard; raises `SimulationError` for values that are not finite."""
    for name, values in shard.x.items():
        bad = int(np.size(values) - np.isfinite(values).sum())
        if bad:
            raise SimulationError(
                f"input {name!r}: {bad} of {np.size(values)} values are NaN or infinite"
            )
    return TrainingSamples(0, shard.x, shard.y)
