"""Reshape and its kin, Transpose, DepthToSpace, and operators that change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.comparison import as_signals, nonzero
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Constant, Signal, Truth, Unreadable
from spikewright.frontends.onnx.whole import integer_types
from spikewright.frontends.reading.layout import Layout, find_layout
from spikewright.frontends.reading.selection import depth_to_space, space_to_depth
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Identity, Reshape, Shape

_KEEP_BATCH = "Reshape and transpose so that the samples of a batch stay on one axis"


def _reshaped(node: OnnxNode, rule: Callable[[Shape, int], Sequence[int]]) -> Signal:
    """A reshape that leaves the samples of a batch apart.

    `rule(full shape, world)` is the full output shape; it is asked for every batch size tried.
    """
    view = node.view(0)
    before = math.prod(view.shape[: view.layout.before or 0])
    found: set[tuple[Layout, Shape] | None] = set()
    for world, batch in enumerate(node.batches):
        full = view.full(batch)
        made = tuple(rule(full, world))
        place = find_layout(made, before, batch)
        if place is None:
            raise Unreadable(
                f"it turns shape {full}, for a batch of {batch}, into {made}: axis 0 is no longer "
                "the batch, nor is another",
                _KEEP_BATCH,
            )
        found.add(place)
    if len(found) != 1:
        raise Unreadable(f"its result for shape {view.full(2)} depends on the batch size")
    ((layout, shape),) = found  # type: ignore[misc]
    return replace(node.add(Reshape(shape), view), layout=layout)


@reads("Reshape")
def reshape(node: OnnxNode) -> Signal:
    """Reshape to a constant shape, or to one computed from shapes."""
    targets = node.integer_worlds(1)
    if targets is None:
        raise Unreadable("its target shape is missing")
    keep_zero = bool(node.attributes.get("allowzero", 0))

    def rule(full: Shape, world: int) -> list[int]:
        return _resolve(list(targets[world]), full, keep_zero)

    return _reshaped(node, rule)


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
    axis = int(node.attributes.get("axis", 1))

    def rule(full: Shape, world: int) -> list[int]:
        return [math.prod(full[:axis]), math.prod(full[axis:])]

    return _reshaped(node, rule)


@reads("Squeeze")
def squeeze(node: OnnxNode) -> Signal:
    """Drop axes of extent one."""
    given = node.integers("axes", 1)
    if given is None and len(node.batches) > 1:
        raise Unreadable(
            "it names no axes, so it would drop the batch axis of a single sample", "Give it axes"
        )

    def rule(full: Shape, world: int) -> list[int]:
        drop = [axis for axis, extent in enumerate(full) if extent == 1]
        if given is not None:
            drop = [_normal(axis, len(full)) for axis in given]
        if any(full[axis] != 1 for axis in drop):
            raise Unreadable(f"its axes {given} of shape {full} do not all have extent 1")
        return [extent for axis, extent in enumerate(full) if axis not in drop]

    return _reshaped(node, rule)


@reads("Unsqueeze")
def unsqueeze(node: OnnxNode) -> Signal:
    """Insert axes of extent one."""
    given = node.integers("axes", 1)
    if given is None:
        raise Unreadable("its axes are missing")

    def rule(full: Shape, world: int) -> list[int]:
        rank = len(full) + len(given)
        new = {_normal(axis, rank) for axis in given}
        rest = iter(full)
        if len(new) < len(given):
            raise Unreadable(f"its axes {given} name one axis twice")
        return [1 if axis in new else next(rest) for axis in range(rank)]

    return _reshaped(node, rule)


def _normal(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise Unreadable(f"its axis {axis} does not exist in {rank} axes")
    return axis % rank


@reads("Transpose")
def transpose(node: OnnxNode) -> Value:
    """Axes in another order, the batch among them."""
    view = node.view(0)
    order = node.integers("perm") or view.every_axis()[::-1]
    if sorted(order) != list(view.every_axis()):
        raise Unreadable(f"perm is {order}, no permutation of {view.rank} axes")
    return node.reorder(view, order)


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
def cast(node: OnnxNode) -> Signal | Truth:
    """Nothing, between types of real or of whole numbers; truth is one or zero, zero is false."""
    value = node.inputs[0]
    if isinstance(value, Truth):
        truth = as_signals(node).view(0)
        if node.attributes["to"] == require("onnx").TensorProto.BOOL:
            return Truth(signal=node.add(Identity(), truth))
        if node.attributes["to"] not in integer_types():
            _require_floating(node, int(node.attributes["to"]))
        return node.add(Identity(), truth)
    if not node.is_constant(0):
        node.view(0)  # raises where a refusal explains the input already
    if node.attributes["to"] == require("onnx").TensorProto.BOOL:
        return nonzero(node)
    whole = isinstance(value, Signal) and value.whole > 0
    if not (whole and node.attributes["to"] in integer_types()):
        _require_floating(node, int(node.attributes["to"]))
    return node.add(Identity(), node.view(0))


@reads("CastLike")
def cast_like(node: OnnxNode) -> Signal | Constant:
    """The same, to the type of another value; signals are floating-point."""
    worlds = None
    if node.is_constant(1):
        worlds = node.worlds(1)
    else:
        node.view(1)  # raises where it was refused
    if worlds is not None:
        to_tensor_type = require("onnx").helper.np_dtype_to_tensor_dtype
        _require_floating(node, int(to_tensor_type(worlds[0].dtype)))
    if node.is_constant(0):
        values = node.worlds(0) or ()
        return Constant(tuple(value.astype(np.float32) for value in values))
    return node.add(Identity(), node.view(0))


def _require_floating(node: OnnxNode, target: int) -> None:
    types = require("onnx").TensorProto
    if target not in (types.FLOAT, types.DOUBLE):
        raise Unreadable(
            f"it rounds to {type_name(target)}; values here are real numbers",
            "Remove the rounding",
        )
