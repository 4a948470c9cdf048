"""Reshape and its kin, Transpose, Concat, and what changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from spikewright._optional import require
from spikewright.frontends.onnx.files import type_name
from spikewright.frontends.onnx.node import OnnxNode, Unreadable
from spikewright.frontends.onnx.registry import reads
from spikewright.graph.layers import Concatenate, Identity, Permute, Reshape, Shape

_KEEP_BATCH = (
    "Keep the batch as axis 0: export with a dynamic batch, or with its size fixed and the same "
    "everywhere"
)


def _reshaped(node: OnnxNode, rule: Callable[[Shape, int], Sequence[int]]) -> str:
    """A reshape that must leave the batch axis alone.

    `rule(full shape, world)` is the full output shape; it is asked for every batch size tried.
    """
    shape = node.shape()
    results = [(n, tuple(rule((n, *shape), world))) for world, n in enumerate(node.batches)]
    kept = {full[1:] for n, full in results if full[:1] == (n,)}
    if len(kept) != 1 or any(full[:1] != (n,) for n, full in results):
        n, full = results[0]
        raise Unreadable(
            f"it turns shape {(n, *shape)}, for a batch of {n}, into {full}: axis 0 is no longer "
            "the batch",
            _KEEP_BATCH,
        )
    return node.add(Reshape(kept.pop()), node.signal(0))


@reads("Reshape")
def reshape(node: OnnxNode) -> str:
    """Reshape to a constant shape, or to one computed from shapes."""
    targets = node.integer_worlds(1)
    if targets is None:
        raise Unreadable("its target shape is missing")
    keep_zero = bool(node.attributes.get("allowzero", 0))

    def rule(full: Shape, world: int) -> list[int]:
        return _resolve(list(targets[world]), full, keep_zero)

    return _reshaped(node, rule)


def _resolve(target: list[int], full: Shape, keep_zero: bool) -> list[int]:
    """The target with 0 (the input's extent) and -1 (what is left) filled in."""
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
def flatten(node: OnnxNode) -> str:
    """Two axes: those before `axis`, and the rest."""
    axis = int(node.attributes.get("axis", 1))

    def rule(full: Shape, world: int) -> list[int]:
        return [math.prod(full[:axis]), math.prod(full[axis:])]

    return _reshaped(node, rule)


@reads("Squeeze")
def squeeze(node: OnnxNode) -> str:
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
def unsqueeze(node: OnnxNode) -> str:
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
def transpose(node: OnnxNode) -> str:
    """Axes in another order, the batch first."""
    rank = len(node.shape()) + 1
    order = node.integers("perm") or tuple(range(rank))[::-1]
    if sorted(order) != list(range(rank)):
        raise Unreadable(f"perm is {order}, no permutation of {rank} axes")
    if order[0] != 0:
        raise Unreadable(f"perm is {order}: it moves the batch axis", _KEEP_BATCH)
    return node.add(Permute(tuple(axis - 1 for axis in order[1:])), node.signal(0))


@reads("Concat")
def concat(node: OnnxNode) -> str:
    """Signals side by side along an axis beside the batch."""
    names = [node.signal(index) for index in range(len(node.inputs))]
    axis = _normal(int(node.attributes["axis"]), len(node.shape()) + 1)
    if axis == 0:
        raise Unreadable("it joins batches, along axis 0", _KEEP_BATCH)
    return node.add(Concatenate(axis - 1), *names)


@reads("Identity")
def identity(node: OnnxNode) -> str:
    """The same value."""
    return node.add(Identity(), node.signal(0))


@reads("Dropout")
def dropout(node: OnnxNode) -> str:
    """Nothing, at inference."""
    training = node.constant(2)
    if training is not None and bool(np.ravel(training)[0]):
        raise Unreadable("it is in training mode", "Export the model for inference")
    return node.add(Identity(), node.signal(0))


@reads("Cast")
def cast(node: OnnxNode) -> str:
    """Nothing, between floating-point types."""
    types = require("onnx").TensorProto
    target = node.attributes["to"]
    if target not in (types.FLOAT, types.DOUBLE):
        raise Unreadable(
            f"it rounds to {type_name(target)}; values here are real numbers",
            "Remove the rounding",
        )
    return node.add(Identity(), node.signal(0))
