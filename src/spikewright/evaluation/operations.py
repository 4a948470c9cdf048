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
from spikewright.measure.exact_counts import Key
from spikewright.measure.operations import (
    Counter,
    LayerOperations,
    Operations,
    source_operations,
)
from spikewright.measure.operations.operations import whole
from spikewright.network import Ensemble, Node
from spikewright.network.layer_times import OwnStepsDone
from spikewright.records import Record
from spikewright.running.encoders import Encoder
from spikewright.running.own_steps import steps_done
from spikewright.running.recording import padding_in

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
        self._lowered, self._populations = lowered, populations
        readouts = [activation.function for activation in lowered.readouts.values()]
        self._counter = Counter(lowered.network, populations, lowered.inputs, readouts, program)
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
        padding = padding_in(self._lowered, fed)
        spikes = {name: totals[name] for name in self._spiking}
        values: dict[str, NDArray] = {}
        for name, node in self._inputs.items():
            given = fed[node][:, :step]
            if name in self._heights:
                sent = np.abs(given).sum(axis=1) * (step if given.shape[1] == 1 else 1)
                spikes[name] = padding.without(node, np.rint(sent / self._heights[name]))
            else:
                values[name] = given[:, 0] if given.shape[1] == 1 else given
        found = self._counter.count(spikes, step, values, padding=padding, done=self._done(step))
        sums: dict[Key, NDArray] = {
            (_WHAT, layer, name): np.asarray([getattr(counted, name).sum()], np.int64)
            for layer, counted in found.layers.items()
            for name in _FIELDS
        }
        for flag in _FLAGS:
            sums[_WHAT, "", flag] = np.array([found.n * bool(getattr(found, flag))])
        for name, size in found.neurons.items():
            sums[_WHAT, name, "neurons"] = np.array([round(found.n * size)])
        if padding.source is not None:
            sums[_WHAT, "", "source"] = padding.source.sum(keepdims=True)
        return sums

    def _done(self, step: int) -> Mapping[str, OwnStepsDone] | None:
        return steps_done(self._lowered, self._populations, step)

    def records(
        self, sums: Mapping[Key, NDArray], n: int, at: Sequence[int], dt: float, graph: Graph
    ) -> list[Record]:
        """Operations, memory and energy of `n` samples, up to each of the steps in `at`."""
        products = sum(source_operations(graph).values())
        if (_WHAT, "", "source") in sums:
            products = round(int(sums[_WHAT, "", "source"][0]) / n)
        records = self._counter.memory_records({"dt": dt})
        for index, step in enumerate(at):
            operations = self._operations(sums, n, index, step)
            records += operations.records({"dt": dt})
            records += energy_records(operations, products, how={"dt": dt})
        return records

    def _operations(self, sums: Mapping[Key, NDArray], n: int, index: int, step: int) -> Operations:
        """Sums over samples, as counted."""
        nothing = {name: np.zeros((1, *e.shape)) for name, e in self._spiking.items()}
        nothing |= {name: np.zeros((1, *self._inputs[name].shape_out)) for name in self._heights}
        empty = self._counter.count(nothing, step, done=self._done(step))
        layers = {
            layer: LayerOperations(*(sums[_WHAT, layer, f][index : index + 1] for f in _FIELDS))
            for layer in empty.layers
        }
        held, exact = (bool(sums[_WHAT, "", flag][index] == n) for flag in _FLAGS)
        totals = {name: int(sums[_WHAT, name, "neurons"][index]) for name in empty.neurons}
        neurons = {name: whole(total, n) for name, total in totals.items()}
        return replace(
            empty, layers=layers, n=n, constant_input=held, exact_events=exact, neurons=neurons
        )
