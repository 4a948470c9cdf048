"""Parts of a signal, and zeros around it: Slice, Split and Pad."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode, Unreadable
from spikewright.frontends.onnx.registry import reads
from spikewright.graph.layers import Crop, Identity, ZeroPad

_SAMPLES = "Only axes beside the batch can be cut or padded"


def _normal(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise Unreadable(f"its axis {axis} does not exist in {rank} axes")
    return axis % rank


def _cropped(node: OnnxNode, crops: list[tuple[int, int]], part: str = "") -> str:
    layer = Crop(tuple(crops)) if any(map(any, crops)) else Identity()
    return node.add(layer, node.signal(0), part=part)


@reads("Slice")
def slice_(node: OnnxNode) -> str:
    """A contiguous range of some axes."""
    settings = [
        _slice_setting(node, *entry)
        for entry in zip(("starts", "ends", "axes", "steps"), range(1, 5), strict=True)
    ]
    shape = node.shape()
    found = {_crops(world, (n, *shape), settings) for world, n in enumerate(node.batches)}
    if len(found) > 1:
        raise Unreadable("how it slices depends on the batch size", _SAMPLES)
    return _cropped(node, list(found.pop()))


def _slice_setting(node: OnnxNode, name: str, index: int) -> tuple[tuple[int, ...], ...] | None:
    """A setting for every batch size; attributes before operator set 10, inputs since."""
    if name in node.attributes:
        return (tuple(node.attributes[name]),) * len(node.batches)
    return node.integer_worlds(index)


def _crops(
    world: int, full: tuple[int, ...], settings: list[tuple[tuple[int, ...], ...] | None]
) -> tuple[tuple[int, int], ...]:
    starts, ends, axes, steps = (None if s is None else s[world] for s in settings)
    if starts is None or ends is None:
        raise Unreadable("its starts or ends are missing")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Unreadable(f"starts {starts}, ends {ends}, axes {axes}, steps {steps} do not match")
    crops = [(0, 0)] * len(full)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = _normal(axis, len(full))
        if step != 1:
            raise Unreadable(f"its step along axis {axis} is {step}; only step 1 can be read")
        if axis == 0 and end != full[0] and end < 2**31 - 1:
            raise Unreadable(f"it selects samples {start} to {end} of the batch", _SAMPLES)
        first, last, _ = slice(start, end).indices(full[axis])
        crops[axis] = (first, full[axis] - last)
    if crops[0] != (0, 0):
        raise Unreadable(f"it selects samples {crops[0]} away from the batch", _SAMPLES)
    return tuple(crops[1:])


@reads("Split")
def split(node: OnnxNode) -> list[str]:
    """Consecutive ranges of one axis, one an output."""
    shape = node.shape()
    axis = _normal(int(node.attributes.get("axis", 0)), len(shape) + 1) - 1
    if axis < 0:
        raise Unreadable("it splits the batch, along axis 0", _SAMPLES)
    extent, count = shape[axis], node.output_count
    sizes = node.integers("split", 1)
    if sizes is None:
        largest = -(-extent // count)
        sizes = (*(largest,) * (count - 1), extent - largest * (count - 1))
    if len(sizes) != count or sum(sizes) != extent or min(sizes) < 1:
        raise Unreadable(f"it splits an axis of {extent} into {sizes} for {count} outputs")
    names, start = [], 0
    for index, size in enumerate(sizes):
        crops = [(0, 0)] * len(shape)
        crops[axis] = (start, extent - start - size)
        names.append(_cropped(node, crops, part=str(index) if index else ""))
        start += size
    return names


@reads("Pad")
def pad(node: OnnxNode) -> str:
    """Zeros around a signal; negative counts remove values."""
    mode = node.attributes.get("mode", "constant")
    if mode != "constant":
        raise Unreadable(f"its mode is {mode!r}; only zeros can be read", "Pad with zeros")
    value = node.setting("value", 2)
    if value is not None and np.any(np.asarray(value) != 0):
        raise Unreadable(
            f"it pads with {np.ravel(value)[0]}; only zeros can be read", "Pad with zeros"
        )
    before, after = _pad_counts(node)
    if before[0] or after[0]:
        raise Unreadable("it pads the batch axis", _SAMPLES)
    pairs = list(zip(before[1:], after[1:], strict=True))
    kept = node.signal(0)
    if any(min(pair) < 0 for pair in pairs):
        kept = node.add(
            Crop(tuple((max(-b, 0), max(-a, 0)) for b, a in pairs)), kept, part="cropped"
        )
    if not any(map(any, pairs)):
        return node.add(Identity(), kept)
    return node.add(ZeroPad(tuple((max(b, 0), max(a, 0)) for b, a in pairs)), kept)


def _pad_counts(node: OnnxNode) -> tuple[list[int], list[int]]:
    """Counts before and after every axis, the batch included."""
    counts = node.integers("pads", 1)
    rank = len(node.shape()) + 1
    axes = node.integers("axes", 3)
    axes = tuple(range(rank)) if axes is None else tuple(_normal(axis, rank) for axis in axes)
    if counts is None or len(counts) != 2 * len(axes):
        raise Unreadable(f"its pads {counts} are not one pair for each of the axes {axes}")
    before, after = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        before[axis], after[axis] = counts[position], counts[position + len(axes)]
    return before, after
