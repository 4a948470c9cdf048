"""Data sets as shards: parts of fixed size, aligned to the number of the first sample.

Where a shard begins depends on nothing but the size of shards, so that results do not depend on the
batches that data comes in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import readable
from spikewright._base.samples import Extents, InputTree, held_constant
from spikewright.errors import SimulationError
from spikewright.measure.targets import Output, Targets, targets_of
from spikewright.running.inputs import as_named, check_numbers, fitted

Arrays = dict[str, Any]  # by input name: arrays as they were given, or lists of events
TargetsByOutput = dict[str, Targets]  # by output name, where it is known
Piece = tuple[Arrays, TargetsByOutput]

_NUMBERS, _WORDS = "biuf", "US"  # kinds of NumPy's types


@dataclass(frozen=True, eq=False)
class Shard:
    """Samples that are evaluated together: inputs, and the truth about outputs where known."""

    index: int
    x: Arrays
    y: TargetsByOutput

    def __len__(self) -> int:
        return len(next(iter(self.x.values())))

    @cached_property
    def digest(self) -> str:
        """The digest of its data."""
        digest = hashlib.sha256()
        for name in sorted(self.x):
            values = self.x[name]
            for part in values if isinstance(values, list) else [values]:
                add_array(digest, name, part)
        for name in sorted(self.y):
            add_array(digest, f"{self.y[name].kind} {name}", self.y[name].values)
        return digest.hexdigest()


def add_array(digest: Any, name: str, value: Any) -> None:
    """Add an array under a name: its type, shape and bytes."""
    array = np.ascontiguousarray(value)
    digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
    digest.update(array.reshape(-1).view(np.uint8).data)


@dataclass(frozen=True)
class DataReader:
    """Reads a user's data: all inputs at once, or any iterable of batches `(x, y)`.

    Whether y holds labels or targets is decided for the samples given at once: all of them, or a
    batch. With a `metric` the metric decides: an array, or arrays by any names. With `held`, the
    shapes of samples by input name, inputs have these shapes, held constant.
    """

    inputs: InputTree
    outputs: Mapping[str, Output]
    metric: bool = False
    held: Mapping[str, Extents] = field(default_factory=dict)

    def length(self, x: Any, y: Any) -> int | None:
        """The number of samples, or None where only reading tells."""
        first = next(iter((self.inputs.find(x) or {}).values()), None)
        return len(first) if isinstance(first, Sized) else None

    def at_once(self, x: Any, y: Any) -> bool:
        """True for all samples at once, False for an iterable of batches."""
        return y is not None or isinstance(x, Mapping) or self.inputs.find(x) is not None

    def shards(self, x: Any, y: Any, size: int) -> Iterator[Shard]:
        """The data in shards of `size` samples, the last of which may be shorter.

        Raises `SimulationError` for data that cannot be read, and for no samples.
        """
        whole = self.at_once(x, y)
        pieces = [self._piece(as_named(x, self.inputs), y)] if whole else self._batches(x)
        index = -1
        for index, (xs, ys) in enumerate(_cut(pieces, size)):
            yield Shard(index, xs, ys)
        if index < 0:
            raise SimulationError("the data holds no samples: give at least one")

    def _batches(self, x: Any) -> Iterator[Piece]:
        if isinstance(x, tuple):
            raise SimulationError(
                "a tuple may mean a pair (x, y) or batches: give x and y as two arguments, or a "
                "list of batches"
            )
        if not isinstance(x, Iterable):
            raise SimulationError(
                f"x must be an array, {{name: array}} or an iterable of batches (x, y), got a "
                f"{type(x).__name__}"
            )
        for number, batch in enumerate(x):
            found = self.inputs.split(batch)
            if found is None:
                raise SimulationError(
                    f"batch {number} must be (x, y) or x alone, with arrays for the inputs "
                    f"{list(self.inputs.places)}, got a {type(batch).__name__}"
                )
            yield self._piece(*found)

    def _piece(self, x: Arrays, y: Any) -> Piece:
        """Some samples by name of input and output, of one length."""
        lists = self.inputs.lists
        ys = {} if y is None else self._of_outputs(y)
        arrays = {n: list(v) if n in lists else _array(v, n) for n, v in x.items()}
        check_numbers(arrays, self.inputs)
        for name, shape in self.held.items():
            arrays[name] = fitted(name, held_constant, arrays[name], shape, ", held constant")
        kinds = _NUMBERS if not self.metric else _NUMBERS + _WORDS
        given = {n: _array(v, f"y of {n}" if n else "y", kinds) for n, v in ys.items()}
        lengths = {
            n: len(v) for n, v in (*arrays.items(), *((f"y of {k}", t) for k, t in given.items()))
        }
        if len(set(lengths.values())) > 1:
            raise SimulationError(f"data differs in its number of samples: {lengths}")
        return arrays, {name: self._truth(name, value) for name, value in given.items()}

    def _of_outputs(self, y: Any) -> dict[str, Any]:
        """The truth given for outputs, by name; with a metric, truth without a name is under ""."""
        if self.metric:
            return dict(y) if isinstance(y, Mapping) else {"": y}
        names = list(self.outputs)
        if isinstance(y, Mapping):
            unknown = [name for name in y if name not in self.outputs]
            if unknown:
                raise SimulationError(f"y names {unknown}; outputs are {names}")
            return dict(y)
        if len(names) == 1:
            return {names[0]: y}
        if not (isinstance(y, list | tuple) and len(y) == len(names)):
            raise SimulationError(
                f"the network has outputs {names}: give y as {{name: array}}, or as a list of "
                "arrays in this order"
            )
        return dict(zip(names, y, strict=True))

    def _truth(self, name: str, value: NDArray) -> Targets:
        if self.metric:
            return Targets("given", value)
        return targets_of(value, self.outputs[name], len(value))


def _array(value: Any, name: str, kinds: str = _NUMBERS) -> NDArray:
    """An array of one row a sample, of the type that was given."""
    try:
        array = np.asarray(readable(value))
    except (TypeError, ValueError) as error:
        raise SimulationError(f"{name!r} is not an array of numbers: {error}") from None
    if array.dtype.kind not in kinds or array.ndim == 0:
        batched = "" if array.ndim else ": give batches of samples, as a DataLoader makes them"
        raise SimulationError(
            f"{name!r} must be an array of numbers with a row a sample, got shape {array.shape} of "
            f"{array.dtype}{batched}"
        )
    return array


def _cut(pieces: Iterable[Piece], size: int) -> Iterator[Piece]:
    """Batches of any length as batches of `size`."""
    held: list[Piece] = []
    count = 0
    for piece in _alike(pieces):
        start, length = 0, len(next(iter(piece[0].values())))
        while start < length:
            taken = min(size - count, length - start)
            held.append(_rows(piece, slice(start, start + taken)))
            start, count = start + taken, count + taken
            if count == size:
                yield _one(held)
                held, count = [], 0
    if held:
        yield _one(held)


def _alike(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Batches that hold something; raises `SimulationError` where they differ in that."""
    first: list[str] = []
    for x, y in pieces:
        if len(next(iter(x.values()))) == 0:
            continue
        holds = sorted([*x, *(f"{truth.kind} of {name}" for name, truth in y.items())])
        first = first or holds
        if holds != first:
            raise SimulationError(
                f"batches differ in what they hold: {', '.join(first)} in the first, "
                f"{', '.join(holds)} in a later one. Rows of zeros with a single one are class "
                "labels: give labels as whole numbers, one a sample"
            )
        yield x, y


def _rows(piece: Piece, part: slice) -> Piece:
    x, y = piece
    return {n: v[part] for n, v in x.items()}, {n: v[part] for n, v in y.items()}


def _one(held: list[Piece]) -> Piece:
    """Pieces joined."""
    if len(held) == 1:
        return held[0]
    xs, ys = zip(*held, strict=True)
    return (
        {name: _stacked([x[name] for x in xs], name) for name in xs[0]},
        {
            name: Targets(truth.kind, _stacked([y[name].values for y in ys], f"y of {name}"))
            for name, truth in ys[0].items()
        },
    )


def _stacked(parts: list[Any], name: str) -> Any:
    if isinstance(parts[0], list):
        return [sample for part in parts for sample in part]
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        raise SimulationError(f"batches of {name!r} differ in their shape: {sorted(shapes)}")
    return np.concatenate(parts)
