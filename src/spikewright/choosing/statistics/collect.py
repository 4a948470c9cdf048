"""Calibration data as users give it, and its statistics: every sample is evaluated alone.

So its batch cannot matter. Data are all inputs at once, or batches of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_array, readable
from spikewright._base.progress import progress_bar
from spikewright._base.samples import Extents, InputTree, check_rows, duration, format_shape, held
from spikewright.choosing.statistics.channels import by_channel, channel_axis, channels_of
from spikewright.choosing.statistics.fingerprint import KEPT, Examples, fingerprint
from spikewright.choosing.statistics.histogram import Collector
from spikewright.choosing.statistics.statistics import LayerStatistics, Statistics, refusal
from spikewright.graph import Graph, Sequences, values_in_order
from spikewright.graph.layers import Activation
from spikewright.graph.masks import masks_of

Batch = dict[str, NDArray]


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


def _structure(graph: Graph, sequences: Sequences | None) -> InputTree:
    """The structures in which all inputs of the source may be given at once."""
    shapes = _shapes(graph, sequences)
    places = {name: graph.structure.places[name] for name in shapes}
    return InputTree(places, {name: len(shape) for name, shape in shapes.items()})


def _float64(array: NDArray) -> NDArray:
    return array.astype(np.float64) + 0.0  # there is one zero


def count_of(data: Any, graph: Graph, sequences: Sequences | None = None) -> int | None:
    """The number of samples, or None where only reading them tells."""
    found = _structure(graph, sequences).find(data) or {}
    first: Any = next(iter(found.values()), None)
    return len(first) if is_array(first) and first.shape else None


def _parts(data: Any, structure: InputTree) -> Iterator[tuple[str, dict[str, Any]]]:
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


def _named(batch: Any, structure: InputTree, place: str) -> dict[str, Any]:
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


Values = Mapping[str, NDArray]


def collect(
    graph: Graph,
    names: Sequence[str],
    data: Any,
    progress: bool = True,
    sequences: Sequences | None = None,
) -> Statistics:
    """Statistics of the layers `names` of a graph on data , as `batches` takes it.

    Of a graph of one step of `sequences` they are of all steps, with the states that the source has
    there; layers that only lead to the end of a sequence are recorded there. Raises
    `ConversionError` for data that does not fit, and for values that are no finite numbers.
    """
    count = 0
    read = {_LayerCollector(graph, name).read for name in names}
    expected = count_of(data, graph, sequences)
    with progress_bar(expected, progress, "calibration samples") as advance:

        def evaluated() -> Iterable[tuple[Batch, Values]]:
            nonlocal count
            for sample in samples(data, graph, sequences):
                if sequences is None:
                    yield sample, {n: v for n, v in values_in_order(graph, sample) if n in read}
                else:
                    yield from sequences.evaluate(graph, sample)
                count += 1
                advance(1)

        return replace(collect_values(graph, names, evaluated()), samples=count)


def collect_values(
    graph: Graph, names: Sequence[str], evaluated: Iterable[tuple[Batch, Values]]
) -> Statistics:
    """Statistics of layers from inputs `(batch, *shape)` and the values that they cause.

    A layer is recorded where the value that it reads is given. Entries that belong to padding count
    for nothing, and what inputs hold there is no part of the examples (see `graph.masks`). Raises
    `ConversionError` for values that are no finite numbers.
    """
    layers, masks = [_LayerCollector(graph, name) for name in names], masks_of(graph)
    examples: list[Examples] = []
    count = 0
    for inputs, values in evaluated:
        real = masks.real(inputs)
        for layer in layers:
            if layer.read in values:
                layer.add(values[layer.read], None if real is None else real.of(layer.read))
        inputs = masks.without_content(inputs)
        size = len(next(iter(inputs.values())))
        for i in range(size):
            sample = {name: v[i : i + 1] for name, v in inputs.items()}
            examples.append(Examples.of(sample, None if real is None else real.left(inputs, i)))
        if len(examples) > 4 * KEPT:
            examples = [Examples.join(examples)]
        count += size
        del values  # before the next ones are computed
    found = {layer.name: layer.result() for layer in layers}
    return Statistics(found, count, fingerprint(graph), Examples.join(examples))


class _LayerCollector:
    """One layer's values while they are collected."""

    def __init__(self, graph: Graph, name: str) -> None:
        node = graph[name]
        self.name = name
        self.rectifies = isinstance(node.layer, Activation) and node.layer.function == "relu"
        self.read = node.inputs[0] if self.rectifies else name
        self.shape, self.axis = graph.shapes[name], channel_axis(graph, name)
        self._collector = Collector(channels_of(self.shape, self.axis))
        self._evaluated = 0

    def add(self, value: NDArray, real: NDArray | None) -> None:
        """Take the layer's values `(batch, *shape)`, or those that are `real`."""
        if real is not None:
            real = by_channel(np.broadcast_to(real, value.shape), self.axis)
        self._evaluated += len(value)
        try:
            self._collector.add(by_channel(value, self.axis), real)
        except ValueError as error:
            raise refusal(f"on this data layer {self.name!r} computes {error}") from None

    def result(self) -> LayerStatistics:
        """The statistics of the layer, as collected."""
        return LayerStatistics(
            shape=self.shape,
            axis=self.axis,
            rectifies=self.rectifies,
            evaluated=self._evaluated,
            values=self._collector.result(),
        )
