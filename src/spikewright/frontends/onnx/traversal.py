"""The walk over an ONNX graph: constants are folded, every other node goes to its reader.

Control flow that constants decide is written out: branches taken, loops and scans. A subgraph is
read in the place of its node, once for each time that it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.fallback import calling, format_returned
from spikewright.frontends.onnx.files import attributes_of, labels_of, needed_nodes
from spikewright.frontends.onnx.inputs import ModelInputs, Several, shapes_of
from spikewright.frontends.onnx.parameters import array_of
from spikewright.frontends.onnx.registry import (
    KEEP_BATCH,
    READERS,
    TAILS,
    NodeOrigin,
    OnnxNode,
    reason_for,
)
from spikewright.frontends.onnx.runtime import extents, fold, is_foldable
from spikewright.frontends.onnx.values import (
    ConstantValue,
    Label,
    Missing,
    SignalValue,
    UnsupportedOp,
    Value,
    full_shape,
    integer_types,
    is_truth,
    whole_type,
)
from spikewright.frontends.reading.call import (
    UnsupportedInput,
    afford_nodes,
    layout_of,
    sample_shape,
)
from spikewright.frontends.source import GraphBuilder
from spikewright.graph import Graph, unique_name
from spikewright.graph.layers import Reshape, Shape


class Flow:
    """One If, Loop or Scan; `run` reads it and returns the values of its outputs."""

    def __init__(
        self,
        walk: OnnxTraversal,
        node: Any,
        label: str,
        inputs: Sequence[Value | None],
        attributes: Mapping[str, Any],
    ) -> None:
        self.walk, self.node, self.label = walk, node, label
        self.inputs, self.attributes = inputs, attributes

    def run(self) -> list[Value]:
        """The values of the outputs; raises `UnsupportedOp` where the data decide what runs."""
        return {"If": self._branch, "Loop": self._loop, "Scan": self._scan}[self.node.op_type]()

    def _branch(self) -> list[Value]:
        taken = "then_branch" if self._truth(self.inputs[0]) else "else_branch"
        return self.walk.inside(self.attributes[taken], self.label, ())

    def _loop(self) -> list[Value]:
        """As many runs of the body as constants say; scanned outputs are stacked."""
        most, going = self.inputs[0], self.inputs[1]
        carried = list(map(_given, self.inputs[2:]))
        trips = None if most is None else int(self._known(most, "how often it runs"))
        goes = going is None or self._truth(going)
        body, scanned = self.attributes["body"], []
        self._bound(max(trips or 0, 0) if goes else 0, body)
        for trip in count():
            if not goes or (trips is not None and trip >= trips):
                break
            if trips is None:
                self._bound(1, body)
            given = (_constant(trip), _constant(True), *carried)
            going, *made = self.walk.inside(body, f"{self.label}/{trip}", given)
            goes, carried = self._truth(going), made[: len(carried)]
            scanned.append(made[len(carried) :])
        axes = [0] * (len(self.node.output) - len(carried))
        return [*carried, *self._stacked(scanned, axes)]

    def _scan(self) -> list[Value]:
        """A run of the body for every entry along an axis of the scanned values."""
        body, sequences = self.attributes["body"], int(self.attributes["num_scan_inputs"])
        carried, scanned = list(map(_given, self.inputs[:-sequences])), self.inputs[-sequences:]
        axes = self._settings("scan_input_axes", sequences)
        backwards = self._settings("scan_input_directions", sequences)
        steps = self._extent(scanned[0], axes[0])
        rows = []
        self._bound(steps, body)
        for step in range(steps):
            places = [steps - 1 - step if back else step for back in backwards]
            entries = [
                self._apply("Gather", f"{self.label}/{step}:{k}", (x, _constant(place)), axis=axis)
                for k, (x, axis, place) in enumerate(zip(scanned, axes, places, strict=True))
            ]
            made = self.walk.inside(body, f"{self.label}/{step}", (*carried, *entries))
            carried = made[: len(carried)]
            rows.append(made[len(carried) :])
        results = len(self.node.output) - len(carried)
        order = self._settings("scan_output_directions", results)
        return [*carried, *self._stacked(rows, self._settings("scan_output_axes", results), order)]

    # --- parts -----------------------------------------------------------------------------------

    def _settings(self, name: str, length: int) -> list[int]:
        return [int(n) for n in self.attributes.get(name) or [0] * length]

    def _bound(self, trips: int, body: Any) -> None:
        """Count the nodes that so many runs of a body become, and an entry for each run."""
        nodes = len(body.node)
        afford_nodes(trips * max(nodes, 1), f"it runs {nodes} nodes {trips} times")

    def _truth(self, value: Value | None) -> bool:
        return bool(self._known(value, "its condition"))

    def _known(self, value: Value | None, what: str) -> Any:
        """The number that a constant holds."""
        if not isinstance(value, ConstantValue):
            raise UnsupportedOp(
                f"{what} is computed from the data, and a graph is fixed",
                "Export with constant conditions, or simplify the model (e.g. with onnxsim)",
            )
        return np.ravel(value.array)[0].item()

    def _extent(self, value: Value | None, axis: int) -> int:
        """The number of entries along an axis that is not the batch's."""
        if not isinstance(value, SignalValue | ConstantValue):
            raise UnsupportedInput
        return full_shape(value)[axis]

    def _stacked(
        self, rows: Sequence[Sequence[Value]], axes: Sequence[int], order: Sequence[int] = ()
    ) -> list[Value]:
        """For every output, its values in all runs, in order along a new axis."""
        if not rows:
            return [Missing("it never runs, so nothing was put together")] * len(axes)
        results = []
        for k, (axis, values) in enumerate(zip(axes, zip(*rows, strict=True), strict=True)):
            label = f"{self.label}:{k}" if k else self.label
            apart = [
                self._unsqueezed(value, axis, f"{label}/{trip}:entry")
                for trip, value in enumerate(values)
            ]
            if order and order[k]:
                apart.reverse()
            results.append(self._apply("Concat", label, apart, axis=axis))
        return results

    def _unsqueezed(self, value: Value, axis: int, label: str) -> Value:
        if self.walk.opset < 13:
            return self._apply("Unsqueeze", label, (value,), axes=[axis])
        return self._apply("Unsqueeze", label, (value, _constant([axis])))

    def _apply(
        self, operator: str, label: str, inputs: Sequence[Value | None], **attributes: Any
    ) -> Value:
        """The first output of an ordinary operator."""
        if Missing() in inputs:
            raise UnsupportedInput
        names = [f"input {k}" for k in range(len(inputs))]
        node = require("onnx").helper.make_node(operator, names, ["output"], label, **attributes)
        return self.walk.read(
            node, label, NodeOrigin(self.label, self.node.op_type), tuple(inputs)
        )[0]


