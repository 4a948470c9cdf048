"""Parts of a signal, values put elsewhere by constant positions, and rows of constant tables.

An operator that moves values moves their positions alike. So it is run on the numbers of positions,
and their new places say where each value goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.registry import OnnxNode, reads
from spikewright.frontends.onnx.values import ConstantValue, SignalValue, UnsupportedOp
from spikewright.frontends.reading.call import Value, afford, layout_of, sample_shape
from spikewright.frontends.reading.selection import sliced, taken
from spikewright.graph.layers import (
    Concatenate,
    Identity,
    Lookup,
    Permute,
    Reshape,
    ScaleShift,
    Take,
)


def _numbers(node: OnnxNode, index: int) -> SignalValue:
    """The signal of whole numbers that rows are counted by; raises `UnsupportedOp` for others."""
    value, view = node.inputs[index], node.view(index)
    if not (isinstance(value, SignalValue) and value.whole):
        raise UnsupportedOp(
            f"its input {index} counts rows and is computed from real numbers, so that it jumps",
            "Count rows by an input of whole numbers",
        )
    return view


def rows_of_a_table(node: OnnxNode, axis: int) -> SignalValue:
    """Rows of a constant by whole numbers; their axes come behind those of the numbers."""
    numbers, table = _numbers(node, 1), node.constant(0)
    if table is None or not table.ndim or axis % table.ndim:
        raise UnsupportedOp(
            f"it looks entries up along axis {axis} of a table",
            "Transpose it, and use axis 0",
        )
    return node.add(Lookup(np.asarray(table, np.float64)), numbers)


def values_of_a_row(node: OnnxNode, axis: int) -> SignalValue:
    """Values of a constant by whole numbers, the same constant for all samples."""
    view, numbers = node.view(1), _numbers(node, 1)
    table = node.per_sample(0, view)
    if table.ndim != 1 or view.full_axis(axis) != view.rank - 1:
        raise UnsupportedOp(
            f"it looks values up along axis {axis} of a table of shape {table.shape} a sample",
            "Look them up in a vector, along the last axis",
        )
    return node.add(Lookup(np.asarray(table, np.float64)), numbers)


@reads("OneHot")
def one_hot(node: OnnxNode) -> Value:
    """A vector for each whole number, one value at its place and another elsewhere."""
    depth, values = node.constant(1), node.constant(2)
    if depth is None or values is None or int(np.ravel(depth)[0]) < 1:
        raise UnsupportedOp("how many places it has must be a constant above 0")
    places = int(np.ravel(depth)[0])
    off, on = (float(value) for value in np.ravel(values))
    table, numbers, view = off + (on - off) * np.eye(places), _numbers(node, 0), node.view(0)
    made = view.rank + 1
    axis = int(node.attributes.get("axis", -1)) % made
    if axis == made - 1:
        return node.add(Lookup(table), numbers)
    lead = view.rank - len(view.shape)
    if axis < lead:
        raise UnsupportedOp("its new axis comes before the batch", "Put it last, and transpose")
    at = axis - lead
    last = len(view.shape)
    order = (*range(at), last, *range(at, last))
    return node.chain(numbers, ("last", Lookup(table)), ("", Permute(order)))


_FEW = 64  # samples: an end beyond is that of any axis
_SAMPLES = "Only axes beside the batch can be cut"


@reads("Slice")
def slice_(node: OnnxNode) -> Value:
    """A range of some axes, with any step; of the batch's axis, whatever keeps all samples."""
    starts, ends, axes, steps = (
        node.integers(*entry)
        for entry in zip(("starts", "ends", "axes", "steps"), range(1, 5), strict=True)
    )
    if starts is None or ends is None:
        raise UnsupportedOp("its starts or ends are missing")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise UnsupportedOp(
            f"starts {starts}, ends {ends}, axes {axes}, steps {steps} do not match"
        )
    whole, parts = node.view(0), {}
    for start, end, given, step in zip(starts, ends, axes, steps, strict=True):
        axis = whole.full_axis(given)
        if step == 0:
            raise UnsupportedOp(f"its step along axis {axis} is 0")
        if node.free and whole.is_batch(axis) and 1 < end < _FEW:
            raise UnsupportedOp(f"it leaves {end} samples of axis {axis}, the batch", _SAMPLES)
        part = slice(start, end, step)  # bounds beyond the ends mean what they do in Python
        if range(*part.indices(whole.full[axis])) != range(whole.full[axis]):
            parts[axis] = part
    view = node.view(0, *sorted(parts))
    for axis, part in parts.items():
        if not range(*part.indices(whole.full[axis])):
            batch = ", the batch" if whole.is_batch(axis) else ""
            raise UnsupportedOp(
                f"its range {part} does not leave something of {whole.full[axis]} along axis "
                f"{axis}{batch}"
            )
    return sliced(node, view, {view.axis(axis): part for axis, part in parts.items()})


