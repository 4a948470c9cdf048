"""Normalisation by stored statistics or those of each sample, and reductions over axes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import SignalValue, Unreadable
from spikewright.frontends.reading import reductions
from spikewright.frontends.reading.arithmetic import normalised_exponentials
from spikewright.frontends.reading.call import Value
from spikewright.frontends.reading.reductions import by_groups, by_statistics, reduced
from spikewright.graph.layers import (
    Activation,
    Divide,
    Interpolate,
    LayerNormalization,
    Multiply,
    RMSNormalization,
    ScaleShift,
    UnitNormalization,
)


@reads("BatchNormalization")
def batch_normalization(node: OnnxNode) -> Value:
    """Normalisation of axis 1 by constants, at inference, wherever the batch is else."""
    if node.attributes.get("training_mode", 0):
        raise Unreadable("it is in training mode", "Export the model for inference")
    if node.opset < 14 and node.output_count > 1:
        raise Unreadable(
            "it has outputs for running statistics, so it is in training mode",
            "Export the model for inference",
        )
    view = node.view(0, 1)
    if not node.attributes.get("spatial", 1) and view.rank > 2:
        raise Unreadable(
            "spatial is 0: each value of a channel has statistics of its own",
            "Export with operator set 9 or newer",
        )
    gamma, beta, mean, variance = (node.parameter(index) for index in range(1, 5))
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    return by_statistics(
        node,
        view,
        view.axis(1),
        statistics=(mean, variance),
        epsilon=epsilon,
        scale=gamma,
        shift=beta,
    )


def _channels(node: OnnxNode) -> tuple[SignalValue, int]:
    """The input, one image or several, and its axis of channels."""
    if node.view(0).rank < 2:
        raise Unreadable("its input has no axis beside the batch")
    view = node.view(0, 1)
    return view, view.axis(1)


@reads("InstanceNormalization", "GroupNormalization")
def group_normalization(node: OnnxNode) -> Value:
    """Runs of channels normalised, or each channel, with a scale and a bias a channel."""
    view, axis = _channels(node)
    groups = int(node.attributes.get("num_groups", view.shape[axis]))
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    return by_groups(
        node,
        view,
        groups,
        axis=axis,
        epsilon=epsilon,
        scale=node.parameter(1),
        shift=node.parameter(2),
    )


def _from_axis(node: OnnxNode, default: int) -> tuple[SignalValue, tuple[int, ...]]:
    """The input, and its sample's axes from the attribute `axis` on."""
    rank = node.view(0).rank
    first = int(node.attributes.get("axis", default))
    if not -rank <= first < rank:
        raise Unreadable(f"its axis {first} does not exist in {rank} axes")
    full = tuple(range(first % rank, rank))
    view = node.view(0, *full)
    return view, view.axes(full)


def _affine(node: OnnxNode, view: SignalValue, index: int) -> NDArray | None:
    """Scale or shift, a constant that broadcasts to the input."""
    return node.per_sample(index, view) if node.has(index) else None


@reads("LayerNormalization")
def layer_normalization(node: OnnxNode) -> Value:
    """Normalisation over all axes from `axis` on."""
    view, axes = _from_axis(node, -1)
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    layer = LayerNormalization(axes, epsilon, _affine(node, view, 1), _affine(node, view, 2))
    return node.add(layer, view)


@reads("RMSNormalization")
def rms_normalization(node: OnnxNode) -> Value:
    """Division by the root mean square over all axes from `axis` on."""
    view, axes = _from_axis(node, -1)
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    layer = RMSNormalization(axes, epsilon, _affine(node, view, 1))
    return node.add(layer, view)


@reads("MeanVarianceNormalization")
def mean_variance_normalization(node: OnnxNode) -> Value:
    """`(x - mean) / (deviation + 1e-9)` over axes, which must not hold the batch."""
    axes = node.integers("axes") or (0, 2, 3)
    view = node.view(0, *axes)
    # sqrt(variance + 1e-18) is what deviation + 1e-9 amounts to at zero, and both vanish elsewhere
    layer = LayerNormalization(view.axes(axes), 1e-18)
    return node.add(layer, view)


@reads("LpNormalization")
def lp_normalization(node: OnnxNode) -> Value:
    """Division by the sum of magnitudes (p = 1) or the Euclidean length (p = 2) along an axis."""
    full = int(node.attributes.get("axis", -1))
    view, p = node.view(0, full), int(node.attributes.get("p", 2))
    axis = view.axis(full)
    if p == 2:
        return node.add(UnitNormalization((axis,)), view)
    if p != 1:
        raise Unreadable(f"its p is {p}; 1 and 2 can be read")
    return node.add(Divide(), view, reduced(node, view, "norm 1", (axis,), True, "length"))


@reads("LRN")
def local_response_normalization(node: OnnxNode) -> Value:
    """`x / (bias + alpha / size sum x^2)^beta`, the sum over `size` neighbouring channels."""
    size = int(node.attributes["size"])
    alpha = float(node.attributes.get("alpha", 1e-4))
    beta = float(node.attributes.get("beta", 0.75))
    bias = float(node.attributes.get("bias", 1.0))
    x = node.signal(0)
    channels = np.arange(x.shape[0] if x.shape else 0)
    offset = channels[None] - channels[:, None]
    band = (offset >= -((size - 1) // 2)) & (offset <= math.ceil((size - 1) / 2))
    divisor = node.chain(
        x,
        ("squares", Activation("square")),
        ("neighbours", Interpolate((band.astype(np.float64),), (0,))),
        ("base", ScaleShift(np.array(alpha / size), np.array(bias))),
        ("", Activation("power", {"exponent": -beta})),
        part="factor",
    )
    return node.add(Multiply(), x, divisor)


@reads("Softmax", "LogSoftmax")
def softmax(node: OnnxNode) -> Value:
    """Normalised exponentials over one axis, or their logarithms.

    Before operator set 13 they run over all axes from `axis` on together.
    """
    function = "softmax" if node.kind == "Softmax" else "log_softmax"
    if node.opset >= 13:
        full = int(node.attributes.get("axis", -1))
        view = node.view(0, full)
        return node.add(Activation(function, {"axis": view.axis(full)}), view)
    view, axes = _from_axis(node, 1)
    return node.chain(view, *normalised_exponentials(function, view.shape, axes))


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


def _over(node: OnnxNode) -> tuple[SignalValue, tuple[int, ...]]:
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
