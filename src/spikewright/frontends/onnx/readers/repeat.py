"""Signals side by side, repeated, and padded: Concat, Expand, Tile, Pad."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Pairs
from spikewright.frontends.onnx.layout import Layout
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.activation import elementwise
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable, View
from spikewright.graph.layers import (
    Broadcast,
    Concatenate,
    Crop,
    Identity,
    Layer,
    Pad,
    ScaleShift,
    Shape,
    Tile,
    ZeroPad,
)

_SAMPLES = "Only axes beside the batch can be repeated or padded"
_LARGEST = 2**28  # values of one sample: a model file must not exhaust the memory


@reads("Concat")
def concat(node: OnnxNode) -> Signal:
    """Signals and constants side by side along an axis beside the batch."""
    indices = range(len(node.inputs))
    if len(indices) == 1:
        return elementwise(node, Identity())
    signals = [index for index in indices if not node.is_constant(index)]
    full = int(node.attributes["axis"])
    rank = node.view(signals[0] if signals else 0, full).rank
    views, layout, _ = node.aligned(signals, 0, needed=(full % rank - rank,))
    given = dict(zip(signals, views, strict=True))
    axis = views[0].axis(full)
    shape = views[0].shape
    names = []
    for index in indices:
        if index in given:
            names.append(given[index].name)
            continue
        value = np.asarray(node.per_sample(index, rank, layout), np.float64)
        if value.size == 0:
            continue
        if value.ndim == len(shape):
            wanted = (*shape[:axis], value.shape[axis], *shape[axis + 1 :])
            names.append(node.add_constant(_spread(value, wanted), f"constant {index}"))
        else:
            raise Unreadable(f"a constant of shape {value.shape} does not fit beside {shape}")
    return Signal(node.add(Concatenate(axis), *names), layout)


def _spread(value: NDArray, shape: Shape) -> NDArray:
    """A constant at full size, where the batch axis of ones stood for all samples."""
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        raise Unreadable(f"a constant of shape {value.shape} does not fit {shape}") from None


@reads("Expand")
def expand(node: OnnxNode) -> Signal:
    """Repeat along axes where the signal holds one value."""
    targets = node.integer_worlds(1)
    if targets is None:
        raise Unreadable("its target shape is missing")
    view = node.view(0)
    try:
        found = {_expanded(view, b, t) for b, t in zip(node.batches, targets, strict=True)}
    except Unreadable:
        if not node.alone:
            raise
        view = node.unbatched(0)
        found = {_expanded(view, 1, targets[0])}
    if len(found) > 1:
        raise Unreadable("how often it repeats depends on the batch size")
    ((layout, shape),) = found
    return Signal(node.add(Broadcast(shape), view.name), layout)


def _checked(full: Shape, target: tuple[int, ...]) -> Shape:
    try:
        np.broadcast_shapes(full, target)
    except ValueError:
        raise Unreadable(f"its inputs of shapes {[full, target]} do not broadcast") from None
    return target


def _expanded(view: View, batch: int, target: tuple[int, ...]) -> tuple[Layout, Shape]:
    """Layout and sample shape after expansion of a batch."""
    own = view.full(batch)
    full = np.broadcast_shapes(own, _checked(own, target))
    from_end, outer, shared = view.layout.from_end(view.shape)
    if from_end is None:
        layout, sample = view.layout, full
    else:
        axis = len(full) + from_end
        if full[axis] != own[from_end]:
            raise Unreadable(f"it turns shape {own} into {full}: the batch does not stay")
        layout = Layout(axis, outer, shared)
        kept = (view.shape[from_end],) if shared else ()
        sample = (*full[:axis], *kept, *full[axis + 1 :])
    if np.prod(sample, dtype=np.float64) > _LARGEST:
        raise Unreadable(f"it makes samples of shape {sample}, more than {_LARGEST} values")
    return layout, sample


@reads("Tile")
def tile(node: OnnxNode) -> Signal:
    """The whole signal several times along some axes."""
    repeats = node.integers("repeats", 1)
    view = node.view(0)
    if repeats is None or len(repeats) != view.rank or min(repeats, default=1) < 1:
        raise Unreadable(f"its repeats {repeats} are not one positive number per axis")
    axes = tuple(axis for axis, times in enumerate(repeats) if times > 1)
    view = node.view(0, *axes)
    times = [1] * len(view.shape)
    for axis in axes:
        times[view.axis(axis)] = repeats[axis]
    if np.prod(view.shape + tuple(times), dtype=np.float64) > _LARGEST:
        raise Unreadable(f"it makes more than {_LARGEST} values of shape {view.shape}")
    return view.signal(node.add(Tile(tuple(times)), view.name))


_MODES = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


@reads("Pad")
def pad(node: OnnxNode) -> Signal:
    """A constant, or copies of the signal's own values, around it; negative counts remove."""
    mode = node.attributes.get("mode", "constant")
    if mode != "constant" and mode not in _MODES:
        raise Unreadable(f"its mode is {mode!r}, which the standard does not know")
    value = _pad_value(node) if mode == "constant" else 0.0
    counts = _pad_counts(node)
    view = node.view(0, *(axis for axis, pair in enumerate(counts) if any(pair)))
    pairs = [(0, 0)] * len(view.shape)
    for axis, pair in enumerate(counts):
        if any(pair):
            pairs[view.axis(axis)] = pair
    kept = view.name
    if any(min(pair) < 0 for pair in pairs):
        crops = tuple((max(-b, 0), max(-a, 0)) for b, a in pairs)
        kept = node.add(Crop(crops), kept, part="cropped")
    added = tuple((max(b, 0), max(a, 0)) for b, a in pairs)
    return view.signal(node.chain(kept, _padding(added, mode, value)))


def _padding(pairs: Pairs, mode: str, value: float) -> list[tuple[str, Layer]]:
    if not any(map(any, pairs)):
        return [("", Identity())]
    if mode != "constant":
        return [("", Pad(pairs, _MODES[mode]))]  # type: ignore[arg-type]
    if value == 0:
        return [("", ZeroPad(pairs))]
    offset = np.array(float(value))
    return [
        ("lowered", ScaleShift(shift=-offset)),
        ("padded", ZeroPad(pairs)),
        ("", ScaleShift(shift=offset)),
    ]


def _pad_value(node: OnnxNode) -> float:
    value = node.setting("value", 2)
    number = 0.0 if value is None or np.size(value) == 0 else float(np.ravel(value)[0])
    if not np.isfinite(number):
        raise Unreadable(f"it pads with {number}, which is no finite number")
    return number


def _pad_counts(node: OnnxNode) -> list[tuple[int, int]]:
    """Counts before and after every axis, the batch included."""
    counts = node.integers("pads", 1)
    view = node.view(0)
    axes = node.integers("axes", 3)
    if axes is None:
        axes = view.every_axis()
    axes = tuple(view.full_axis(axis) for axis in axes)
    if counts is None or len(counts) != 2 * len(axes):
        raise Unreadable(f"its pads {counts} are not one pair for each of the axes {axes}")
    pairs = [(0, 0)] * view.rank
    for position, axis in enumerate(axes):
        pairs[axis] = counts[position], counts[position + len(axes)]
    return pairs
