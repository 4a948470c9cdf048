"""Sums of products, normalisation, and reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.registry import OnnxNode, reads
from spikewright.frontends.onnx.values import SignalValue, UnsupportedOp
from spikewright.frontends.reading import reductions
from spikewright.frontends.reading.arithmetic import normalised_exponentials
from spikewright.frontends.reading.call import Operand, Value
from spikewright.frontends.reading.contraction import Labels
from spikewright.frontends.reading.products import (
    HEADS_INSIDE,
    Axes,
    attend,
    band,
    by_equation,
    contracted,
    hiding,
    matrix_product,
    ranks,
)
from spikewright.frontends.reading.reductions import by_groups, by_statistics, reduced
from spikewright.graph.layers import (
    Activation,
    Divide,
    Interpolate,
    LayerNormalization,
    Multiply,
    Reshape,
    RMSNormalization,
    ScaleShift,
    UnitNormalization,
)


def product_of(node: OnnxNode, product: Callable[[list[Any]], Value]) -> Value:
    """A product of the inputs: signals, and indices of constants.

    Where the axis of one that is the batch is summed, or meets others, it is an axis like others.
    """
    indices = range(len(node.inputs))
    given = [i if node.is_constant(i) or not node.has(i) else node.view(i) for i in indices]
    try:
        return product(given)
    except UnsupportedOp:
        whole = [x if isinstance(x, int) else node.whole_sample(i) for i, x in enumerate(given)]
    return product(whole)


@reads("MatMul")
def matmul(node: OnnxNode) -> Value:
    """A product of matrices; axes before the last two broadcast."""
    return product_of(node, lambda given: matrix_product(node, given))


@reads("Einsum")
def einsum(node: OnnxNode) -> Value:
    """Any number of operands; letters may repeat, but for the batch's."""
    equation = str(node.attributes.get("equation", ""))
    return product_of(node, lambda given: by_equation(node, equation, given))


