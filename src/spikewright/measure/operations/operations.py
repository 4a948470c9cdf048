"""The operations of a run: those of every layer, sample by sample, their sums, and the source's.

Where samples have padding, places of a network and layers of a graph whose values belong to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import MatMul
from spikewright.graph.masks import Real
from spikewright.measure.operations.wiring import Endpoint, SignalPath
from spikewright.network import Node
from spikewright.records import Record

Input = Literal["once", "per step"]


@dataclass(frozen=True, eq=False)
class LayerOperations:
    """Operations that arrive at one layer: whole numbers, `(samples,)` each.

    * `accumulates`: one a spike and weight that is not zero, and sums of values without a weight;
    * `multiply_accumulates`: one a value that is no spike and weight that is not zero, each step;
    * `input_once`, `input_per_step`: multiply-accumulates of the analog input, if constants
      are computed once, and if all is computed at every step;
    * `event_accumulates`, `event_multiply_accumulates`: `accumulates` over again, where several
      spikes of a neuron in one step are one multiply-accumulate with their number;
    * `dense`: all connections, zero weights and zero inputs too, each step.
    """

    accumulates: NDArray
    multiply_accumulates: NDArray
    input_once: NDArray
    input_per_step: NDArray
    event_accumulates: NDArray
    event_multiply_accumulates: NDArray
    dense: NDArray

    @classmethod
    def of(cls, samples: int, **found: NDArray) -> LayerOperations:
        """Operations of so many samples, none of the kinds that are not given."""
        return cls(**{f.name: found.get(f.name, np.zeros(samples, np.int64)) for f in fields(cls)})

    def plus(self, other: LayerOperations) -> LayerOperations:
        """Operations of both, sample by sample."""
        pairs = zip(self._values(), other._values(), strict=True)
        return LayerOperations(*(mine + its for mine, its in pairs))

    def times(self, share: NDArray) -> LayerOperations:
        """A share of the operations of each sample, in whole numbers."""
        parts = (np.rint(value * share).astype(np.int64) for value in self._values())
        return LayerOperations(*parts)

    def _values(self) -> list[NDArray]:
        return [getattr(self, f.name) for f in fields(self)]


@dataclass(frozen=True, eq=False, repr=False)
class Operations:
    """Operations of `n` samples of `steps` steps, by the layer that they arrive at.

    Arrays are `(n,)`, or `(1,)` sums over samples: means are the same to the last digit, since all
    counts are whole numbers. `neurons` is the size of each
    population (the mean of what counts, where some is padding), `filtered` the number of values
    that synapses filter. `constant_input` says whether every analog input was held, `exact_events`
    whether the number of (neuron, step) pairs with a spike is known or bounded from above by the
    spikes; `not_counted` names work that has no count. `spiking` is false where no neuron of the
    network spikes. `updates` are the steps in which neurons change, `{name: steps}`, of populations
    for which they are not all steps. `bits` are those of the values that a code of digits says,
    None where it is none.
    """

    layers: Mapping[str, LayerOperations]
    n: int
    steps: int
    neurons: Mapping[str, float]
    filtered: int
    constant_input: bool
    exact_events: bool
    not_counted: tuple[str, ...] = ()
    spiking: bool = True
    updates: Mapping[str, int] = field(default_factory=dict)
    bits: int | None = None

    def __repr__(self) -> str:
        return f"<Operations of {self.n} samples, {self.steps} steps, {len(self.layers)} layers>"

    @property
    def neuron_updates(self) -> float:
        """Updates of neurons for one sample: neurons times steps."""
        if not self.updates:
            return sum(self.neurons.values()) * self.steps
        return sum(self._updates_of(name) for name in self.neurons)

    def _updates_of(self, name: str) -> float:
        """Updates of one population for one sample."""
        return self.neurons[name] * self.updates.get(name, self.steps)

    @property
    def filter_updates(self) -> int:
        """Updates of synaptic filters for one sample: filtered values times steps."""
        return self.filtered * self.steps

    @property
    def input(self) -> Input:
        """The frequency of computing the analog input: once where it is held, else every step."""
        return "once" if self.constant_input else "per step"

    def total(self) -> LayerOperations:
        """All layers together."""
        found = LayerOperations.of(self._length())
        for layer in self.layers.values():
            found = found.plus(layer)
        return found

    def _length(self) -> int:
        return next((len(layer.dense) for layer in self.layers.values()), self.n)

    def records(self, how: Mapping[str, Any] | None = None) -> list[Record]:
        """Means over samples: of the network, then of each layer (`how["layer"]`).

        "accumulates" (one a spike), "multiply-accumulates" (with the analog input as often as
        `input` says), "dense operations", "neuron updates". For the network also the other ways to
        count: "event accumulates" and "event multiply-accumulates" (one operation for all spikes of
        a neuron in a step; `how["events"]` is "exact" or "at most"), and "stepwise
        multiply-accumulates" (with the analog input at every step). Of digits "shifts" too, for
        each of two ways to make them: of the "weights" that spikes meet, or of two "states" of
        every neuron in every step in which it changes (`how["of"]`).
        """
        common = {**(how or {}), "steps": self.steps}
        details = {**common, "input": self.input}
        if self.not_counted:
            details["not counted"] = list(self.not_counted)
        updates = self.neuron_updates + self.filter_updates
        found = self._of(self.total(), details)
        found.append(Record("neuron updates", float(updates), "operations", self.n, how=details))
        found += self._other_ways(details)
        if self.bits is not None:
            found += self._shifts(details)
        for name, layer in self.layers.items():
            found += self._of(layer, {**common, "layer": name})
        for name in self.neurons:
            mine, updates = {**common, "layer": name}, self._updates_of(name)
            found.append(Record("neuron updates", float(updates), "operations", self.n, how=mine))
        return found

    def _shifts(self, how: Mapping[str, Any]) -> list[Record]:
        """Shifts that give digits their worth: of each weight that is added, or of two states."""
        states = 2.0 * self.neuron_updates
        return [
            self._mean("shifts", self.total().accumulates, {**how, "of": "weights"}),
            Record("shifts", states, "operations", self.n, how={**how, "of": "states"}),
        ]

    def analog(self, layer: LayerOperations) -> NDArray:
        """Multiply-accumulates of the analog input, as often as `input` says."""
        return layer.input_once if self.input == "once" else layer.input_per_step

    def _mean(self, name: str, values: NDArray, how: Mapping[str, Any]) -> Record:
        return Record(name, int(values.sum()) / self.n, "operations", self.n, how=how)

    def _of(self, layer: LayerOperations, how: Mapping[str, Any]) -> list[Record]:
        macs = layer.multiply_accumulates + self.analog(layer)
        return [
            self._mean("accumulates", layer.accumulates, how),
            self._mean("multiply-accumulates", macs, how),
            self._mean("dense operations", layer.dense, how),
        ]

    def _other_ways(self, how: Mapping[str, Any]) -> list[Record]:
        total = self.total()
        details = {**how, "events": "exact" if self.exact_events else "at most"}
        macs = total.multiply_accumulates
        of_events = macs + total.event_multiply_accumulates + self.analog(total)
        stepwise = macs + total.input_per_step
        every = {**how, "input": "per step"}
        return [
            self._mean("event accumulates", total.event_accumulates, details),
            self._mean("event multiply-accumulates", of_events, details),
            self._mean("stepwise multiply-accumulates", stepwise, every),
        ]


@dataclass(frozen=True, eq=False)
class Padding:
    """Values of places that count, `{place: (batch, *shape)}`, all those of places left out.

    `read` are those of each input of a function, which are not shaped like its result.
    `products` are the multiply-accumulates of functions in a step, `{node: (batch,)}`, and `source`
    those of one pass through the source, `(batch,)`, None where these are the same for all samples.
    """

    real: Mapping[Endpoint, NDArray] = field(default_factory=dict)
    read: Mapping[Any, Sequence[NDArray]] = field(default_factory=dict)
    products: Mapping[Any, NDArray] = field(default_factory=dict)
    source: NDArray | None = None

    def paths(self, path: SignalPath, number: int, batch: int) -> NDArray:
        """The connections `(batch,)` of a path from values that count, of a `number` of all."""
        real = self.real.get(path.origin)
        if real is None:
            return np.full(batch, number)
        met = real.reshape(len(real), -1) @ path.fan_out.ravel()
        return np.rint(met * (number / max(1, path.synapses))).astype(np.int64)

    def size(self, place: Endpoint, number: int) -> float:
        """The mean over samples of how many of a `number` of values count."""
        real = self.real.get(place)
        return number if real is None else whole(int(real.sum()), len(real))

    def reaching(self, path: SignalPath, found: LayerOperations) -> LayerOperations:
        """Operations of a path, without those at targets that are padding.

        Where a value is spread over positions, paths are taken to meet all targets alike.
        """
        real = self.real.get(path.target)
        if isinstance(path.target, Node) and path.target.output is not None:
            known = self.read.get(path.target, ())  # one path to every value of one of its inputs
            real = next((part for part in known if part[0].size == path.synapses), None)
        if real is None or not path.synapses:
            return found
        counts = real.reshape(len(real), -1).mean(axis=1) * path.synapses
        share = np.minimum(1.0, counts / np.maximum(1, self.paths(path, path.synapses, len(real))))
        return found.times(share)

    def without(self, place: Endpoint, values: NDArray) -> NDArray:
        """The values `(batch, *shape)` or `(batch, steps, *shape)` with 0 for padding."""
        real = self.real.get(place)
        if real is None:
            return values
        return np.where(real if values.ndim == real.ndim else real[:, None], values, 0.0)


NO_PADDING = Padding()


def whole(total: int, n: int) -> float:
    """A mean of whole numbers: a whole number where it is one."""
    return total // n if total % n == 0 else total / n


def source_operations(graph: Graph) -> dict[str, int]:
    """Multiply-accumulates of one pass through a source network, of every layer that has some.

    As is customary padding and zeros are included.
    """
    found = {
        node.name: node.layer.multiply_accumulates(*(graph.shapes[name] for name in node.inputs))
        for node in graph
    }
    return {name: number for name, number in found.items() if number}


def real_products(graph: Graph, node: GraphNode, real: Real) -> NDArray:
    """Products that a layer sums, `(batch,)`, without those of padding; see `Layer`.

    Of a matrix product those of two values that count, of other layers those of results that do.
    """
    shapes = [graph.shapes[name] for name in node.inputs]
    most = node.layer.multiply_accumulates(*shapes)
    if isinstance(node.layer, MatMul):
        factors = (real.whole(name, shape) for name, shape in zip(node.inputs, shapes, strict=True))
        ones = (np.ones((len(real), *shape)) for shape in shapes)
        both = [
            one if factor is None else factor.astype(np.float64)
            for factor, one in zip(factors, ones, strict=True)
        ]
        made = node.layer.evaluate(*both).reshape(len(real), -1).sum(axis=1)
        return np.rint(made).astype(np.int64)
    counts = real.of(node.name)
    if counts is None:
        return np.full(len(real), most)
    share = counts.reshape(len(real), -1).mean(axis=1)
    return np.rint(most * share).astype(np.int64)
