"""The source model's own values: of its outputs, as a user has them, and of values between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import ReadError
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.onnx.inputs import ModelInputs
from spikewright.frontends.onnx.needed import needed_nodes
from spikewright.frontends.onnx.runtime import Runtime
from spikewright.frontends.onnx.walk import Tensor
from spikewright.frontends.onnx.whole import integer_types
from spikewright.frontends.source import Values


class Evaluator:
    """Callable `{input: (batch, *shape)} -> {name: value}` for any batch size.

    A model whose file fixes the batch size runs in slices of that size, the last one filled up.
    `tensors` maps the names of results to ONNX values: outputs of the model, called as it
    is, or with `inside` values of any kind, of operators that run one by one.
    """

    def __init__(
        self, proto: Any, tensors: Mapping[str, Tensor], inputs: ModelInputs, inside: bool = False
    ) -> None:
        self._proto, self._tensors, self._inputs = proto, dict(tensors), inputs
        self._inside = inside
        self._runtime: Runtime | None = None

    def __call__(self, inputs: Values) -> dict[str, NDArray]:
        feed = self._feed(inputs)
        batch = len(next(iter(feed.values())))
        size = self._inputs.fixed_batch or batch
        parts = [self._run(feed, start, size) for start in range(0, batch, size)]
        return {name: np.concatenate([p[name] for p in parts])[:batch] for name in self._tensors}

    def ran(self) -> str:
        """The program that runs the model."""
        return "ONNX" if self._runtime is None else self._runtime.name

    def _feed(self, inputs: Values) -> dict[str, NDArray]:
        """The inputs in the model's data types; raises `ReadError` where they do not fit."""
        wanted = self._inputs.shapes
        if set(inputs) != set(wanted):
            raise ReadError(f"the model's inputs are {list(wanted)}, got {list(inputs)}.")
        types = {v.name: v.type.tensor_type.elem_type for v in self._proto.graph.input}
        feed = {name: _typed(name, inputs[name], types[name]) for name in wanted}
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
            whole = np.concatenate([piece, np.repeat(piece[-1:], missing, 0)])
            part[name] = self._inputs.layouts[name].batch_back(whole)
        if self._runtime is None:
            model = self._observed() if self._inside else self._proto
            self._runtime = Runtime(model, optimised=not self._inside)
        wanted = {t.name: t for t in self._tensors.values() if t.name not in part}
        found = dict(zip(wanted, self._runtime.run(list(wanted), part), strict=True))
        return {
            name: tensor.layout.batch_first(np.asarray((part | found)[tensor.name]), tensor.shape)
            for name, tensor in self._tensors.items()
        }

    def _observed(self) -> Any:
        """A copy of the model that returns every value that was asked for."""
        onnx = require("onnx")
        given = self._inputs.shapes
        names = dict.fromkeys(t.name for t in self._tensors.values() if t.name not in given)
        graph = onnx.GraphProto(
            name=self._proto.graph.name,
            node=needed_nodes(self._proto.graph),
            input=[value for value in self._proto.graph.input if value.name in given],
            initializer=self._proto.graph.initializer,
            output=[onnx.ValueInfoProto(name=name) for name in names],
        )
        return onnx.ModelProto(
            ir_version=self._proto.ir_version, opset_import=self._proto.opset_import, graph=graph
        )


def _typed(name: str, value: NDArray, kind: int) -> NDArray:
    """An input in its element type; raises `ReadError` for numbers that a whole one cannot hold."""
    dtype = require("onnx").helper.tensor_dtype_to_np_dtype(kind)
    with np.errstate(invalid="ignore"):  # said below
        typed: NDArray = np.asarray(value).astype(dtype)
    if kind in integer_types() and not np.array_equal(typed, value):
        wrong = np.asarray(value)[typed != value].flat[0]
        raise ReadError(f"input {name!r} takes whole numbers ({type_name(kind)}), got {wrong:g}.")
    return typed
