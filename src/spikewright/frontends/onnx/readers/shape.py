"""Reshape and its kin, Transpose, DepthToSpace, and operators that change nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.comparison import nonzero
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Constant, Signal, Unreadable
from spikewright.frontends.onnx.whole import integer_types
from spikewright.frontends.reading.layout import BATCH_FIRST, layout_of, sample_shape
from spikewright.frontends.reading.selection import depth_to_space, space_to_depth
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Identity, Permute, Shape


@reads("Reshape")
def reshape(node: OnnxNode) -> Signal:
    """Reshape to a constant shape, or to one computed from shapes."""
    target = node.whole_numbers(1)
    if target is None:
        raise Unreadable("its target shape is missing")
    view, keep_zero = node.view(0), bool(node.attributes.get("allowzero", 0))
    return node.reshaped(view, _resolve(list(target), view.full, keep_zero))


def _resolve(target: list[int], full: Shape, keep_zero: bool) -> list[int]:
    """The target with 0 (the input's extent) and -1 (the remaining extent) filled in."""
    said = list(target)
    for axis, extent in enumerate(target):
        if extent == 0 and not keep_zero:
            if axis >= len(full):
                raise Unreadable(f"its target {said} copies axis {axis}, which {full} has not")
            target[axis] = full[axis]
    known = math.prod(extent for extent in target if extent != -1)
    if target.count(-1) == 1 and known > 0:
        target[target.index(-1)] = math.prod(full) // known
    if math.prod(target) != math.prod(full) or min(target, default=0) < 0:
        raise Unreadable(f"its target {said} does not fit the input's shape {full}")
    return target


@reads("Flatten")
def flatten(node: OnnxNode) -> Signal:
    """Two axes: those before `axis`, and the rest."""
    axis, view = int(node.attributes.get("axis", 1)), node.view(0)
    return node.reshaped(view, (math.prod(view.full[:axis]), math.prod(view.full[axis:])))


@reads("Squeeze")
def squeeze(node: OnnxNode) -> Signal:
    """Drop axes of extent one."""
    given, view = node.integers("axes", 1), node.view(0)
    drop = [axis for axis, extent in enumerate(view.full) if extent == 1]
    if given is not None:
        drop = [_normal(axis, view.rank) for axis in given]
    if any(view.full[axis] != 1 for axis in drop):
        raise Unreadable(f"its axes {given} of shape {view.full} do not all have extent 1")
    return node.reshaped(view, [n for axis, n in enumerate(view.full) if axis not in drop])


@reads("Unsqueeze")
def unsqueeze(node: OnnxNode) -> Signal:
    """Insert axes of extent one."""
    given = node.integers("axes", 1)
    if given is None:
        raise Unreadable("its axes are missing")
    view = node.view(0)
    rank = view.rank + len(given)
    new = {_normal(axis, rank) for axis in given}
    if len(new) < len(given):
        raise Unreadable(f"its axes {given} name one axis twice")
    rest = iter(view.full)
    return node.reshaped(view, [1 if axis in new else next(rest) for axis in range(rank)])


def _normal(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise Unreadable(f"its axis {axis} does not exist in {rank} axes")
    return axis % rank


@reads("Transpose")
def transpose(node: OnnxNode) -> Value:
    """Axes in another order, the batch among them."""
    view = node.view(0)
    order = node.integers("perm") or view.every_axis()[::-1]
    if sorted(axis % max(view.rank, 1) for axis in order) != list(view.every_axis()):
        raise Unreadable(f"perm is {order}, no permutation of {view.rank} axes")
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
        raise Unreadable(f"its input has {len(shape) + 1} axes, 4 are expected")
    move = space_to_depth if node.kind == "SpaceToDepth" else depth_to_space
    return move(node, node.signal(0), block, node.attributes.get("mode", "DCR") == "DCR")


@reads("Identity")
def identity(node: OnnxNode) -> Signal:
    """The same value."""
    return node.add(Identity(), node.view(0))


@reads("Dropout")
def dropout(node: OnnxNode) -> Signal:
    """Nothing, at inference."""
    training = node.constant(2)
    if training is not None and bool(np.ravel(training)[0]):
        raise Unreadable("it is in training mode", "Export the model for inference")
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
def cast_like(node: OnnxNode) -> Signal | Constant:
    """The same, to the type of another value; signals are floating-point."""
    if node.is_constant(1):
        to_tensor_type = require("onnx").helper.np_dtype_to_tensor_dtype
        _require_floating(int(to_tensor_type(node.known(1).dtype)))
    else:
        node.view(1)  # raises where it was refused
    if node.is_constant(0):
        return Constant(node.known(0).astype(np.float32))
    return node.add(Identity(), node.view(0))


def _require_floating(target: int) -> None:
    types = require("onnx").TensorProto
    if target not in (types.FLOAT, types.DOUBLE):
        raise Unreadable(
            f"it rounds to {type_name(target)}; values here are real numbers",
            "Remove the rounding",
        )
