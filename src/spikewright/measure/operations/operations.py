"""The operations of a run: those of every layer, sample by sample, and their sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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
    def none(cls, samples: int) -> LayerOperations:
        """No operations."""
        return cls(*(np.zeros(samples, np.int64) for _ in fields(cls)))

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
    network spikes.
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

    def __repr__(self) -> str:
        return f"<Operations of {self.n} samples, {self.steps} steps, {len(self.layers)} layers>"

    @property
    def neuron_updates(self) -> float:
        """Updates of neurons for one sample: neurons times steps."""
        return sum(self.neurons.values()) * self.steps

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
        found = LayerOperations.none(self._length())
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
        multiply-accumulates" (with the analog input at every step).
        """
        common = {**(how or {}), "steps": self.steps}
        told = {**common, "input": self.input}
        if self.not_counted:
            told["not counted"] = list(self.not_counted)
        updates = self.neuron_updates + self.filter_updates
        found = self._of(self.total(), told)
        found.append(Record("neuron updates", float(updates), "operations", self.n, how=told))
        found += self._other_ways(told)
        for name, layer in self.layers.items():
            found += self._of(layer, {**common, "layer": name})
        for name, size in self.neurons.items():
            mine = {**common, "layer": name}
            updates = size * self.steps
            found.append(Record("neuron updates", float(updates), "operations", self.n, how=mine))
        return found

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
        told = {**how, "events": "exact" if self.exact_events else "at most"}
        macs = total.multiply_accumulates
        of_events = macs + total.event_multiply_accumulates + self.analog(total)
        stepwise = macs + total.input_per_step
        every = {**how, "input": "per step"}
        return [
            self._mean("event accumulates", total.event_accumulates, told),
            self._mean("event multiply-accumulates", of_events, told),
            self._mean("stepwise multiply-accumulates", stepwise, every),
        ]
