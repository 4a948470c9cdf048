"""Other shapes and orders, copies side by side, padding, and operators that change nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.onnx.elementwise import nonzero
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.onnx.registry import OnnxNode, reads
from spikewright.frontends.onnx.values import (
    ConstantValue,
    SignalValue,
    UnsupportedOp,
    integer_types,
)
from spikewright.frontends.reading.call import BATCH_FIRST, Value, afford, layout_of, sample_shape
from spikewright.frontends.reading.selection import (
    Mode,
    depth_to_space,
    padded,
    space_to_depth,
    tiled,
)
from spikewright.graph.layers import Broadcast, Concatenate, Identity, Permute, Shape


@reads("Reshape")
def reshape(node: OnnxNode) -> SignalValue:
    """Reshape to a constant shape, or to one computed from shapes."""
    target = node.whole_numbers(1)
    if target is None:
        raise UnsupportedOp("its target shape is missing")
    view, keep_zero = node.view(0), bool(node.attributes.get("allowzero", 0))
    return node.reshaped(view, _resolve(list(target), view.full, keep_zero))


def _resolve(target: list[int], full: Shape, keep_zero: bool) -> list[int]:
    """The target with 0 (the input's extent) and -1 (the remaining extent) filled in."""
    sizes = list(target)
    for axis, extent in enumerate(target):
        if extent == 0 and not keep_zero:
            if axis >= len(full):
                raise UnsupportedOp(f"its target {sizes} copies axis {axis}, which {full} has not")
            target[axis] = full[axis]
    known = math.prod(extent for extent in target if extent != -1)
    if target.count(-1) == 1 and known > 0:
        target[target.index(-1)] = math.prod(full) // known
    if math.prod(target) != math.prod(full) or min(target, default=0) < 0:
        raise UnsupportedOp(f"its target {sizes} does not fit the input's shape {full}")
    return target


@reads("Flatten")
def flatten(node: OnnxNode) -> SignalValue:
    """Two axes: those before `axis`, and the rest."""
    axis, view = int(node.attributes.get("axis", 1)), node.view(0)
    return node.reshaped(view, (math.prod(view.full[:axis]), math.prod(view.full[axis:])))


@reads("Squeeze")
def squeeze(node: OnnxNode) -> SignalValue:
    """Drop axes of extent one."""
    given, view = node.integers("axes", 1), node.view(0)
    drop = [axis for axis, extent in enumerate(view.full) if extent == 1]
    if given is not None:
        drop = [_normal(axis, view.rank) for axis in given]
    if any(view.full[axis] != 1 for axis in drop):
        raise UnsupportedOp(f"its axes {given} of shape {view.full} do not all have extent 1")
    return node.reshaped(view, [n for axis, n in enumerate(view.full) if axis not in drop])


@reads("Unsqueeze")
def unsqueeze(node: OnnxNode) -> SignalValue:
    """Insert axes of extent one."""
    given = node.integers("axes", 1)
    if given is None:
        raise UnsupportedOp("its axes are missing")
    view = node.view(0)
    rank = view.rank + len(given)
    new = {_normal(axis, rank) for axis in given}
    if len(new) < len(given):
        raise UnsupportedOp(f"its axes {given} name one axis twice")
    rest = iter(view.full)
    return node.reshaped(view, [1 if axis in new else next(rest) for axis in range(rank)])


def _normal(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise UnsupportedOp(f"its axis {axis} does not exist in {rank} axes")
    return axis % rank


@reads("Transpose")
def transpose(node: OnnxNode) -> Value:
    """Axes in another order, the batch among them."""
    view = node.view(0)
    order = node.integers("perm") or view.every_axis()[::-1]
    if sorted(axis % max(view.rank, 1) for axis in order) != list(view.every_axis()):
        raise UnsupportedOp(f"perm is {order}, no permutation of {view.rank} axes")
    order = tuple(axis % view.rank for axis in order)
    if view.layout == BATCH_FIRST and order[0] == 0:
        return node.add(Permute(tuple(axis - 1 for axis in order[1:])), view)
    full = tuple(view.full[axis] for axis in order)
    moved = [axis for axis in order if view.full[axis] != 1]
    if moved == sorted(moved):  # axes of one alone change places
        return node.reshaped(view, full)
    lead = view.rank - len(view.shape)
    own = tuple(axis - lead for axis in order if axis >= lead)
    if sample_shape(full) == tuple(view.shape[axis] for axis in own):
        return replace(node.add(Permute(own), view), layout=layout_of(full))
    return node.reshaped(node.add(Permute(own), view, part="order"), full)


@reads("DepthToSpace", "SpaceToDepth")
def depth_and_space(node: OnnxNode) -> Value:
    """Blocks of channels laid out over space, or the other way round."""
    block = int(node.attributes["blocksize"])
    shape = node.shape()
    if len(shape) != 3:
        raise UnsupportedOp(f"its input has {len(shape) + 1} axes, 4 are expected")
    move = space_to_depth if node.kind == "SpaceToDepth" else depth_to_space
    return move(node, node.signal(0), block, node.attributes.get("mode", "DCR") == "DCR")


@reads("Identity")
def identity(node: OnnxNode) -> SignalValue:
    """The same value."""
    return node.add(Identity(), node.view(0))


@reads("Dropout")
def dropout(node: OnnxNode) -> SignalValue:
    """Nothing, at inference."""
    training = node.constant(2)
    if training is not None and bool(np.ravel(training)[0]):
        raise UnsupportedOp("it is in training mode", "Export the model for inference")
    return node.add(Identity(), node.view(0))


@reads("Cast")
def cast(node: OnnxNode) -> Value:
    """Nothing, between types of real or of whole numbers; truth is one or zero, zero is false."""
    value, to = node.view(0), int(node.attributes["to"])
    if to == require("onnx").TensorProto.BOOL and not value.truth:
        return nonzero(node)
    if not value.truth and not (value.whole and to in integer_types()):
        _require_floating(to)
    return node.add(Identity(), value)


@reads("CastLike")
def cast_like(node: OnnxNode) -> SignalValue | ConstantValue:
    """The same, to the type of another value; signals are floating-point."""
    if node.is_constant(1):
        to_tensor_type = require("onnx").helper.np_dtype_to_tensor_dtype
        _require_floating(int(to_tensor_type(node.known(1).dtype)))
    else:
        node.view(1)  # raises where it was refused
    if node.is_constant(0):
        return ConstantValue(node.known(0).astype(np.float32))
    return node.add(Identity(), node.view(0))


def _require_floating(target: int) -> None:
    types = require("onnx").TensorProto
    if target not in (types.FLOAT, types.DOUBLE):
        raise UnsupportedOp(
            f"it rounds to {type_name(target)}; values here are real numbers",
            "Remove the rounding",
        )


@reads("Concat")
def concat(node: OnnxNode) -> Value:
    """Signals and constants side by side along an axis beside the batch."""
    indices = range(len(node.inputs))
    if len(indices) == 1:
        return node.add(Identity(), node.view(0))
    signals = [index for index in indices if not node.is_constant(index)]
    full = int(node.attributes["axis"])
    views = dict(zip(signals, node.alike(signals, full), strict=True))
    like = views[signals[0]]
    if like.is_batch(full) and len(indices) > 1:
        views = {index: node.whole_sample(index) for index in signals}
        like = views[signals[0]]
    axis, shape = like.axis(full), like.shape
    values: list[Value] = []
    for index in indices:
        if index in views:
            values.append(views[index])
            continue
        array = np.asarray(node.per_sample(index, like), np.float64)
        if array.size == 0:
            continue
        if array.ndim != len(shape):
            raise UnsupportedOp(f"a constant of shape {array.shape} does not fit beside {shape}")
        wanted = (*shape[:axis], array.shape[axis], *shape[axis + 1 :])
        values.append(node.constant_like(_spread(array, wanted), like, f"constant {index}"))
    return node.add(Concatenate(axis), *values)


def _spread(value: NDArray, shape: Shape) -> NDArray:
    """A constant at full size, where the batch axis of ones stood for all samples."""
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        raise UnsupportedOp(f"a constant of shape {value.shape} does not fit {shape}") from None


@reads("Expand")
def expand(node: OnnxNode) -> Value:
    """Repeat along axes where the signal holds one value."""
    target = node.whole_numbers(1)
    if target is None:
        raise UnsupportedOp("its target shape is missing")
    view = node.view(0)
    try:
        full = np.broadcast_shapes(view.full, target)
    except ValueError:
        shapes = [view.full, target]
        raise UnsupportedOp(f"its inputs of shapes {shapes} do not broadcast") from None
    afford(math.prod(full))
    shape = sample_shape(full)
    if len(shape) < len(view.shape):
        view = node.signal(0)
    return replace(node.add(Broadcast(shape), view), layout=layout_of(full))


@reads("Tile")
def tile(node: OnnxNode) -> Value:
    """The whole signal several times along some axes."""
    repeats = node.integers("repeats", 1)
    view = node.view(0)
    if repeats is None or len(repeats) != view.rank or min(repeats, default=1) < 1:
        raise UnsupportedOp(f"its repeats {repeats} are not one positive number per axis")
    axes = tuple(axis for axis, times in enumerate(repeats) if times > 1)
    view = node.view(0, *axes)
    times = {view.axis(axis): repeats[axis] for axis in axes}
    afford(math.prod((*view.shape, *times.values())))
    return tiled(node, view, times)


_MODES: tuple[Mode, ...] = ("constant", "reflect", "edge", "wrap")


@reads("Pad")
def pad(node: OnnxNode) -> Value:
    """A constant, or copies of the signal's own values, around it; negative counts remove."""
    mode = node.attributes.get("mode", "constant")
    if mode not in _MODES:
        raise UnsupportedOp(f"its mode is {mode!r}, which the standard does not know")
    value = _pad_value(node) if mode == "constant" else 0.0
    counts = _pad_counts(node)
    view = node.view(0, *(axis for axis, pair in enumerate(counts) if any(pair)))
    pairs = [(0, 0)] * len(view.shape)
    for axis, pair in enumerate(counts):
        if any(pair):
            pairs[view.axis(axis)] = pair
    return padded(node, view, pairs, mode, value)


def _pad_value(node: OnnxNode) -> float:
    value = node.setting("value", 2)
    return 0.0 if value is None or np.size(value) == 0 else float(np.ravel(value)[0])


def _pad_counts(node: OnnxNode) -> list[tuple[int, int]]:
    """Counts before and after every axis, the batch included."""
    counts = node.integers("pads", 1)
    view = node.view(0)
    axes = node.integers("axes", 3)
    if axes is None:
        axes = view.every_axis()
    axes = tuple(view.full_axis(axis) for axis in axes)
    if counts is None or len(counts) != 2 * len(axes):
        raise UnsupportedOp(f"its pads {counts} are not one pair for each of the axes {axes}")
    pairs = [(0, 0)] * view.rank
    for position, axis in enumerate(axes):
        pairs[axis] = counts[position], counts[position + len(axes)]
    return pairs
