"""Parts of a signal: Slice, Split, Gather, Compress, Trilu."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.lookup import rows_of_a_table
from spikewright.frontends.onnx.readers.positions import by_position
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Constant, Signal, Unreadable, same
from spikewright.frontends.reading.selection import sliced, taken
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Identity, Reshape, ScaleShift, Slice, Take

_SAMPLES = "Only axes beside the batch can be cut"


@reads("Slice")
def slice_(node: OnnxNode) -> Value:
    """A range of some axes, with any step; of the batch's axis, whatever keeps all samples."""
    settings = [
        _slice_setting(node, *entry)
        for entry in zip(("starts", "ends", "axes", "steps"), range(1, 5), strict=True)
    ]
    whole = node.view(0)
    parts = [_slices(world, whole, batch, settings) for world, batch in enumerate(node.batches)]
    cut = [{axis for axis, part in slices.items() if part is not None} for slices in parts]
    view = node.view(0, *sorted(set().union(*cut)))
    found = [
        {view.axis(axis): part for axis, part in slices.items() if part is not None}
        for slices in parts
    ]
    for slices in found:
        for axis, part in slices.items():
            if not range(*part.indices(view.shape[axis])):
                raise Unreadable(f"its range {part} does not leave something of {view.shape[axis]}")
    if any(Slice.along(view.shape, s) != Slice.along(view.shape, found[0]) for s in found):
        raise Unreadable("how it slices depends on the batch size", _SAMPLES)
    return sliced(node, view, found[0])


def _slice_setting(node: OnnxNode, name: str, index: int) -> tuple[tuple[int, ...], ...] | None:
    """A setting for every batch size; attributes before operator set 10, inputs since."""
    if name in node.attributes:
        return (tuple(node.attributes[name]),) * len(node.batches)
    return node.integer_worlds(index)


def _slices(
    world: int, view: Signal, batch: int, settings: list[tuple[tuple[int, ...], ...] | None]
) -> dict[int, slice | None]:
    """A slice for each full axis that is cut, None for one that stays whole."""
    starts, ends, axes, steps = (None if s is None else s[world] for s in settings)
    if starts is None or ends is None:
        raise Unreadable("its starts or ends are missing")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Unreadable(f"starts {starts}, ends {ends}, axes {axes}, steps {steps} do not match")
    full = view.full(batch)
    found: dict[int, slice | None] = {}
    for start, end, given, step in zip(starts, ends, axes, steps, strict=True):
        axis = view.full_axis(given)
        if step == 0:
            raise Unreadable(f"its step along axis {axis} is 0")
        part = slice(start, end, step)  # bounds beyond the ends mean what they do in Python
        whole = range(*part.indices(full[axis])) == range(full[axis])
        found[axis] = None if whole else part
    return found


@reads("Split")
def split(node: OnnxNode) -> list[Value | Constant]:
    """Consecutive ranges of one axis, one an output; an empty one is a constant."""
    full = int(node.attributes.get("axis", 0))
    if node.output_count == 1 and node.view(0).is_batch(full):
        return [node.add(Identity(), node.view(0))]
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
            empty = (np.zeros(view.layout.full(shape, batch)) for batch in node.batches)
            results.append(Constant(tuple(empty)))
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
    node.integer_worlds(1)  # raises where the indices are none
    whole = node.view(0)
    if _takes_all_samples(node, whole, full):
        return node.add(Identity(), node.view(0))
    if whole.merged and whole.is_batch(full) and not node.alone:
        worlds = node.worlds(1) or ()
        return by_position(node, [0], lambda world, arrays: arrays[0].take(worlds[world], full))
    indices = node.constant(1)
    if indices is None:
        raise Unreadable("its indices are missing")
    view = node.view(0, full)
    return taken(node, view, indices, view.axis(full))


def _takes_all_samples(node: OnnxNode, view: Signal, axis: int) -> bool:
    """Whether the axis is the batch's and every entry of it is taken, in order."""
    extents = (view.full(batch)[axis] for batch in node.batches)
    found = zip(node.worlds(1) or (), extents, strict=True)
    return view.is_batch(axis) and all(same(world, np.arange(extent)) for world, extent in found)


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
