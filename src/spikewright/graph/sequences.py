"""A graph of one step of a sequence, and the states carried from each step to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.schema import Natural
from spikewright.graph.graph import Graph, prune
from spikewright.graph.interpreter import evaluate_all

Values = dict[str, NDArray]
Step = tuple[Values, Values]
"""The values that the graph reads at a step, and those of its nodes, by name."""


class RecurrentState(NamedTuple):
    """A state: at each step the input `read` has the value of the output `made` at the last.

    `initial` is its value at the first step.
    """

    read: str
    made: str
    initial: NDArray


@dataclass(frozen=True, eq=False)
class Sequences:
    """The use of a graph of one step along sequences.

    `carried` are the states. `inputs` and `outputs` map the names of the whole sequence's to their
    axis of time, or None: an input without it is the same at every step, and an output without it
    is that of the last step. `values` does so for all nodes whose values the whole sequence has
    under the same name.
    """

    carried: tuple[RecurrentState, ...]
    inputs: Mapping[str, Natural | None]
    outputs: Mapping[str, Natural | None]
    values: Mapping[str, Natural | None]

    @cached_property
    def read(self) -> frozenset[str]:
        """Inputs that are states."""
        return frozenset(state.read for state in self.carried)

    @cached_property
    def made(self) -> frozenset[str]:
        """Outputs that are states."""
        return frozenset(state.made for state in self.carried)

    def later(self, graph: Graph) -> dict[str, list[str]]:
        """The inputs by which the next step reads a node, by the node's name."""
        found: dict[str, list[str]] = {}
        for state in self.carried:
            found.setdefault(graph.outputs[state.made], []).append(state.read)
        return found

    def shapes(self, graph: Graph) -> dict[str, tuple[int | None, ...]]:
        """The shape of a sample of every input of the whole; None is a length that is left open."""
        found: dict[str, tuple[int | None, ...]] = {}
        for name, time in self.inputs.items():
            shape = graph.shapes[name]
            found[name] = shape if time is None else (*shape[:time], None, *shape[time:])
        return found

    def evaluate(
        self,
        graph: Graph,
        inputs: Mapping[str, NDArray],
        passed_on: Callable[[str, NDArray], NDArray] | None = None,
    ) -> Iterator[Step]:
        """At each step the values that the graph reads, states included, and the values of use.

        `inputs` are those of the whole sequence, `(batch, *shape)`. Nodes that only lead to the end
        of a sequence have a value at its last step alone. `passed_on(name, value)` is what readers
        of a node get, of its value.
        """
        lasting = self._lasting(graph)
        batch = len(next(iter(inputs.values())))
        states = {
            state.read: np.broadcast_to(state.initial, (batch, *np.shape(state.initial)))
            for state in self.carried
        }
        steps = self.length(inputs)
        for step in range(steps):
            read = {**self._at(inputs, step), **states}
            values = evaluate_all(graph, read, passed_on)
            states = {state.read: values[graph.outputs[state.made]] for state in self.carried}
            if step < steps - 1:
                values = {name: value for name, value in values.items() if name in lasting}
            yield read, values

    def length(self, inputs: Mapping[str, NDArray]) -> int:
        """The number of steps of sequences, `(batch, *shape)`; raises `ValueError` for several."""
        lengths = {
            name: inputs[name].shape[time + 1]
            for name, time in self.inputs.items()
            if time is not None
        }
        if len(set(lengths.values())) > 1:
            raise ValueError(f"sequences differ in length: {lengths} steps")
        return next(iter(lengths.values()))

    def _at(self, inputs: Mapping[str, NDArray], step: int) -> Values:
        return {
            name: inputs[name] if time is None else inputs[name].take(step, time + 1)
            for name, time in self.inputs.items()
        }

    def _lasting(self, graph: Graph) -> frozenset[str]:
        """Nodes that lead to a state or to an output that every step has."""
        outputs = {
            name: node
            for name, node in graph.outputs.items()
            if name in self.made or self.outputs[name] is not None
        }
        return frozenset(node.name for node in prune(graph, outputs))
