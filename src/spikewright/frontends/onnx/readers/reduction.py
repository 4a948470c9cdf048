"""Reductions over whole axes, and sums along one."""

from __future__ import annotations

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable
from spikewright.frontends.reading import reductions
from spikewright.frontends.reading.values import Value

_REDUCTIONS = {
    "ReduceSum": "sum",
    "ReduceMean": "mean",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceL1": "norm 1",
    "ReduceL2": "norm 2",
    "ReduceSumSquare": "sum of squares",
    "ReduceLogSum": "log of sum",
    "ReduceLogSumExp": "log of sum of exp",
}


@reads(*_REDUCTIONS)
def reduce(node: OnnxNode) -> Value:
    """A reduction over axes beside the batch."""
    view, axes = _over(node)
    kind, keep = _REDUCTIONS[node.kind], bool(node.attributes.get("keepdims", 1))
    if not axes and not node.attributes.get("axes") and _noop(node):
        # the standard leaves out the reduction alone
        return reductions.without_reduction(node, view, kind)
    return reductions.reduced(node, view, kind, view.axes(axes), keep)


def _noop(node: OnnxNode) -> bool:
    return bool(node.attributes.get("noop_with_empty_axes", 0))


def _over(node: OnnxNode) -> tuple[Signal, tuple[int, ...]]:
    """The input and the full axes that vanish."""
    axes = node.integers("axes", 1)
    if not axes:
        if _noop(node):
            return node.view(0), ()
        axes = node.view(0).every_axis()
    return node.view(0, *axes), axes


@reads("ReduceProd")
def product(node: OnnxNode) -> Value:
    """The product of all values along axes beside the batch."""
    view, axes = _over(node)
    keep = bool(node.attributes.get("keepdims", 1))
    return reductions.product_over(node, view, view.axes(axes), keep)


@reads("CumSum")
def cumulative_sum(node: OnnxNode) -> Value:
    """Sums of all values up to each one, along an axis."""
    axes = node.integers("axis", 1)
    if axes is None or len(axes) != 1:
        raise Unreadable(f"its axis is {axes}, one number is expected")
    view = node.view(0, *axes)
    exclusive, reverse = (bool(node.attributes.get(name, 0)) for name in ("exclusive", "reverse"))
    return reductions.cumulative_sum(node, view, view.axis(axes[0]), exclusive, reverse)
