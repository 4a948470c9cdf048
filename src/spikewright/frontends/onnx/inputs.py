"""The inputs of a model, where their batch is, and the outputs that it is cut down to.

A file of a fixed batch of several samples is read at one sample. Constants of such a file may hold
the size of the batch: targets of Reshape, masks with a row for each sample. The shapes that its
values have say which, and what they are for one sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright._base.samples import InputTree
from spikewright.advice import advise
from spikewright.errors import ReadError
from spikewright.frontends.mixing import MixingPlace, divisors, multiplied
from spikewright.frontends.onnx.files import captured, labels_of, needed_nodes, type_name
from spikewright.frontends.onnx.registry import KEEP_BATCH
from spikewright.frontends.onnx.runtime import Runtime, observed
from spikewright.frontends.onnx.values import (
    ConstantValue,
    SignalValue,
    UnsupportedOp,
    Value,
    integer_types,
)
from spikewright.frontends.outputs import named_examples, pick
from spikewright.frontends.reading.call import alike
from spikewright.graph.layers import Shape


@dataclass(frozen=True)
class ModelInputs:
    """Unbatched shape by input name, the full axis of its batch, and the size of a fixed batch.

    The axis is None for an input that has none, in a file of one sample. `several` is the number of
    samples that the file fixes, 1 where it leaves that free; `alone` says whether it fixes it to
    one. `single` are inputs of one row where others leave their number open: that row may be there
    for all samples. `kinds` has the element types of inputs of whole numbers or truth values.
    """

    shapes: Mapping[str, Shape]
    axes: Mapping[str, int | None]
    several: int
    alone: bool
    single: frozenset[str]
    kinds: Mapping[str, int]

    def full(self, name: str) -> Shape:
        """The shape that ONNX has for one sample."""
        axis, shape = self.axes[name], self.shapes[name]
        return shape if axis is None else (*shape[:axis], 1, *shape[axis:])

    def batch_axis(self, full: Shape) -> int | None:
        """The axis of an output that holds its one sample, or None."""
        ones = [axis for axis, extent in enumerate(full) if extent == 1]
        return ones[0] if ones and (ones[0] == 0 or not self.alone) else None

    def batched(self, name: str, rows: NDArray) -> NDArray:
        """`(batch, *shape)` as the model takes it."""
        axis, rows = self.axes[name], rows[:1] if name in self.single else rows
        return np.asarray(rows[0] if axis is None else np.moveaxis(rows, 0, axis))


def input_names(proto: Any) -> list[str]:
    """The inputs that are no initialisers."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    return [value.name for value in proto.graph.input if value.name not in weights]


def examples_of(proto: Any, example: Any, place: str) -> dict[str, NDArray]:
    """Examples by input name; inputs without axes become constants, with their values."""
    names = input_names(proto)
    given = named_examples(example, InputTree({name: (name,) for name in names}), f"{place}: ")
    arrays = {name: np.asarray(value) for name, value in given.items()}
    graph, to_dtype = proto.graph, require("onnx").helper.tensor_dtype_to_np_dtype
    for index in reversed(range(len(graph.input))):
        value, tensor = graph.input[index], graph.input[index].type.tensor_type
        if value.name in arrays and tensor.HasField("shape") and not tensor.shape.dim:
            number = arrays.pop(value.name).astype(to_dtype(tensor.elem_type)).reshape(())
            graph.initializer.append(require("onnx").numpy_helper.from_array(number, value.name))
            del graph.input[index]
    for name, array in arrays.items():
        if not array.shape or min(array.shape) < 1:
            raise ReadError(
                f"{place}: example_input {name!r} has shape {array.shape}; it must have a batch "
                "axis and hold something."
            )
    return arrays


def inputs_of(proto: Any, examples: Mapping[str, NDArray], place: str) -> ModelInputs:
    """Read the inputs that are no initialisers; raises `ReadError` where a shape stays unknown."""
    names = set(input_names(proto))
    values = [value for value in proto.graph.input if value.name in names]
    if not values:
        raise ReadError(f"{place}: has no input that is not a weight, so it computes a constant.")
    declared = {value.name: _declared(value, examples.get(value.name), place) for value in values}
    axes = _batch_axes(declared)
    shapes: dict[str, Shape] = {}
    fixed: dict[str, int] = {}
    for name, full in declared.items():
        batch, *rest = _batch_first(full, axes[name])
        where = f"{place}: input {name!r}"
        known = _extents(rest, examples.get(name), where, full)
        unknown = [axis for axis, extent in enumerate(known, 1) if not isinstance(extent, int)]
        if unknown:
            raise ReadError(
                f"{where}: the extent of axes {unknown} is not fixed in the model. "
                f"{advise('shape of an input')}."
            )
        shapes[name] = tuple(extent for extent in known if isinstance(extent, int))
        if isinstance(batch, int):
            fixed[name] = batch
    if len(set(fixed.values())) > 1:
        raise ReadError(
            f"{place}: its inputs have different first axes, {fixed}; the first axis of every "
            "input must be the batch. Export it so, with one batch size or a dynamic one."
        )
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    counted = (*integer_types(), require("onnx").TensorProto.BOOL)
    kinds = {name: kind for name, kind in types.items() if kind in counted}
    several = next(iter(fixed.values()), 1)
    alone = several == 1 and len(fixed) == len(shapes)
    single = frozenset() if several > 1 or alone else frozenset(fixed)
    return ModelInputs(shapes, axes, several, alone, single, kinds)


