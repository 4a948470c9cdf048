"""Parts of a signal: Slice, Split, Gather, Compress, Trilu."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.lookup import rows_of_a_table
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Constant, Unreadable
from spikewright.frontends.reading.selection import sliced, taken
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Identity, Reshape, ScaleShift, Take

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
        raise Unreadable("its starts or ends are missing")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Unreadable(f"starts {starts}, ends {ends}, axes {axes}, steps {steps} do not match")
    whole, parts = node.view(0), {}
    for start, end, given, step in zip(starts, ends, axes, steps, strict=True):
        axis = whole.full_axis(given)
        if step == 0:
            raise Unreadable(f"its step along axis {axis} is 0")
        if node.free and whole.is_batch(axis) and 1 < end < _FEW:
            raise Unreadable(f"it leaves {end} samples of axis {axis}, the batch", _SAMPLES)
        part = slice(start, end, step)  # bounds beyond the ends mean what they do in Python
        if range(*part.indices(whole.full[axis])) != range(whole.full[axis]):
            parts[axis] = part
    view = node.view(0, *sorted(parts))
    for axis, part in parts.items():
        if not range(*part.indices(whole.full[axis])):
            batch = ", the batch" if whole.is_batch(axis) else ""
            raise Unreadable(
                f"its range {part} does not leave something of {whole.full[axis]} along axis "
                f"{axis}{batch}"
            )
    return sliced(node, view, {view.axis(axis): part for axis, part in parts.items()})


@reads("Split")
def split(node: OnnxNode) -> list[Value | Constant]:
    """Consecutive ranges of one axis, one an output; an empty one is a constant."""
    full = int(node.attributes.get("axis", 0))
    if node.view(0).is_batch(full):
        if node.output_count == 1:
            return [node.add(Identity(), node.view(0))]
        raise Unreadable(f"it splits axis {full}, the batch", _SAMPLES)
    view = node.view(0, full)
    axis = view.axis(full)
    extent, count = view.shape[axis], node.output_count
    sizes = node.integers("split", 1)
    if sizes is None:
        largest = -(-extent // count)
        sizes = (*(largest,) * (count - 1), extent - largest * (count - 1))
    if len(sizes) != count or sum(sizes) != extent or min(sizes) < 0:
        raise Unreadable(f"it splits an axis of {extent} into {sizes} for {count} outputs")
    results: list[Value | Constant] = []
    for index, (size, stop) in enumerate(zip(sizes, np.cumsum(sizes).tolist(), strict=True)):
        if size == 0:
            shape = (*view.shape[:axis], 0, *view.shape[axis + 1 :])
            results.append(Constant(np.zeros((1,) * (view.rank - len(shape)) + shape)))
            continue
        part = {axis: slice(stop - size, stop)}
        results.append(sliced(node, view, part, str(index) if index else ""))
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
            raise Unreadable(
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
        raise Unreadable("its condition is missing")
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
