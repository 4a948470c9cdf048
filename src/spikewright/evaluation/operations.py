"""Operations and energy of an evaluation: counted shard by shard, summed as whole numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.engines import Program
from spikewright.graph import Graph
from spikewright.lower import Lowered
from spikewright.measure.energy import energy_records
from spikewright.measure.operations import (
    Counter,
    LayerOperations,
    Operations,
    SourceOperations,
    source_operations,
)
from spikewright.measure.operations.padding import NO_PADDING, Padding, real_products
from spikewright.measure.tally import Key
from spikewright.network import Ensemble, Node
from spikewright.records import Record
from spikewright.running.encoders import Encoder
from spikewright.running.padding import padding_of, real_of

_WHAT = "operations"
_FIELDS = [field.name for field in fields(LayerOperations)]
_FLAGS = ("constant_input", "exact_events")  # summed as the number of samples for which they hold


class OperationCounter:
    """Counts the operations of a lowered network, and makes records of the sums.

    `populations` are all that have neurons, `program` has the decoders of those made by hand.
    """

    def __init__(
        self,
        lowered: Lowered,
        populations: Mapping[str, Ensemble],
        encoders: Mapping[str, Encoder],
        dt: float,
        program: Program,
    ) -> None:
        self._lowered = lowered
        readouts = [activation.function for activation in lowered.readouts.values()]
        self._counter = Counter(lowered.network, populations, lowered.inputs, readouts, program)
        self._populations = dict(populations)
        self._spiking = {n: e for n, e in populations.items() if e.neuron_type.spiking}
        self._inputs = dict(lowered.inputs)
        heights = {name: encoder.spike_height(dt) for name, encoder in encoders.items()}
        self._heights = {name: height for name, height in heights.items() if height is not None}

    def count(
        self, step: int, totals: Mapping[str, NDArray], fed: Mapping[Node, NDArray]
    ) -> dict[Key, NDArray]:
        """Sums of some samples up to a step, `(1,)` each.

        `totals` are `{layer: (samples, *shape)}`, `fed` the values that the run feeds to the
        inputs.
        """
        padding, products = self._padding(fed)
        spikes = {name: totals[name] for name in self._spiking}
        values: dict[str, NDArray] = {}
        for name, node in self._inputs.items():
            given = fed[node][:, :step]
            if name in self._heights:
                sent = np.abs(given).sum(axis=1) * (step if given.shape[1] == 1 else 1)
                spikes[name] = padding.without(node, np.rint(sent / self._heights[name]))
            else:
                values[name] = given[:, 0] if given.shape[1] == 1 else given
        found = self._counter.count(spikes, step, values, padding=padding)
        sums: dict[Key, NDArray] = {
            (_WHAT, layer, name): np.asarray([getattr(counted, name).sum()], np.int64)
            for layer, counted in found.layers.items()
            for name in _FIELDS
        }
        for flag in _FLAGS:
            sums[_WHAT, "", flag] = np.array([found.n * bool(getattr(found, flag))])
        for name, size in found.neurons.items():
            real = padding.real.get(self._populations[name].neurons)
            number = found.n * size if real is None else int(real.sum())
            sums[_WHAT, name, "neurons"] = np.array([number])
        if products is not None:
            sums[_WHAT, "", "source"] = products.sum(keepdims=True)
        return sums

    def _padding(self, fed: Mapping[Node, NDArray]) -> tuple[Padding, NDArray | None]:
        """What is padding in the samples fed, and the products of the source without it.

        The latter `(samples,)`; None of a network without masks.
        """
        lowered, graph = self._lowered, self._lowered.graph
        if lowered.masks is None or graph is None:
            return NO_PADDING, None
        real = real_of(lowered, fed, slice(None))
        if real is None:
            products = sum(source_operations(graph).dense.values())
            return NO_PADDING, np.full(len(next(iter(fed.values()))), products)
        each = {node.name: real_products(graph, node, real) for node in graph}
        return padding_of(lowered, real, each), np.sum([*each.values()], axis=0)

    def records(
        self, sums: Mapping[Key, NDArray], n: int, at: Sequence[int], dt: float, graph: Graph
    ) -> list[Record]:
        """Operations, memory and energy of `n` samples, up to each of the steps in `at`."""
        source = source_operations(graph)
        if (_WHAT, "", "source") in sums:
            products = int(sums[_WHAT, "", "source"][0])
            source = SourceOperations({"": round(products / n)})
        records = self._counter.memory_records({"dt": dt})
        for index, step in enumerate(at):
            operations = self._operations(sums, n, index, step)
            records += operations.records({"dt": dt})
            records += energy_records(operations, source, how={"dt": dt})
        return records

    def _operations(self, sums: Mapping[Key, NDArray], n: int, index: int, step: int) -> Operations:
        """Sums over samples, as counted."""
        nothing = {name: np.zeros((1, *e.shape)) for name, e in self._spiking.items()}
        nothing |= {name: np.zeros((1, *self._inputs[name].shape_out)) for name in self._heights}
        empty = self._counter.count(nothing, step)
        layers = {
            layer: LayerOperations(*(sums[_WHAT, layer, f][index : index + 1] for f in _FIELDS))
            for layer in empty.layers
        }
        held, exact = (bool(sums[_WHAT, "", flag][index] == n) for flag in _FLAGS)
        neurons = {name: _mean(sums[_WHAT, name, "neurons"][index], n) for name in empty.neurons}
        return replace(
            empty, layers=layers, n=n, constant_input=held, exact_events=exact, neurons=neurons
        )


def _mean(total: NDArray, n: int) -> float:
    """A mean of whole numbers, a whole number where it is one."""
    return int(total) // n if int(total) % n == 0 else int(total) / n