@reads("Split")
def split(node: OnnxNode) -> list[Value | ConstantValue]:
    """Consecutive ranges of one axis, one an output; an empty one is a constant."""
    full = int(node.attributes.get("axis", 0))
    if node.view(0).is_batch(full):
        if node.output_count == 1:
            return [node.add(Identity(), node.view(0))]
        raise UnsupportedOp(f"it splits axis {full}, the batch", _SAMPLES)
    view = node.view(0, full)
    axis = view.axis(full)
    extent, count = view.shape[axis], node.output_count
    sizes = node.integers("split", 1)
    if sizes is None:
        largest = -(-extent // count)
        sizes = (*(largest,) * (count - 1), extent - largest * (count - 1))
    if len(sizes) != count or sum(sizes) != extent or min(sizes) < 0:
        raise UnsupportedOp(f"it splits an axis of {extent} into {sizes} for {count} outputs")
    results: list[Value | ConstantValue] = []
    for index, (size, stop) in enumerate(zip(sizes, np.cumsum(sizes).tolist(), strict=True)):
        if size == 0:
            shape = (*view.shape[:axis], 0, *view.shape[axis + 1 :])
            results.append(ConstantValue(np.zeros((1,) * (view.rank - len(shape)) + shape)))
            continue
        part = {axis: slice(stop - size, stop)}
        results.append(sliced(node.inside(str(index) if index else ""), view, part))
    return results


@reads("Gather")
def gather(node: OnnxNode) -> Value:
    """Entries of an axis by constant indices, whose axes take that one's place.

    Or entries of a constant by whole numbers, as embeddings of tokens are.
    """
    full = int(node.attributes.get("axis", 0))
    if node.is_constant(0) and not node.is_constant(1):
        return rows_of_a_table(node, full)
    node.whole_numbers(1)  # raises where the indices are none
    indices, whole = node.known(1), node.view(0)
    if whole.is_batch(full):
        if np.abs(indices + 0.5).max(initial=0) > 1:
            raise UnsupportedOp(
                f"it takes entries {indices.tolist()!s:.60} of axis {full}, the batch", _SAMPLES
            )
        if indices.shape == (1,):
            return node.add(Identity(), whole)
        full_shape = (*indices.shape, *whole.full[1:])
        if indices.size == 1:
            return node.reshaped(whole, full_shape)
    view = node.view(0, full)
    return taken(node, view, indices, view.axis(full))


@reads("Compress")
def compress(node: OnnxNode) -> Value:
    """Entries of an axis, or of all values, where a constant condition holds."""
    condition = node.constant(1)
    if condition is None:
        raise UnsupportedOp("its condition is missing")
    (indices,) = np.nonzero(np.ravel(condition))
    if "axis" not in node.attributes:
        view = node.view(0, *node.view(0).every_axis())
        flat = node.add(Reshape((int(np.prod(view.shape)),)), view, part="flat")
        return node.add(Take(indices, 0), flat)
    full = int(node.attributes["axis"])
    view = node.view(0, full)
    return node.add(Take(indices, view.axis(full)), view)


@reads("Trilu")
def triangle(node: OnnxNode) -> Value:
    """The upper or lower triangle of matrices; zeros elsewhere."""
    diagonal = node.integers("k", 1) or (0,)
    view = node.view(0, -1, -2)
    rows, columns = view.shape[-2:]
    ones = np.ones((rows, columns))
    upper = bool(node.attributes.get("upper", 1))
    mask = (np.triu if upper else np.tril)(ones, int(diagonal[0]))
    return node.add(ScaleShift(mask), view)


def by_position(
    node: OnnxNode, operands: Sequence[int], run: Callable[[list[NDArray]], NDArray]
) -> Value:
    """The result of an operator that puts values of its operands elsewhere, and does no more.

    `run(arrays)` is the operator on arrays of the operands' full shapes. Values of signals are
    numbered from 0, those of constants follow.
    """
    views = {index: node.view(index) for index in operands if not node.is_constant(index)}
    arrays, constants, start = [], [np.zeros(0)], 0
    end = sum(math.prod(view.shape) for view in views.values())
    afford(end)
    for index in operands:
        if index in views:
            shape = views[index].full
            first, start = start, start + math.prod(shape)
        else:
            value = node.known(index)
            shape, first = value.shape, end + sum(given.size for given in constants)
            constants.append(np.ravel(value).astype(np.float64))
        arrays.append(first + np.arange(math.prod(shape)).reshape(shape))
    try:
        made = run(arrays)
    except (IndexError, ValueError) as error:
        raise UnsupportedOp(f"its positions do not fit ({error})") from error
    chosen, values = _numbered(made, end, np.concatenate(constants))
    shape, layout = sample_shape(made.shape), layout_of(made.shape)
    parts: list[Value] = [
        replace(
            node.add(Reshape((math.prod(view.shape),)), view, part=f"flat {k or ''}".strip()),
            layout=layout,
        )
        for k, view in enumerate(views.values())
    ]
    if values.size:
        parts.append(node.constant_like(values, parts[0], "constants"))
    together = node.add(Concatenate(0), *parts, part="values") if len(parts) > 1 else parts[0]
    return node.add(Take(chosen.reshape(shape), 0), together)


def _numbered(made: NDArray, end: int, constants: NDArray) -> tuple[NDArray, NDArray]:
    """Positions in a sample's own values, then those of the constants, each value once."""
    constant = made >= end
    if not constant.any():
        return made, np.zeros(0)
    values, position = np.unique(constants[np.where(constant, made - end, 0)], return_inverse=True)
    return np.where(constant, end + position.reshape(made.shape), made), values


def _indices(node: OnnxNode) -> NDArray:
    """Constant positions."""
    node.whole_numbers(1)  # raises where they are none
    return node.known(1)


@reads("GatherND")
def gather_nd(node: OnnxNode) -> Value:
    """Values, or runs of them, by constant positions along the first axes."""
    shared, indices = int(node.attributes.get("batch_dims", 0)), _indices(node)

    def run(arrays: list[NDArray]) -> NDArray:
        (data,), lead = arrays, arrays[0].shape[:shared]
        runs = zip(
            data.reshape(-1, *data.shape[shared:]),
            indices.reshape(-1, *indices.shape[shared:]),
            strict=True,
        )
        taken = np.stack([values[tuple(np.moveaxis(at, -1, 0))] for values, at in runs])
        return taken.reshape(*lead, *taken.shape[1:])

    return by_position(node, [0], run)


def _within(data: NDArray, indices: NDArray, axis: int) -> NDArray:
    """The part of the data that has the indices' extents along all other axes."""
    return data[tuple(slice(None if k == axis else n) for k, n in enumerate(indices.shape))]


@reads("GatherElements")
def gather_elements(node: OnnxNode) -> Value:
    """A value for each constant position along an axis, or of a constant for each whole number."""
    if node.is_constant(0) and not node.is_constant(1):
        return values_of_a_row(node, int(node.attributes.get("axis", 0)))
    indices, axis = _indices(node), node.view(0).full_axis(int(node.attributes.get("axis", 0)))

    def run(arrays: list[NDArray]) -> NDArray:
        return np.take_along_axis(_within(arrays[0], indices, axis), indices, axis)

    return by_position(node, [0], run)


@reads("ScatterElements", "Scatter", "ScatterND")
def scatter(node: OnnxNode) -> Value:
    """Values put to constant positions along an axis of others, or runs along the first axes."""
    reduction = node.attributes.get("reduction", "none")
    if reduction != "none":
        raise UnsupportedOp(
            f"it combines new values with old ones ({reduction})",
            "Add, multiply or compare the two, and put the result there",
        )
    indices, axis = _indices(node), int(node.attributes.get("axis", 0))

    def run(arrays: list[NDArray]) -> NDArray:
        made = arrays[0].copy()
        if node.kind == "ScatterND":
            made[tuple(np.moveaxis(indices, -1, 0))] = arrays[1]
        else:
            along = axis % made.ndim
            np.put_along_axis(_within(made, indices, along), indices, arrays[1], along)
        return made

    return by_position(node, [0, 2], run)
