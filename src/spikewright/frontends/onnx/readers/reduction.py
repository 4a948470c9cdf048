"""Reductions over whole axes, and sums along one."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.select import chosen
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable, View
from spikewright.graph.layers import (
    Activation,
    Concatenate,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Interpolate,
    Layer,
    Multiply,
    Reshape,
    ScaleShift,
    Sum,
)

_REDUCTIONS: dict[str, tuple[str, type[Layer], str]] = {
    "ReduceSum": ("", Sum, ""),
    "ReduceMean": ("", GlobalAveragePool, ""),
    "ReduceMax": ("", GlobalMaxPool, ""),
    "ReduceMin": ("negative", GlobalMaxPool, "negative"),
    "ReduceL1": ("abs", Sum, ""),
    "ReduceL2": ("square", Sum, "sqrt"),
    "ReduceSumSquare": ("square", Sum, ""),
    "ReduceLogSum": ("", Sum, "log"),
    "ReduceLogSumExp": ("exp", Sum, "log"),
}
"""The operation before, the reduction, and the operation after."""


@reads(*_REDUCTIONS)
def reduce(node: OnnxNode) -> Signal:
    """A reduction over axes beside the batch."""
    before, kind, after = _REDUCTIONS[node.kind]
    view, axes = _over(node)
    if not axes and not node.attributes.get("axes") and _noop(node):
        # the standard leaves out the reduction alone
        steps = [_step(function) for function in (before, after) if function]
        return view.signal(_named(node, view.name, steps))
    keepdims = bool(node.attributes.get("keepdims", 1))
    layer: Layer = kind(view.axes(axes), keepdims)  # type: ignore[call-arg]
    steps = [_step(before)] if before else []
    steps += [("reduced", layer)]
    steps += [_step(after)] if after else []
    name = _named(node, view.name, steps)
    layout = view.layout
    if not keepdims:
        layout = layout.without([view.full_axis(axis) for axis in axes])
    return Signal(name, layout)


def _noop(node: OnnxNode) -> bool:
    return bool(node.attributes.get("noop_with_empty_axes", 0))


def _over(node: OnnxNode) -> tuple[View, tuple[int, ...]]:
    """The input and the full axes that vanish."""
    axes = node.integers("axes", 1)
    if not axes:
        if _noop(node):
            return node.view(0), ()
        axes = node.view(0).every_axis()
    return node.view(0, *axes), axes


def _step(function: str) -> tuple[str, Layer]:
    if function == "negative":
        return "negative", ScaleShift(np.array(-1.0))
    return function, Activation(function)


def _named(node: OnnxNode, name: str, steps: list[tuple[str, Layer]]) -> str:
    """The steps one after another, of which the last has the node's name."""
    if not steps:
        return node.add(Identity(), name)
    return node.chain(name, [*steps[:-1], ("", steps[-1][1])])


@reads("ReduceProd")
def product(node: OnnxNode) -> Signal:
    """The product of all values along axes beside the batch: of two halves, and so on."""
    view, axes = _over(node)
    name, keepdims = view.name, bool(node.attributes.get("keepdims", 1))
    for axis in view.axes(axes):
        while (extent := node.shape_of(name)[axis]) > 1:
            name = _halved(node, name, axis, extent // 2)
    if keepdims or not axes:
        return view.signal(node.add(Identity(), name))
    gone = set(view.axes(axes))
    shape = tuple(n for axis, n in enumerate(view.shape) if axis not in gone)
    layout = view.layout.without([view.full_axis(axis) for axis in axes])
    return Signal(node.add(Reshape(shape), name), layout)


def _halved(node: OnnxNode, name: str, axis: int, half: int) -> str:
    """The first values along an axis times as many others, beside one that may be left."""
    shape = node.shape_of(name)

    def part(start: int, stop: int) -> str:
        return node.add(chosen(shape, {axis: slice(start, stop)}), name, part="factors")

    product = node.add(Multiply(), part(0, half), part(half, 2 * half), part="product")
    if 2 * half == shape[axis]:
        return product
    return node.add(Concatenate(axis), product, part(2 * half, shape[axis]), part="products")


@reads("CumSum")
def cumulative_sum(node: OnnxNode) -> Signal:
    """Sums of all values up to each one, along an axis."""
    axes = node.integers("axis", 1)
    if axes is None or len(axes) != 1:
        raise Unreadable(f"its axis is {axes}, one number is expected")
    view = node.view(0, *axes)
    axis = view.axis(axes[0])
    n = view.shape[axis]
    if n * n > 2**24:
        raise Unreadable(f"it sums along {n} values, for which the matrix is too large")
    matrix = np.tri(n, k=-1 if node.attributes.get("exclusive", 0) else 0)
    if node.attributes.get("reverse", 0):
        matrix = matrix[::-1, ::-1]
    layer = Interpolate((np.ascontiguousarray(matrix),), (axis,))
    return view.signal(node.add(layer, view.name))
