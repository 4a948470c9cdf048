"""Calibration data as users give it, sample by sample: all inputs at once, or batches of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_array, readable, refuse
from spikewright._base.samples import Extents, Structure, check_rows, duration, format_shape, held
from spikewright.errors import ConversionError
from spikewright.graph import Graph, Sequences

Batch = dict[str, NDArray]


def refusal(reason: str, options: str = "") -> ConversionError:
    """An error about the argument `calibration`."""
    return refuse("calibration", reason, options)


def batches(data: Any, graph: Graph, sequences: Sequences | None = None) -> Iterator[Batch]:
    """The data as checked batches, `{input name: (batch, *shape)}`.

    `data` is an array `(batch, *shape)`; of several inputs `{name: array}` or the structure of the
    source's own call. It may be an iterable of these, or of `(x, y)` pairs, whose y is ignored.
    Raises `ConversionError` for other data, for shapes that fit no input, for values that are not
    finite, and for no samples. Of a graph of one step of `sequences` samples are whole sequences,
    those of a batch of a length.
    """
    shapes = _shapes(graph, sequences)
    structure = _structure(graph, sequences)
    count = 0
    for place, batch in _parts(data, structure):
        made = _checked(batch, shapes, graph.structure.rows, place)
        count += len(next(iter(made.values())))
        yield made
    if count == 0:
        raise refusal("it holds no samples", "Give some hundred of them, batch axis first")


def gather(data: Any, graph: Graph, sequences: Sequences | None = None) -> list[Batch]:
    """All samples in one batch of float64, of sequences in one for each length.

    Raises as `batches` does.
    """
    parts: dict[Any, list[Batch]] = {}
    for batch in batches(data, graph, sequences):
        shapes = tuple(array.shape[1:] for array in batch.values())
        parts.setdefault(shapes, []).append(batch)
    return [
        {name: np.concatenate([_float64(batch[name]) for batch in some]) for name in some[0]}
        for some in parts.values()
    ]


def samples(data: Any, graph: Graph, sequences: Sequences | None = None) -> Iterator[Batch]:
    """One sample after the other, each a float64 batch of one; raises as `batches` does."""
    for batch in batches(data, graph, sequences):
        for i in range(len(next(iter(batch.values())))):
            yield {name: _float64(array[i : i + 1]) for name, array in batch.items()}


def _shapes(graph: Graph, sequences: Sequences | None) -> Mapping[str, Extents]:
    """The shape of a sample of every input."""
    if sequences is not None:
        return sequences.shapes(graph)
    return {name: graph.shapes[name] for name in graph.inputs}


def _structure(graph: Graph, sequences: Sequences | None) -> Structure:
    """The structures in which all inputs of the source may be given at once."""
    shapes = _shapes(graph, sequences)
    places = {name: graph.structure.places[name] for name in shapes}
    return Structure(places, {name: len(shape) for name, shape in shapes.items()})


def _float64(array: NDArray) -> NDArray:
    return array.astype(np.float64) + 0.0  # there is one zero


def count_of(data: Any, graph: Graph, sequences: Sequences | None = None) -> int | None:
    """The number of samples, or None where only reading them tells."""
    found = _structure(graph, sequences).find(data) or {}
    first: Any = next(iter(found.values()), None)
    return len(first) if is_array(first) and first.shape else None


def _parts(data: Any, structure: Structure) -> Iterator[tuple[str, dict[str, Any]]]:
    """The batches, each by input name, and a name for each."""
    whole = structure.find(data)
    if whole is not None or isinstance(data, Mapping):
        yield "", _named(data, structure, "")
        return
    if isinstance(data, tuple):
        raise refusal(
            "a tuple may mean a pair (x, y) or two batches",
            "Give x alone, or batches in a list",
        )
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise refusal(
            f"{type(data).__name__} is not data",
            "Give an array with a batch axis, {input name: array}, or an iterable of either",
        )
    for index, item in enumerate(data):
        place = f"batch {index}: "
        found = structure.split(item)
        if found is None and isinstance(item, list | tuple):
            what = f"it holds {len(item)} things, not the inputs, or the inputs and y"
            raise refusal(f"{place}{what}", "Give arrays")
        yield place, _named(item, structure, place) if found is None else found[0]


def _named(batch: Any, structure: Structure, place: str) -> dict[str, Any]:
    """A batch by input name; raises `ConversionError` where it does not hold all inputs."""
    try:
        return structure.named(batch)
    except ValueError as error:
        raise refusal(f"{place}{error}") from None


def _checked(
    batch: Mapping[str, Any],
    shapes: Mapping[str, Extents],
    rows: Mapping[str, NDArray],
    place: str,
) -> Batch:
    """One batch by input name; raises `ConversionError` where it does not fit the inputs."""
    made = {name: _array(name, batch[name], shape, place) for name, shape in shapes.items()}
    for name, array in made.items():
        try:
            check_rows(array, rows.get(name))
        except ValueError as error:
            raise refusal(f"{place}input {name!r} {error}") from None
    sizes = {name: len(array) for name, array in made.items()}
    if len(set(sizes.values())) > 1:
        raise refusal(f"{place}inputs have different batch sizes: {sizes}")
    lengths = {n: made[n].shape[1 + s.index(None)] for n, s in shapes.items() if None in s}
    if len(set(lengths.values())) > 1:
        raise refusal(f"{place}sequences have different lengths: {lengths} steps")
    return made


def _array(name: str, value: Any, shape: Extents, place: str) -> NDArray:
    what = f"{place}input {name!r}"
    try:
        value = readable(value)
    except TypeError as error:
        raise refusal(f"{what}: {error}") from None
    if not (is_array(value) or isinstance(value, Sized)):
        raise refusal(f"{what} is {value!r}, which is no array")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise refusal(f"{what} is no array of numbers: {error}") from None
    if array.dtype.kind not in "buif":
        raise refusal(f"{what} holds {array.dtype}, which are no real numbers")
    found = held(array, shape)
    if found is None:
        timed = duration(array, shape) is not None
        raise refusal(
            f"{what} must be {format_shape(shape)}, got shape {array.shape}",
            "Calibrate on values, without an axis of time" if timed else "",
        )
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise refusal(f"{what}: {bad} of {array.size} values are NaN or infinite")
    return found