def _constant(value: Any) -> ConstantValue:
    return ConstantValue(np.asarray(value))


def _given(value: Value | None) -> Value:
    return Missing() if value is None else value


_FINITE_AGAIN = frozenset(("Softmax", "Exp", "Sigmoid", "ReduceMax", "Max", "Relu", "Where"))
"""Operators in which a minus infinity of their inputs vanishes."""


def _has_infinity(value: Value | None) -> bool:
    return isinstance(value, SignalValue) and not value.comparable


class Tensor(NamedTuple):
    """An ONNX value by its name, the graph's shape of a sample, and ONNX's of one sample."""

    name: str
    shape: Shape
    full: Shape


class OnnxTraversal:
    """Reads one model; `run` returns the graph and leaves `tensors` behind.

    `tensors` maps the name of a graph node to the ONNX value that it equals; `returned` does the
    same for outputs, by their names.
    """

    def __init__(
        self,
        proto: Any,
        opset: int,
        inputs: ModelInputs,
        place: str,
        outputs: Mapping[str, str],
        origins: Mapping[str, NodeOrigin],
    ) -> None:
        self.proto, self.opset, self.inputs, self.place = proto, opset, inputs, place
        self.outputs, self.origins = outputs, origins
        self.builder = GraphBuilder()
        several = inputs.several > 1
        self.several = Several(shapes_of(proto, inputs), inputs.several) if several else None
        self.values: dict[str, Value] = {}
        self.tensors: dict[str, Tensor] = {}
        self.returned: dict[str, Tensor] = {}
        self.nodes = needed_nodes(proto.graph)
        self.labels = labels_of(self.nodes, inputs.shapes)
        first = (next(filter(None, node.output)) for node in self.nodes)
        self.makers = dict(zip(first, self.labels, strict=True))
        self.reserved = frozenset(self.labels) | frozenset(inputs.shapes)

    def run(self) -> Graph:
        """The graph; raises `UnsupportedLayerError` that lists all that cannot be read."""
        self._constants(self.proto.graph)
        for name, shape in self.inputs.shapes.items():
            self._input(name, shape)
        for node, label in zip(self.nodes, self.labels, strict=True):
            self._step(node, label)
        return self.builder.build(
            {name: self._output(name, tensor) for name, tensor in self.outputs.items()}
        )

    def _input(self, name: str, shape: Shape) -> None:
        """Add an input, and the axes that ONNX has for one sample where the batch is not first."""
        kind = self.inputs.kinds.get(name, 0)
        made = self.builder.input(name, shape, whole=kind > 0)
        shape = self.builder.shapes[made]
        self.tensors[name] = Tensor(name, shape, self.inputs.full(name))
        full = self.inputs.full(name)
        own, layout = sample_shape(full), layout_of(full)
        if own != shape:
            made = str(self.builder.add(f"{name} as one sample", Reshape(own), made))
        whole = kind if kind in integer_types() else 0
        self.values[name] = SignalValue(made, own, layout, whole, truth=kind > 0 and not whole)

    def _constants(self, graph: Any) -> None:
        """Note the initialisers of a graph."""
        for tensor in graph.initializer:
            self.values[tensor.name] = ConstantValue(array_of(tensor, self.place))
        for sparse in graph.sparse_initializer:
            why = "its weights are a sparse initialiser; store them dense"
            self.values[sparse.values.name] = Missing(why)

    def _output(self, output: str, name: str) -> str | None:
        value = self.values.get(name, Missing("no node makes it"))
        if isinstance(value, SignalValue):
            made = self._sample(name, value)
            if value.comparable:
                self.returned[output] = Tensor(name, self.builder.shapes[str(made)], value.full)
            return made
        why = "it does not depend on the data" if isinstance(value, ConstantValue) else value.why
        if why:
            remedy = "Remove it from the model's outputs"
            self.builder.refuse(name, "graph output", why, remedy, cut={})
        return None

    def _sample(self, name: str, value: SignalValue) -> str | None:
        """An output without the axis of one that is its batch."""
        axis = self.inputs.batch_axis(value.full)
        shape = (*value.full[:axis], *value.full[axis + 1 :]) if axis is not None else value.full
        if shape == value.shape:
            return value.name
        made = self.builder.add(f"{value.name}:sample", Reshape(shape), value.name)
        if made is not None and value.comparable:
            self.tensors[made] = Tensor(name, self.builder.shapes[made], value.full)
        return made

    def _step(self, node: Any, label: str, observed: bool = True) -> None:
        """Read one node, and note the value of each of its outputs."""
        origin = self.origins.get(label, NodeOrigin(label, node.op_type))
        self.builder.meet(*origin)
        inputs = tuple(self._value(name) for name in node.input)
        results: Sequence[Value]
        try:
            if self.several is not None:
                inputs = self.several.mended(node, inputs)
            results = self.read(node, label, origin, inputs)
            for name, result in zip(node.output, results if self.several else (), strict=False):
                self.several.check(name, result)  # type: ignore[union-attr]
        except UnsupportedOp as error:
            tail = node.op_type in TAILS or any(isinstance(value, Label) for value in inputs)
            cut = self._read_by(node) if tail else None
            options = error.options or (KEEP_BATCH if self.several else "")
            self.builder.refuse(*origin, error.reason, options, cut=cut)
            results = ()
        except UnsupportedInput:
            results = ()
        infinite = node.op_type not in _FINITE_AGAIN and any(map(_has_infinity, inputs))
        for index, name in enumerate(node.output):
            if not name:
                continue
            if index < len(results):
                result = results[index]
                if infinite and isinstance(result, SignalValue):
                    result = replace(result, comparable=False)
                self.values[name] = result
                if observed and isinstance(result, SignalValue) and result.comparable:
                    self.tensors.setdefault(result.node, Tensor(name, result.shape, result.full))
            else:
                unread = f"not among the outputs that are read of {node.op_type}"
                why = f"it reads output {index} of {label!r}, which is {unread}"
                self.values[name] = Missing(why if results else "")

    def _read_by(self, node: Any) -> dict[str, str]:
        """The signals that a node reads, by the names that they have in the model."""
        read = {name: self.values.get(name) for name in node.input}
        return {
            self.makers.get(name, name): value.node
            for name, value in read.items()
            if isinstance(value, SignalValue) and name not in self.inputs.shapes
        }

    def _value(self, name: str) -> Value | None:
        return self.values.get(name, Missing(f"no node makes its input {name!r}")) if name else None

    def read(
        self, node: Any, label: str, origin: NodeOrigin, inputs: tuple[Value | None, ...]
    ) -> Sequence[Value]:
        """The values of a node's outputs; raises `UnsupportedOp` or `UnsupportedInput`."""
        standard = not node.domain
        attributes = attributes_of(node)
        if standard and node.op_type in ("If", "Loop", "Scan"):
            return Flow(self, node, label, inputs, attributes).run()
        if standard and node.op_type in ("Shape", "Size") and isinstance(inputs[0], SignalValue):
            return [extents(node.op_type, inputs[0].full, attributes)]
        if is_foldable(node):
            if all(value is None or isinstance(value, ConstantValue) for value in inputs):
                known = [value if isinstance(value, ConstantValue) else None for value in inputs]
                return fold(node, known, self.opset)
            if Missing() in inputs and (node.domain, node.op_type) not in READERS:
                raise UnsupportedInput  # shape arithmetic over something refused says nothing new
        reader = READERS.get((node.domain, node.op_type))
        if reader is None:
            raise UnsupportedOp(*reason_for(node.domain, node.op_type))
        whole = whole_type(node.op_type, inputs, attributes) if standard else 0
        truth = standard and is_truth(node.op_type, inputs, attributes)
        view = OnnxNode(
            kind=node.op_type,
            label=label,
            opset=self.opset,
            attributes=attributes,
            inputs=inputs,
            output_count=len(node.output),
            free=self.inputs.several == 1 and not self.inputs.alone,
            builder=self.builder,
            origin=origin,
            reserved=self.reserved,
        )
        with calling(reader, label, node.op_type, UnsupportedOp, UnsupportedInput):
            made = reader(view)
        results = made if isinstance(made, list | tuple) else [made]
        return [self._result(result, whole, truth) for result in results]

    def _result(self, made: Any, whole: int, truth: bool) -> Value:
        """The value that a reader returned, of this `whole` type or of truth values.

        Raises `UnsupportedOp` where it returned none of the graph.
        """
        value = made
        if isinstance(value, SignalValue) and value.name not in self.builder.shapes:
            value = None
        if not isinstance(value, SignalValue | ConstantValue | Missing):
            raise UnsupportedOp(
                f"its reader returns {format_returned(made)}, which is no value of the graph",
                "Return the result of node.add, or a list of such, one for each output",
            )
        if not isinstance(value, SignalValue):
            return value
        return replace(value, whole=whole, truth=truth)

    def inside(self, graph: Any, label: str, inputs: Sequence[Value]) -> list[Value]:
        """The values of a subgraph's outputs; nothing inside of it can be observed."""
        self._constants(graph)
        for declared, value in zip(graph.input, inputs, strict=True):
            self.values[declared.name] = value
        for index, inner in enumerate(needed_nodes(graph)):
            name = inner.name or next(filter(None, inner.output))
            self._step(inner, unique_name(f"{label}/{name or index}", self.builder.met), False)
        return [self.values.get(output.name, Missing()) for output in graph.output]
