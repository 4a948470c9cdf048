"""Parts of a signal: Slice, Split, Gather, Compress, Trilu."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.onnx.layout import Layout
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.activation import elementwise
from spikewright.frontends.onnx.readers.lookup import rows_of_a_table
from spikewright.frontends.onnx.readers.positions import by_position
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Constant, Signal, Unreadable, View, same
from spikewright.graph.layers import Crop, Identity, Layer, Reshape, ScaleShift, Shape, Slice, Take

_SAMPLES = "Only axes beside the batch can be cut"


def chosen(shape: Shape, slices: dict[int, slice]) -> Layer:
    """The layer of Python slices of some axes: a crop where all steps are one."""
    layer = Slice.along(shape, slices)
    if all(step == 1 and count >= 1 for _, count, step in layer.ranges):
        crops = tuple(
            (start, n - start - count)
            for n, (start, count, _) in zip(shape, layer.ranges, strict=True)
        )
        return Crop(crops) if any(map(any, crops)) else Identity()
    return layer


@reads("Slice")
def slice_(node: OnnxNode) -> Signal:
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
    layers = [_bounded(view, slices) for slices in found]
    if any(layer != layers[0] for layer in layers):
        raise Unreadable("how it slices depends on the batch size", _SAMPLES)
    return view.signal(node.add(layers[0], view.name))


def _slice_setting(node: OnnxNode, name: str, index: int) -> tuple[tuple[int, ...], ...] | None:
    """A setting for every batch size; attributes before operator set 10, inputs since."""
    if name in node.attributes:
        return (tuple(node.attributes[name]),) * len(node.batches)
    return node.integer_worlds(index)


def _slices(
    world: int, view: View, batch: int, settings: list[tuple[tuple[int, ...], ...] | None]
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


def _bounded(view: View, slices: dict[int, slice]) -> Layer:
    """The layer, which must leave something of every axis."""
    for axis, part in slices.items():
        if not range(*part.indices(view.shape[axis])):
            raise Unreadable(f"its range {part} does not leave something of {view.shape[axis]}")
    return chosen(view.shape, slices)


@reads("Split")
def split(node: OnnxNode) -> list[Signal | Constant]:
    """Consecutive ranges of one axis, one an output; an empty one is a constant."""
    full = int(node.attributes.get("axis", 0))
    if node.output_count == 1 and node.view(0).is_batch(full):
        return [elementwise(node, Identity())]
    view = node.view(0, full)
    axis = view.axis(full)
    extent, count = view.shape[axis], node.output_count
    sizes = node.integers("split", 1)
    if sizes is None:
        largest = -(-extent // count)
        sizes = (*(largest,) * (count - 1), extent - largest * (count - 1))
    if len(sizes) != count or sum(sizes) != extent or min(sizes) < 0:
        raise Unreadable(f"it splits an axis of {extent} into {sizes} for {count} outputs")
    results: list[Signal | Constant] = []
    start = 0
    for index, size in enumerate(sizes):
        if size == 0:
            shape = (*view.shape[:axis], 0, *view.shape[axis + 1 :])
            empty = (np.zeros(view.layout.full(shape, batch)) for batch in node.batches)
            results.append(Constant(tuple(empty)))
            continue
        layer = chosen(view.shape, {axis: slice(start, start + size)})
        part = str(index) if index else ""
        results.append(view.signal(node.add(layer, view.name, part=part)))
        start += size
    return results


@reads("Gather")
def gather(node: OnnxNode) -> Signal:
    """Entries of an axis by constant indices, whose axes take that one's place.

    Or entries of a constant by whole numbers, as embeddings of tokens are.
    """
    full = int(node.attributes.get("axis", 0))
    if node.is_constant(0) and not node.is_constant(1):
        return rows_of_a_table(node, full)
    node.integer_worlds(1)  # raises where the indices are none
    whole = node.view(0)
    if _takes_all_samples(node, whole, full):
        return elementwise(node, Identity())
    if whole.layout.shared and whole.is_batch(full) and not node.alone:
        worlds = node.worlds(1) or ()
        return by_position(node, [0], lambda world, arrays: arrays[0].take(worlds[world], full))
    indices = node.constant(1)
    if indices is None:
        raise Unreadable("its indices are missing")
    view = node.view(0, full)
    layout, axis = view.layout, view.full_axis(full)
    if layout.axis is not None and layout.axis > axis:
        layout = Layout(layout.axis + indices.ndim - 1, layout.outer, layout.shared)
    return Signal(node.add(Take(indices.astype(np.int64), view.axis(full)), view.name), layout)


def _takes_all_samples(node: OnnxNode, view: View, axis: int) -> bool:
    """Whether the axis is the batch's and every entry of it is taken, in order."""
    extents = (view.full(batch)[axis] for batch in node.batches)
    found = zip(node.worlds(1) or (), extents, strict=True)
    return view.is_batch(axis) and all(same(world, np.arange(extent)) for world, extent in found)


@reads("Compress")
def compress(node: OnnxNode) -> Signal:
    """Entries of an axis, or of all values, where a constant condition holds."""
    condition = node.constant(1)
    if condition is None:
        raise Unreadable("its condition is missing")
    (indices,) = np.nonzero(np.ravel(condition))
    if "axis" not in node.attributes:
        view = node.view(0, *node.view(0).every_axis())
        flat = node.add(Reshape((int(np.prod(view.shape)),)), view.name, part="flat")
        return Signal(node.add(Take(indices, 0), flat), view.layout)
    full = int(node.attributes["axis"])
    view = node.view(0, full)
    return view.signal(node.add(Take(indices, view.axis(full)), view.name))


@reads("Trilu")
def triangle(node: OnnxNode) -> Signal:
    """The upper or lower triangle of matrices; zeros elsewhere."""
    diagonal = node.integers("k", 1) or (0,)
    view = node.view(0, -1, -2)
    rows, columns = view.shape[-2:]
    ones = np.ones((rows, columns))
    upper = bool(node.attributes.get("upper", 1))
    mask = (np.triu if upper else np.tril)(ones, int(diagonal[0]))
    return view.signal(node.add(ScaleShift(mask), view.name))
