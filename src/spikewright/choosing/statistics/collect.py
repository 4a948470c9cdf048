"""Statistics from data: every sample is evaluated alone, so that its batch cannot matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.progress import progress_bar
from spikewright.choosing.statistics.batches import Batch, count_of, refusal, samples
from spikewright.choosing.statistics.channels import by_channel, channel_axis, channels_of
from spikewright.choosing.statistics.fingerprint import KEPT, Examples, fingerprint
from spikewright.choosing.statistics.histogram import Collector
from spikewright.choosing.statistics.statistics import LayerStatistics, Statistics
from spikewright.graph import Graph, Sequences, evaluate_all
from spikewright.graph.layers import Activation
from spikewright.graph.masks import masks_of

Values = Mapping[str, NDArray]


def collect(
    graph: Graph,
    names: Sequence[str],
    data: Any,
    progress: bool = True,
    sequences: Sequences | None = None,
) -> Statistics:
    """Statistics of the layers `names` of a graph on data (see `batches.py`).

    Of a graph of one step of `sequences` they are of all steps, with the states that the source has
    there; layers that only lead to the end of a sequence are recorded there. Raises
    `ConversionError` for data that does not fit, and for values that are no finite numbers.
    """
    count = 0
    expected = count_of(data, graph, sequences)
    with progress_bar(expected, progress, "calibration samples") as advance:

        def evaluated() -> Iterable[tuple[Batch, Values]]:
            nonlocal count
            for sample in samples(data, graph, sequences):
                if sequences is None:
                    yield sample, evaluate_all(graph, sample)
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
