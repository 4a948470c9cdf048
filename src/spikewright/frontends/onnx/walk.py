"""The walk over an ONNX graph: constants are folded, every other node goes to its reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from spikewright._base.optional import require
from spikewright.frontends.fallback import calling, shown
from spikewright.frontends.onnx.control import Flow
from spikewright.frontends.onnx.fixed import Several, shapes_of
from spikewright.frontends.onnx.inputs import ModelInputs
from spikewright.frontends.onnx.needed import labels_of, needed_nodes
from spikewright.frontends.onnx.node import KEEP_BATCH, NodeOrigin, OnnxNode
from spikewright.frontends.onnx.registry import READERS, TAILS, reason_for
from spikewright.frontends.onnx.runtime import extents, fold, is_foldable
from spikewright.frontends.onnx.tensors import array_of
from spikewright.frontends.onnx.values import (
    ConstantValue,
    Label,
    Missing,
    SignalValue,
    Unreadable,
    Value,
    integer_types,
    is_truth,
    whole_type,
)
from spikewright.frontends.reading.call import Unknown, layout_of, sample_shape
from spikewright.frontends.source import GraphBuilder
from spikewright.graph import Graph, unique_name
from spikewright.graph.layers import Reshape, Shape

_REMOVE = "Remove it from the model's outputs"
_FINITE_AGAIN = frozenset(("Softmax", "Exp", "Sigmoid", "ReduceMax", "Max", "Relu", "Where"))
"""Operators in which a minus infinity of their inputs vanishes."""


def _has_infinity(value: Value | None) -> bool:
    return isinstance(value, SignalValue) and not value.comparable


class Tensor(NamedTuple):
    """An ONNX value by its name, the graph's shape of a sample, and ONNX's of one sample."""

    name: str
    shape: Shape
    full: Shape


class OnnxWalk:
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
            array = array_of(tensor, self.place)
            self.values[tensor.name] = ConstantValue(array)
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
            self.builder.refuse(name, "graph output", why, _REMOVE, cut={})
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

    def full(self, name: str) -> Shape:
        """The shape that ONNX has of a value for one sample."""
        value = self.values.get(name)
        if isinstance(value, SignalValue):
            return value.full
        return value.array.shape if isinstance(value, ConstantValue) else ()

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
        except Unreadable as error:
            tail = node.op_type in TAILS or any(isinstance(value, Label) for value in inputs)
            cut = self._read_by(node) if tail else None
            options = error.options or (KEEP_BATCH if self.several else "")
            self.builder.refuse(*origin, error.reason, options, cut=cut)
            results = ()
        except Unknown:
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
            elif results:
                self.values[name] = Missing(
                    f"it reads output {index} of {label!r}, which is not "
                    f"among the outputs that are read of {node.op_type}"
                )
            else:
                self.values[name] = Missing()

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
        """The values of a node's outputs; raises `Unreadable` or `Unknown`."""
        standard = not node.domain
        attributes = _attributes(node)
        if standard and node.op_type in ("If", "Loop", "Scan"):
            return Flow(self, node, label, inputs).run()
        if standard and node.op_type in ("Shape", "Size") and isinstance(inputs[0], SignalValue):
            return [extents(node.op_type, inputs[0].full, attributes)]
        if is_foldable(node):
            if all(value is None or isinstance(value, ConstantValue) for value in inputs):
                known = [value if isinstance(value, ConstantValue) else None for value in inputs]
                return fold(node, known, self.opset)
            if Missing() in inputs and (node.domain, node.op_type) not in READERS:
                raise Unknown  # shape arithmetic over something refused says nothing new
        reader = READERS.get((node.domain, node.op_type))
        if reader is None:
            raise Unreadable(*reason_for(node.domain, node.op_type))
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
        with calling(reader, label, node.op_type, Unreadable, Unknown):
            made = reader(view)
        results = made if isinstance(made, list | tuple) else [made]
        return [self._result(result, whole, truth) for result in results]

    def _result(self, made: Any, whole: int, truth: bool) -> Value:
        """The value that a reader returned, of this `whole` type or of truth values.

        Raises `Unreadable` where it returned none of the graph.
        """
        value = made
        if isinstance(value, SignalValue) and value.name not in self.builder.shapes:
            value = None
        if not isinstance(value, SignalValue | ConstantValue | Missing):
            raise Unreadable(
                f"its reader returns {shown(made)}, which is no value of the graph",
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


def _attributes(node: Any) -> dict[str, Any]:
    get = require("onnx").helper.get_attribute_value
    values = {attribute.name: get(attribute) for attribute in node.attribute}
    return {n: v.decode(errors="replace") if isinstance(v, bytes) else v for n, v in values.items()}