@reads("Gemm")
def gemm(node: OnnxNode) -> Value:
    """`alpha A B + beta C`, A and B transposed where that is said."""
    alpha, beta = (float(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    labels: list[Labels] = [
        own[::-1] if node.attributes.get(name, 0) else own
        for own, name in ((("row", "inner"), "transA"), (("inner", "column"), "transB"))
    ]

    def product(given: list[Any]) -> Value:
        if ranks(node, given[:2]) != [2, 2]:
            raise UnsupportedOp("its inputs A and B must have two axes each")
        bias = given[2] if node.has(2) and beta else None
        return contracted(
            node, given[:2], labels, result=("row", "column"), bias=bias, alpha=alpha, beta=beta
        )

    return product_of(node, product)


_STATELESS = "Export the model without a cache of keys and values"


@reads("Attention")
def attention(node: OnnxNode) -> Value:
    """Of signals or constants; inputs of three axes hold the heads side by side."""
    if any(node.has(index) for index in (4, 5, 6)):
        raise UnsupportedOp("it reads keys and values of earlier calls", _STATELESS)
    given = [_sample(node, index) for index in range(3)]
    joined = len(given[0].shape) == 2
    axes = HEADS_INSIDE if joined else Axes.of_rank(3)
    names = ("q_num_heads", "kv_num_heads", "kv_num_heads")
    query, key, value = (_heads(node, *pair) for pair in zip(given, names, strict=True))
    scale = float(node.attributes.get("scale") or query.shape[-1] ** -0.5)
    cap = float(node.attributes.get("softcap", 0.0))
    extents = dict(zip((*axes.key, *axes.query), (*key.shape, *query.shape), strict=True))
    masks = _masks(node, *(extents[label] for label in axes.scores[-2:]))
    part = "mixed" if joined else ""
    made, _ = attend(
        node,
        query,
        key,
        part=part,
        value=value,
        axes=axes,
        scale=scale,
        masks=masks,
        cap=cap,
        zero_rows=True,
    )
    if not joined:
        return made
    return node.add(Reshape((made.shape[0], made.shape[1] * made.shape[2])), made)


def _sample(node: OnnxNode, index: int) -> Operand:
    """An input as a sample has it."""
    if node.is_constant(index):
        return node.per_sample(index, node.known(index).ndim)
    return node.signal(index)


def _heads(node: OnnxNode, x: Operand, attribute: str) -> Operand:
    """An input of two axes as `(length, heads, size)`, one of three as it is."""
    if len(x.shape) == 3:
        return x
    heads = int(node.attributes.get(attribute, 0))
    if len(x.shape) != 2 or heads < 1 or x.shape[1] % heads:
        raise UnsupportedOp(f"an input of unbatched shape {x.shape} has not {heads} heads")
    split = (x.shape[0], heads, x.shape[1] // heads)
    return node.add(Reshape(split), x, part="heads") if isinstance(x, Value) else x.reshape(split)


def _masks(node: OnnxNode, rows: int, columns: int) -> list[Operand]:
    """The masks of a node, as terms of scores `(heads, rows, columns)`."""
    left, right = (int(node.attributes.get(f"{s}_window_size", -1)) for s in ("left", "right"))
    if node.attributes.get("is_causal", 0):
        right = 0
    masks: list[Operand] = []
    if max(left, right) >= 0:
        limits = (None if n < 0 else n for n in (left, right))
        masks.append(band(rows, columns, *limits))
    if node.has(3):
        mask = node.per_sample(3, 4) if node.is_constant(3) else node.signal(3)
        if not isinstance(mask, Value):
            mask = hiding(mask) if mask.dtype == np.bool_ else mask
            short = columns - mask.shape[-1]
            if short > 0:
                pairs = [(0, 0)] * (mask.ndim - 1) + [(0, short)]
                mask = np.pad(mask, pairs, constant_values=-np.inf)
        masks.append(mask)
    return masks


@reads("BatchNormalization")
def batch_normalization(node: OnnxNode) -> Value:
    """Normalisation of axis 1 by constants, at inference, wherever the batch is else."""
    if node.attributes.get("training_mode", 0):
        raise UnsupportedOp("it is in training mode", "Export the model for inference")
    if node.opset < 14 and node.output_count > 1:
        raise UnsupportedOp(
            "it has outputs for running statistics, so it is in training mode",
            "Export the model for inference",
        )
    view = node.view(0, 1)
    if not node.attributes.get("spatial", 1) and view.rank > 2:
        raise UnsupportedOp(
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
        raise UnsupportedOp("its input has no axis beside the batch")
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
        raise UnsupportedOp(f"its axis {first} does not exist in {rank} axes")
    full = tuple(range(first % rank, rank))
    view = node.view(0, *full)
    return view, view.axes(full)


def _affine(node: OnnxNode, view: SignalValue, index: int) -> NDArray | None:
    """Scale or shift, a constant that broadcasts to the input."""
    return node.per_sample(index, view) if node.has(index) else None


@reads("LayerNormalization", "RMSNormalization")
def normalization(node: OnnxNode) -> Value:
    """By mean and variance, or the root mean square, over all axes from `axis` on."""
    view, axes = _from_axis(node, -1)
    epsilon, scale = float(node.attributes.get("epsilon", 1e-5)), _affine(node, view, 1)
    if node.kind == "RMSNormalization":
        return node.add(RMSNormalization(axes, epsilon, scale), view)
    return node.add(LayerNormalization(axes, epsilon, scale, _affine(node, view, 2)), view)


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
        raise UnsupportedOp(f"its p is {p}; 1 and 2 can be read")
    return node.add(Divide(), view, reduced(node.inside("length"), view, "norm 1", (axis,), True))


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
        raise UnsupportedOp(f"its axis is {axes}, one number is expected")
    view = node.view(0, *axes)
    exclusive, reverse = (bool(node.attributes.get(name, 0)) for name in ("exclusive", "reverse"))
    return reductions.cumulative_sum(node, view, view.axis(axes[0]), exclusive, reverse)
