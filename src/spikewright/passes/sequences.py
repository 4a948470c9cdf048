"""The graph of one step of a graph of whole sequences, and the states between steps.

A `Recurrence` becomes its cell, once; the states that it reads are inputs of the graph and the
states that it makes are outputs. Layers of whole sequences take their form at one step.
Values that are read at the end of the sequence are computed at every step, and right at the last.
Graphs and passes need not know: they see a graph without state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import refuse
from spikewright.errors import ConversionError, Refusal
from spikewright.graph import Graph, GraphNode, RecurrentState, Sequences, prune, unique_name
from spikewright.graph.layers import (
    Constant,
    Crop,
    Identity,
    Input,
    Layer,
    Recurrence,
    Reshape,
    Slice,
    Take,
)
from spikewright.graph.layers.time_semantics import AlongTimeError, without

_LEAVE_OUT = "Leave sequence_step out: every step of the sequence then has neurons of its own"


@dataclass(frozen=True, eq=False)
class OneStep(Sequences):
    """The graph of one step of sequences; those of the source have `steps` of them."""

    graph: Graph
    steps: int


@dataclass(frozen=True)
class _RowValue:
    """The place of a value of the source's graph: a node, and the axis of time that it lacks.

    Without that axis a value is the same at every step, or (`late`) right at the last one.
    """

    name: str
    time: int | None
    late: bool = False


def one_step(graph: Graph) -> OneStep:
    """The graph of one step.

    Raises `ConversionError` listing every layer that cannot be run step by step.
    """
    return _Stepping(graph).result()


@dataclass
class _Stepping:
    graph: Graph
    nodes: dict[str, GraphNode] = field(default_factory=dict)
    values: dict[str, _RowValue | None] = field(default_factory=dict)
    constants: dict[str, NDArray] = field(default_factory=dict)
    states: list[tuple[str, str, NDArray]] = field(default_factory=list)  # read, made, initial
    cells: dict[tuple, tuple[str, ...]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recurrences = [n for n in self.graph if isinstance(n.layer, Recurrence)]
        self.names = _names(self.graph)
        self.steps = self._length()
        self.sequences = self._sequences()

    def _length(self) -> int:
        """The length that all sequences have."""
        if not self.recurrences:
            reason = "the model has no recurrent layer"
            options = "Leave it out; loops of the model's own are read written out as it is"
            raise refuse("sequence_step", reason, options)
        lengths = {n.name: self.graph.shapes[n.name][0] for n in self.recurrences}
        first = next(iter(lengths.values()))
        other = [n for n in self.recurrences if lengths[n.name] != first]
        if other:
            reason = f"its sequence has {lengths[other[0].name]} steps, that before it {first}"
            raise ConversionError([_refusal(other[0], reason)])
        return first

    def _sequences(self) -> frozenset[str]:
        """The inputs that begin with the axis of time: those that recurrent layers run along."""
        waiting = [
            name
            for node in self.recurrences
            for name in node.inputs[: len(node.layer.cell.inputs)]  # type: ignore[attr-defined]
        ]
        seen: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            node = self.graph[name]
            inner = node.layer.cell.inputs if isinstance(node.layer, Recurrence) else node.inputs
            waiting += node.inputs[: len(inner)]
        return frozenset(
            name for name in self.graph.inputs
            if name in seen and self.graph.shapes[name][:1] == (self.steps,)
        )  # fmt: skip

    def result(self) -> OneStep:
        """Step by step through the graph; every refusal is collected."""
        for node in self.graph:
            try:
                self.values[node.name] = self._node(node)
            except AlongTimeError as error:
                self.refusals.append(_refusal(node, str(error)))
                self.values[node.name] = None
        if self.refusals:
            raise ConversionError(self.refusals)
        found = {name: value for name, value in self.values.items() if value is not None}
        outputs = {output: found[name].name for output, name in self.graph.outputs.items()}
        states = []
        for read, made, initial in self.states:
            label = unique_name(f"{read}, next", outputs)
            outputs[label] = made
            states.append(RecurrentState(read, label, initial))
        return OneStep(
            tuple(states),
            {name: found[name].time for name in self.graph.inputs},
            {output: found[name].time for output, name in self.graph.outputs.items()},
            {name: value.time for name, value in found.items() if value.name == name},
            Graph(prune(self.nodes.values(), outputs), outputs),
            self.steps,
        )

    def _node(self, node: GraphNode) -> _RowValue | None:
        layer = node.layer
        known = [self.values[name] for name in node.inputs]
        if isinstance(layer, Input):
            return self._input(node, layer)
        read = [value for value in known if value is not None]
        if len(read) < len(known):
            return None
        if isinstance(layer, Recurrence):
            return self._recurrence(node, layer, read)
        if isinstance(layer, Identity) and read[0].name == node.name:
            return read[0]  # the cell's output has its name already
        if all(value.time is None for value in read):
            return self._apart(node, read)
        if len(read) == 1:
            return self._of_one(node, read[0])
        return self._of_several(node, read)

    def _input(self, node: GraphNode, layer: Input) -> _RowValue:
        time = 0 if node.name in self.sequences else None
        shape = layer.shape if time is None else layer.shape[1:]
        self.nodes[node.name] = GraphNode(
            node.name, replace(layer, shape=shape), (), node.source, node.source_kind
        )
        return _RowValue(node.name, time)

    def _add(self, like: GraphNode, layer: Layer, inputs: Sequence[str], name: str = "") -> str:
        name = name or like.name
        self.nodes[name] = GraphNode(name, layer, tuple(inputs), like.source, like.source_kind)
        return name

    def _apart(self, node: GraphNode, read: Sequence[_RowValue]) -> _RowValue:
        """A layer of values without time stays as it is."""
        constants = [self.constants.get(value.name) for value in read]
        name = self._add(node, node.layer, [value.name for value in read])
        given = [value for value in constants if value is not None]
        if len(given) == len(read):
            self.constants[name] = node.layer.evaluate(*(value[None] for value in given))[0]
        return _RowValue(name, None, any(value.late for value in read))

    def _of_one(self, node: GraphNode, value: _RowValue) -> _RowValue:
        assert value.time is not None  # the caller has looked
        shape = self.graph.shapes[node.inputs[0]]
        if self._takes_last(node.layer, shape, value.time):
            made = self.graph.shapes[node.name]
            if made == without(shape, value.time):
                return _RowValue(value.name, None, late=True)
            return _RowValue(self._add(node, Reshape(made), [value.name]), None, late=True)
        layer, time = node.layer.at_one_step(value.time, shape)
        return _RowValue(self._add(node, layer, [value.name]), time)

    def _takes_last(self, layer: Layer, shape: tuple[int, ...], time: int) -> bool:
        """Whether a layer reads the whole of the last step of a sequence and nothing else."""
        last = self.steps - 1
        if isinstance(layer, Take):
            on_time = layer.axis % len(shape) == time and layer.indices.size == 1
            return on_time and int(layer.indices.reshape(-1)[0]) % self.steps == last
        if isinstance(layer, Crop):
            return layer.crops == tuple((last * (axis == time), 0) for axis in range(len(shape)))
        wanted = tuple((last, 1) if axis == time else (0, n) for axis, n in enumerate(shape))
        return isinstance(layer, Slice) and wanted == tuple(
            (start, count) for start, count, _ in layer.ranges
        )

    def _of_several(self, node: GraphNode, read: Sequence[_RowValue]) -> _RowValue:
        shapes = [self.graph.shapes[name] for name in node.inputs]
        if any(value.late for value in read):
            raise AlongTimeError("it combines every step of a sequence with values at its end")
        times = {
            value.time - len(shape)
            for value, shape in zip(read, shapes, strict=True)
            if value.time is not None
        }
        if len(times) > 1:
            raise AlongTimeError("the axis of time is not the same in all of its inputs")
        (time,) = times
        names = [
            value.name if value.time is not None else self._held(node, value, shape, time)
            for value, shape in zip(read, shapes, strict=True)
        ]
        layer, at = node.layer.at_one_step(max(map(len, shapes)) + time, *shapes)
        return _RowValue(self._add(node, layer, names), at)

    def _held(self, node: GraphNode, value: _RowValue, shape: tuple[int, ...], time: int) -> str:
        """A value without time that meets sequences: without the axis that would be time."""
        axis = len(shape) + time
        if axis < 0:
            return value.name
        kept = without(shape, axis)
        if shape[axis] == 1:
            name = unique_name(f"{node.name}/at_every_step", self.nodes)
            return self._add(node, Reshape(kept), [value.name], name)
        constant = self.constants.get(value.name)
        if constant is None or np.ptp(constant, axis=axis).any():
            raise AlongTimeError(
                f"it reads {value.name!r}, which has values of its own for every step"
            )
        name = unique_name(f"{node.name}/at_every_step", self.nodes)
        return self._add(node, Constant(np.take(constant, 0, axis)), [], name)

    def _recurrence(
        self, node: GraphNode, layer: Recurrence, read: Sequence[_RowValue]
    ) -> _RowValue:
        if layer.backwards:
            raise AlongTimeError("it begins at the end of its sequence, which is not there yet")
        count = len(layer.cell.inputs)
        if any(value.time != 0 for value in read[:count]):
            raise AlongTimeError("its sequence is made of values that are not there step by step")
        key = (id(layer.cell), node.inputs)
        if key not in self.cells:
            self.cells[key] = self._cell(node, layer, read[:count], read[count:])
        return _RowValue(self.cells[key][layer.result], 0)

    def _cell(
        self,
        node: GraphNode,
        layer: Recurrence,
        read: Sequence[_RowValue],
        begun: Sequence[_RowValue],
    ) -> tuple[str, ...]:
        """Add the parts of a cell and its states; returns the new states."""
        cell = layer.cell
        place = node.name.removesuffix("recurrence")
        place = place if place.endswith("/") else f"{node.name}/"
        initial = [self._initial(value) for value in begun]
        if not initial:
            initial = [np.zeros(shape) for shape in cell.shapes]
        known = dict(zip(cell.inputs, (value.name for value in read), strict=True))
        for state, shape in zip(cell.states, cell.shapes, strict=True):
            name = unique_name(f"{place}{state}", self.nodes)
            known[state] = self._add(node, Input(shape), [], name)
        output = self.names.get(node.name)
        for part in cell.parts:
            named = output is not None and part.name == cell.results[0]
            taken = {**self.nodes, **self.graph.shapes}
            name = output if named and output else unique_name(f"{place}{part.name}", taken)
            inputs = [known[value] for value in part.inputs]
            known[part.name] = self._add(node, part.layer, inputs, name)
        made = tuple(known[name] for name in cell.results)
        for state, result, value in zip(cell.states, made, initial, strict=True):
            self.states.append((known[state], result, value))
        return made

    def _initial(self, value: _RowValue) -> NDArray:
        found = self.constants.get(value.name)
        if found is None:
            raise AlongTimeError("the state it begins with depends on the input")
        return found


def _names(graph: Graph) -> dict[str, str]:
    """The node that the source's layer is named after, of recurrences whose output that is."""
    found: dict[str, str] = {}
    for node in graph:
        if not isinstance(node.layer, Identity):
            continue
        read = graph[node.inputs[0]]
        if isinstance(read.layer, Take):
            read = graph[read.inputs[0]]
        first = isinstance(read.layer, Recurrence) and read.layer.result == 0
        if first and read.source == node.source:
            found.setdefault(read.name, node.name)
    return found


def _refusal(node: GraphNode, reason: str) -> Refusal:
    kind = node.source_kind or node.layer.kind
    return Refusal(node.source or node.name, kind, reason, _LEAVE_OUT)
