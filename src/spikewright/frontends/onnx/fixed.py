"""Files of a fixed batch of several samples, read at one sample.

Constants of such a file may hold the size of the batch: targets of Reshape, masks with a row for
each sample. The shapes that its values have say which, and what they are for one sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import ReadError
from spikewright.frontends.mixing import MixingPlace, divisors, multiplied
from spikewright.frontends.onnx.inputs import ModelInputs
from spikewright.frontends.onnx.needed import needed_nodes
from spikewright.frontends.onnx.node import KEEP_BATCH
from spikewright.frontends.onnx.runtime import Runtime, observed
from spikewright.frontends.onnx.values import ConstantValue, SignalValue, Unreadable, Value
from spikewright.frontends.reading.call import alike
from spikewright.graph.layers import Shape

_BROADCASTING = """
    Add And Concat Div Equal GatherElements Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod
    Mul Or PRelu Pow ScatterElements Sub Sum Where Xor
"""
_ALIGNED = frozenset(_BROADCASTING.split())
"""Operators whose operands have their axes in common, counted from the last."""
_STATES = {"Attention": (3,), "GRU": (5,), "Gemm": (2,), "LSTM": (5, 6), "RNN": (5,)}
"""Operands of other operators of which that is true."""


def shapes_of(proto: Any, inputs: ModelInputs) -> dict[str, Shape]:
    """The shapes of the values of a model with a fixed batch: of a run, or else inferred."""
    to_dtype = require("onnx").helper.tensor_dtype_to_np_dtype
    types = {v.name: to_dtype(v.type.tensor_type.elem_type) for v in proto.graph.input}
    rng = np.random.default_rng(0)
    feed = {
        name: inputs.batched(name, rng.integers(0, 2, (inputs.several, *shape)).astype(types[name]))
        for name, shape in inputs.shapes.items()
    }
    names = [name for node in needed_nodes(proto.graph) for name in node.output if name]
    try:
        made = Runtime(observed(proto, names, inputs.shapes), optimised=False).run(names, feed)
        shapes = {name: np.shape(value) for name, value in zip(names, made, strict=True)}
    except ReadError:  # reading says why, or the comparison of samples
        shapes = _inferred(proto)
    return shapes | {name: value.shape for name, value in feed.items()}


def _inferred(proto: Any) -> dict[str, Shape]:
    """The shapes that the standard's inference knows."""
    values = require("onnx").shape_inference.infer_shapes(proto, data_prop=True).graph.value_info
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
    return {name: shape for name, shape in shapes.items() if all(shape)}


class Several:
    """A model of several samples; `shapes` are those of its values."""

    def __init__(self, shapes: Mapping[str, Shape], samples: int) -> None:
        self.shapes, self.samples = shapes, samples

    def mended(self, node: Any, inputs: Sequence[Value | None]) -> tuple[Value | None, ...]:
        """The inputs of a node, with constants as they are for one sample."""
        found = list(inputs)
        at = self._batch(node, inputs)
        if at is None:
            return tuple(found)
        signal, axis = at
        if node.op_type in ("Reshape", "Expand") and len(found) > 1 and found[0] is signal:
            wide = self.shapes.get(node.output[0])
            if wide is not None and isinstance(found[1], ConstantValue):
                made = _expanded if node.op_type == "Expand" else self._reshaped
                found[1] = _integers(made(signal, axis, wide))
        elif node.op_type == "Squeeze" and not node.attribute and len(found) == 1:
            many = self.shapes[node.input[0]]
            found.append(_integers([k for k, extent in enumerate(many) if extent == 1]))
        elif node.op_type == "Resize" and len(found) > 3 and isinstance(found[3], ConstantValue):
            if len(found[3].array) == signal.rank:
                sizes = [*found[3].array[:axis], signal.full[axis], *found[3].array[axis + 1 :]]
                found[3] = _integers(sizes)
        elif node.op_type == "Gather" and isinstance(found[1], ConstantValue):
            along = next((a.i for a in node.attribute if a.name == "axis"), 0) % signal.rank
            if along == axis and np.array_equal(found[1].array, np.arange(self.samples)):
                found[1] = _integers([0])
        else:
            self._rows(node, found, signal, axis)
        return tuple(found)

    def check(self, name: str, value: Value) -> None:
        """Raise `Unreadable` where the batch is no factor of one axis of a result."""
        many = self.shapes.get(name)
        if many is None or not isinstance(value, SignalValue) or many == value.full:
            return
        if multiplied(many, value.full, self.samples) is None:
            raise Unreadable(
                f"it makes shape {many} of a batch of {self.samples} and {value.full} of one "
                "sample: axis 0 is no longer the batch, nor is another",
                KEEP_BATCH,
            )

    def _batch(self, node: Any, inputs: Sequence[Value | None]) -> tuple[SignalValue, int] | None:
        """The first signal that has the batch, and on which axis."""
        for name, value in zip(node.input, inputs, strict=True):
            many = self.shapes.get(name)
            if many is not None and isinstance(value, SignalValue):
                axis = multiplied(many, value.full, self.samples)
                if axis is not None:
                    return value, axis
        return None

    def _reshaped(self, x: SignalValue, axis: int, wide: Shape) -> list[int]:
        """The target for one sample of a Reshape that makes this shape of all."""
        for merged in divisors(x.full[axis]):  # values that lie before the samples on their axis
            before, passed = math.prod(x.full[:axis]) * merged, 1
            for place, extent in enumerate(wide):
                outer, left = divmod(before, passed)
                fits = outer and not left and before < passed * extent
                if fits and extent % (outer * self.samples) == 0:
                    return [n // self.samples if k == place else n for k, n in enumerate(wide)]
                passed *= extent
        raise Unreadable(
            f"it turns a batch of {self.samples}, of which one sample has shape {x.full}, into "
            f"{wide}: axis 0 is no longer the batch, nor is another",
            KEEP_BATCH,
        )

    def _rows(self, node: Any, found: list[Value | None], x: SignalValue, axis: int) -> None:
        """Leave one of several equal rows of constant operands."""
        for index, value in enumerate(found):
            aligned = node.op_type in _ALIGNED or index in _STATES.get(node.op_type, ())
            if node.op_type == "MatMul":
                aligned = axis < x.rank - 2
            if not isinstance(value, ConstantValue) or not aligned:
                continue
            rank = 4 if node.op_type == "Attention" else x.rank  # heads may lie side by side
            place = axis - rank + value.array.ndim
            if place >= 0 and value.array.shape[place] == self.samples * x.full[axis]:
                rows = self._row(value.array, place)
                found[index] = replace(value, array=rows)

    def _row(self, array: NDArray, axis: int) -> NDArray:
        apart = MixingPlace(axis, 1).first(array, self.samples)
        if not alike(apart, apart[:1]):
            raise Unreadable(
                f"its constant of shape {array.shape} differs from sample to sample",
                "Use one without a batch axis: samples cannot be mixed in a spiking network.",
            )
        return np.ascontiguousarray(apart[0])


def _expanded(x: SignalValue, axis: int, wide: Shape) -> list[int]:
    """The target for one sample of an Expand that makes this shape of all."""
    place = axis - x.rank + len(wide)
    return [x.full[axis] if k == place else n for k, n in enumerate(wide)]


def _integers(values: Sequence[int]) -> ConstantValue:
    return ConstantValue(np.array(values, np.int64))
