"""The inputs of a model, where their batch is, and the outputs that it is cut down to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright._base.samples import Structure
from spikewright.advice import advise
from spikewright.errors import ReadError
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.onnx.needed import captured, labels_of, needed_nodes
from spikewright.frontends.onnx.values import integer_types
from spikewright.frontends.outputs import named_examples, pick
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
    given = named_examples(example, Structure({name: (name,) for name in names}), f"{place}: ")
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