def _declared(value: Any, example: NDArray | None, place: str) -> list[int | str]:
    """Extents as the model has them: numbers, names, and nothing where they have neither."""
    where = f"{place}: input {value.name!r}"
    tensor = value.type.tensor_type
    if value.type.HasField("tensor_type") and tensor.HasField("shape") and not tensor.shape.dim:
        raise ReadError(
            f"{where} has no axes, so it is the same for all samples. Give its value: "
            f"example_input={{{value.name!r}: ...}}, with the other inputs."
        )
    _check_type(value.type, where)
    if not tensor.HasField("shape"):
        if example is None:
            raise ReadError(f"{where} has no shape in the model. {advise('shape of an input')}.")
        return ["", *example.shape[1:]]
    return [d.dim_value if d.dim_value > 0 else str(d.dim_param) for d in tensor.shape.dim]


def _batch_axes(declared: Mapping[str, list[int | str]]) -> dict[str, int | None]:
    """The batch's axis of each input: the first, unless names of its axes say otherwise.

    The batch axis has the name that all inputs share, each once, or is the one open axis of an
    input whose first is fixed where others' is not. A batch of one may lie anywhere: nothing can be
    mixed. Axes that share another name may differ: exporters write "?" for whatever is open.
    """
    firsts = [full[0] for full in declared.values()]
    one, *others = declared.values()
    names = [name for name in one if isinstance(name, str) and name]
    shared = [name for name in names if all(full.count(name) == 1 for full in (one, *others))]
    named = shared[0] if shared and (others or one[0] != 1) else None
    lone = all(isinstance(first, int) for first in firsts) and 1 in firsts
    axes: dict[str, int | None] = {}
    for name, full in declared.items():
        axis: int | None = 0
        if named is not None:
            axis = full.index(named)
        elif lone and full[0] != 1:
            axis = full.index(1) if 1 in full else None
        elif isinstance(full[0], int) and not all(isinstance(first, int) for first in firsts):
            opened = [k for k, extent in enumerate(full) if isinstance(extent, str)]
            axis = opened[0] if len(opened) == 1 else 0
        axes[name] = axis
    return axes


def _batch_first(full: list[int | str], axis: int | None) -> list[int | str]:
    if axis is None:
        return [1, *full]
    return [full[axis], *full[:axis], *full[axis + 1 :]]


def _extents(
    declared: list[int | str], example: NDArray | None, where: str, full: list[int | str]
) -> list[int | str]:
    """Extents beside the batch, those of an example where the model leaves them open."""
    if example is None:
        return declared
    given = example.shape[1:]
    fits = len(given) == len(declared) and all(
        isinstance(extent, str) or extent == n for extent, n in zip(declared, given, strict=True)
    )
    if not fits:
        shown = [extent if isinstance(extent, int) else extent or None for extent in full]
        raise ReadError(
            f"{where} is {shown} in the model, example_input has shape {example.shape}."
        )
    return list(given)


def _check_type(declared: Any, where: str) -> None:
    types = require("onnx").TensorProto
    kind = declared.WhichOneof("value")
    if kind != "tensor_type":
        raise ReadError(f"{where} is a {kind}; only tensors can be read.")
    element = declared.tensor_type.elem_type
    if element not in (types.FLOAT, types.DOUBLE, types.BOOL, *integer_types()):
        raise ReadError(
            f"{where} holds {type_name(element)} values; real and whole numbers can be read. "
            "Export the model with an input of real numbers, behind the layer that makes them."
        )


def cut(proto: Any, names: Sequence[str] | None) -> dict[str, str]:
    """The ONNX value of each output, by its name; nodes get the names that layers have.

    With `names`, of outputs, nodes or values, everything that they do not need is removed from the
    model in place, inputs included.
    """
    graph = proto.graph
    nodes = needed_nodes(graph)
    for node, label in zip(nodes, labels_of(nodes, input_names(proto)), strict=True):
        node.name = label
    own = {value.name: value.name for value in graph.output}
    if names is None:
        return own
    values = {value: value for node in nodes for value in node.output if value}
    layers = {node.name: next(value for value in node.output if value) for node in nodes}
    outputs = pick(names, {**values, **layers, **own})
    _keep(graph, dict.fromkeys(outputs.values()))
    return outputs


def _keep(graph: Any, values: Collection[str]) -> None:
    """Leave these outputs, and the nodes and inputs that they need."""
    types = {value.name: value.type for value in (*graph.value_info, *graph.output)}
    del graph.output[:]
    for name in values:
        output = graph.output.add(name=name)
        if name in types:
            output.type.CopyFrom(types[name])
    nodes = needed_nodes(graph)
    made = {node.name for node in nodes}
    read = {name for node in nodes for name in (*node.input, *captured(node))} | set(values)
    _leave(graph.node, lambda node: node.name in made)
    _leave(graph.input, lambda value: value.name in read)


def _leave(items: Any, kept: Callable[[Any], bool]) -> None:
    """Remove the entries of a repeated field that are not kept."""
    for index in reversed(range(len(items))):
        if not kept(items[index]):
            del items[index]


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
        """Raise `UnsupportedOp` where the batch is no factor of one axis of a result."""
        many = self.shapes.get(name)
        if many is None or not isinstance(value, SignalValue) or many == value.full:
            return
        if multiplied(many, value.full, self.samples) is None:
            raise UnsupportedOp(
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
        raise UnsupportedOp(
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
            raise UnsupportedOp(
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
