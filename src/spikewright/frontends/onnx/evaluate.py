"""The source model's own values, from ONNX's reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._optional import require
from spikewright.errors import ReadError
from spikewright.frontends.onnx.files import opset_of
from spikewright.frontends.onnx.inputs import ModelInputs
from spikewright.frontends.onnx.operators import operators
from spikewright.frontends.onnx.walk import Tensor, needed_nodes
from spikewright.frontends.source import Values


class Evaluator:
    """Callable `{input: (batch, *shape)} -> {graph node: value}` for any batch size.

    A model whose file fixes the batch size runs in slices of that size, the last one filled up.
    `tensors` maps graph nodes to their ONNX values.
    """

    def __init__(self, proto: Any, tensors: Mapping[str, Tensor], inputs: ModelInputs) -> None:
        self._proto, self._tensors, self._inputs = proto, dict(tensors), inputs
        self._runner: Any = None

    def __call__(self, inputs: Values) -> dict[str, NDArray]:
        feed = self._feed(inputs)
        batch = len(next(iter(feed.values())))
        size = self._inputs.fixed_batch or batch
        parts = [self._run(feed, start, size) for start in range(0, batch, size)]
        return {name: np.concatenate([p[name] for p in parts])[:batch] for name in self._tensors}

    def _feed(self, inputs: Values) -> dict[str, NDArray]:
        """The inputs in the model's data types; raises `ReadError` where they do not fit."""
        wanted = self._inputs.shapes
        if set(inputs) != set(wanted):
            raise ReadError(f"the model's inputs are {list(wanted)}, got {list(inputs)}.")
        to_dtype = require("onnx").helper.tensor_dtype_to_np_dtype
        types = {v.name: v.type.tensor_type.elem_type for v in self._proto.graph.input}
        feed = {name: np.asarray(inputs[name], to_dtype(types[name])) for name in wanted}
        for name, value in feed.items():
            if value.shape[1:] != wanted[name] or value.ndim == 0 or len(value) == 0:
                raise ReadError(
                    f"input {name!r} must be (batch, {', '.join(map(str, wanted[name]))}), "
                    f"got shape {value.shape}."
                )
        if len({len(value) for value in feed.values()}) > 1:
            raise ReadError(
                f"inputs differ in batch size: { {n: len(v) for n, v in feed.items()} }"
            )
        return feed

    def _run(self, feed: Mapping[str, NDArray], start: int, size: int) -> dict[str, NDArray]:
        part = {}
        for name, value in feed.items():
            piece = value[start : start + size]
            missing = size - len(piece)
            part[name] = np.concatenate([piece, np.repeat(piece[-1:], missing, 0)])
        if self._runner is None:
            self._runner = self._build()
        values = self._runner.run(None, part)
        return {
            node: tensor.layout.samples_first(np.asarray(value), size)
            for (node, tensor), value in zip(self._tensors.items(), values, strict=True)
        }

    def _build(self) -> Any:
        """The evaluator of a copy of the model that returns every value that was asked for."""
        onnx = require("onnx")
        graph = onnx.GraphProto(
            name=self._proto.graph.name,
            node=needed_nodes(self._proto.graph),
            input=[v for v in self._proto.graph.input if v.name in self._inputs.shapes],
            initializer=self._proto.graph.initializer,
            output=[onnx.ValueInfoProto(name=tensor.name) for tensor in self._tensors.values()],
        )
        known = operators(opset_of(self._proto))
        _refuse_unknown(graph, known)
        for position, node in enumerate(graph.node):
            for index, name in enumerate(node.output):
                if not name:  # else its value would stand for every input that is not given
                    node.output[index] = f"left out: {position}, {index}"
        model = onnx.ModelProto(
            ir_version=self._proto.ir_version, opset_import=self._proto.opset_import, graph=graph
        )
        return require("onnx.reference").ReferenceEvaluator(model, new_ops=known)


def _refuse_unknown(graph: Any, known: Sequence[type]) -> None:
    """Raise `ReadError` for an operator that has a reader of the user's but no evaluator."""
    names = {(getattr(made, "op_domain", ""), made.__name__) for made in known}
    for node in graph.node:
        if node.domain and (node.domain, node.op_type) not in names:
            raise ReadError(
                f"the operator {node.op_type!r} of domain {node.domain!r} cannot be evaluated. "
                "Register its reader with reads(..., evaluator=...)."
            )
