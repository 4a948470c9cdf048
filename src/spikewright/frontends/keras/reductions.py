"""Dense layers, sums of products, normalisation, and reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.keras.elementwise import (
    activate,
    add_with_activation,
    is_linear,
    of_function,
)
from spikewright.frontends.keras.parameters import bias_of, kernel_of, note_inputs
from spikewright.frontends.keras.registry import (
    KerasCall,
    UnsupportedOp,
    Value,
    array,
    reads,
    unbatched_axes,
)
from spikewright.frontends.keras.running import unbatched_constant
from spikewright.frontends.reading.arithmetic import combined, product, scaled, total
from spikewright.frontends.reading.contraction import Labels
from spikewright.frontends.reading.products import (
    batch_label,
    contracted,
    matrix_labels,
    parsed,
    ranks,
    tensordot_labels,
)
from spikewright.frontends.reading.reductions import (
    by_statistics,
    cumulative_sum,
    differences,
    product_over,
    reduced,
    variance,
)
from spikewright.graph.layers import (
    Activation,
    Add,
    Affine,
    GlobalAveragePool,
    GroupNormalization,
    Interpolate,
    LayerNormalization,
    RMSNormalization,
    ScaleShift,
    Shape,
    Sum,
    UnitNormalization,
)


@reads("Dense")
def dense(call: KerasCall) -> Value:
    """`kernel` is (in, out)."""
    note_inputs(call.builder, call.layer, call.source)
    return add_with_activation(
        call, Affine(kernel_of(call.layer, call.shape).T, bias_of(call.layer))
    )


@reads("BatchNormalization", arguments=("mask",))
def batch_normalization(call: KerasCall) -> Value:
    """Always as at inference, by its moving statistics."""
    layer = call.layer
    return by_statistics(
        call,
        call.inputs[0],
        call.axis,
        statistics=(array(layer.moving_mean), array(layer.moving_variance)),
        epsilon=layer.epsilon,
        scale=array(layer.gamma) if layer.scale else None,
        shift=array(layer.beta) if layer.center else None,
    )


@reads("ops.BatchNorm")
def batch_normalization_operation(call: KerasCall) -> Value:
    """`keras.ops.batch_normalization` by constant statistics."""
    given = [call.arguments.get(name) for name in ("mean", "variance", "scale", "offset")]
    if any(isinstance(value, Value) for value in given):
        raise UnsupportedOp("its statistics are computed values", "Use a LayerNormalization layer")
    statistics = (array(given[0]), array(given[1]))
    weights = (None if value is None else array(value) for value in given[2:])
    return by_statistics(call, call.inputs[0], call.axis, statistics, call.layer.epsilon, *weights)


@reads("LayerScale")
def layer_scale(call: KerasCall) -> Value:
    """A factor a channel, as in ConvNeXt (Touvron et al. 2021)."""
    return call.add(ScaleShift(scale=array(call.layer.gamma)))


@reads("CustomScaleLayer")
def scaled_residual(call: KerasCall) -> Value:
    """`x + scale y`, as in Inception-ResNet."""
    x, y = call.inputs
    scaled = call.add(ScaleShift(scale=array(call.layer.scale)), y, part="scaled")
    return call.add(Add(), x, scaled)


@reads("Rescaling")
def rescaling(call: KerasCall) -> Value:
    """`scale x + offset`, either of them a number or an array."""
    scale, offset = array(call.layer.scale), array(call.layer.offset)
    if scale.ndim and require("keras").config.image_data_format() == "channels_first":
        scale = scale.reshape(*scale.shape, *(1,) * (3 - scale.ndim))  # as the layer does
    return call.add(
        ScaleShift(unbatched_constant(scale, call.shape), unbatched_constant(offset, call.shape))
    )


@reads("Normalization")
def normalization(call: KerasCall) -> Value:
    """`(x - mean) / max(std, epsilon)`, or its inverse; `mean` has the input's rank."""
    layer = call.layer
    mean = unbatched_constant(array(layer.mean).astype(np.float64), call.shape)
    variance = unbatched_constant(array(layer.variance).astype(np.float64), call.shape)
    deviation = np.maximum(np.sqrt(variance), require("keras").config.epsilon())
    if layer.invert:
        return call.add(ScaleShift(deviation, mean))
    return call.add(ScaleShift(1.0 / deviation, -mean / deviation))


def einsum_layer(call: KerasCall, layer: Any, value: Value) -> Value:
    """An EinsumDense layer on a value."""
    note_inputs(call.builder, layer, call.source)
    operands, function = (value, kernel_of(layer, value.shape)), layer.activation
    labels, result = parsed(layer.equation, ranks(call, operands))
    plain = is_linear(function)
    if not plain:
        of_function(function, (1,) * (len(result) - 1))  # to refuse it even of an unknown value
    linear = call if plain else call.inside("linear")
    made = _contracted(linear, operands, labels, result, bias_of(layer))
    return made if plain else activate(call, function, made)


@reads("EinsumDense")
def einsum_dense(call: KerasCall) -> Value:
    """A dense layer over any axes, by an equation."""
    return einsum_layer(call, call.layer, call.inputs[0])


@reads("ops.Einsum")
def einsum(call: KerasCall) -> Value:
    """Any number of operands, tensors or constants."""
    operands = _given(call.arguments["operands"])
    return _contracted(call, operands, *parsed(call.layer.subscripts, ranks(call, operands)))


def _contracted(
    call: KerasCall,
    operands: Sequence[Any],
    labels: Sequence[Labels],
    result: Labels,
    bias: Any = None,
) -> Value:
    """A product of which axis 0 of every tensor is the batch; refuses one that joins samples."""
    pairs = list(zip(operands, labels, strict=True))
    batch = batch_label([own for x, own in pairs if isinstance(x, Value)], result)
    if result[0] != batch:
        raise UnsupportedOp("its result does not have the batch first", "Keep the batch on axis 0")
    for x, own in pairs:
        if not isinstance(x, Value) and batch in own and x.shape[own.index(batch)] != 1:
            raise UnsupportedOp(
                f"its constant of shape {x.shape} differs from sample to sample",
                "Use a constant without a batch axis",
            )
    return contracted(call, operands, labels, result, bias)


def _given(operands: Sequence[Any]) -> list[Any]:
    return [x if isinstance(x, Value) else array(x) for x in operands]


def _both(call: KerasCall) -> list[Any]:
    return _given([call.arguments["x1"], call.arguments["x2"]])


@reads("ops.Matmul")
def matmul(call: KerasCall) -> Value:
    """`x @ y`, of tensors and constants."""
    operands = _both(call)
    return _contracted(call, operands, *matrix_labels(*ranks(call, operands)))


@reads("ops.Dot", "ops.Inner", "ops.Tensordot")
def tensor_product(call: KerasCall) -> Value:
    """A tensor times a constant, summed over given axes of each."""
    operands = _both(call)
    first, second = ranks(call, operands)
    axes: Any = ([-1], [-1 if call.kind == "ops.Inner" else max(second - 2, 0)])
    if call.kind == "ops.Tensordot":
        axes = call.layer.axes
    if isinstance(axes, int):
        axes = (range(first - axes, first), range(axes))
    over, there = ([a] if isinstance(a, int) else list(a) for a in axes)
    return _contracted(call, operands, *tensordot_labels((first, second), over, there))


def _along(value: Any, axes: tuple[int, ...], shape: Shape) -> NDArray | None:
    """Weights of the extents of some axes, laid out to broadcast against the shape."""
    if value is None:
        return None
    if isinstance(value, Value):
        raise UnsupportedOp("its weights are computed values", "Multiply and add them afterwards")
    return array(value).reshape(tuple(n if i in axes else 1 for i, n in enumerate(shape)))


def _epsilon(layer: Any) -> float:
    found = layer.epsilon
    return float(require("keras").config.epsilon() if found is None else found)


@reads("LayerNormalization", "ops.LayerNorm")
def layer_normalization(call: KerasCall) -> Value:
    """Over given axes; with `rms_scaling` nothing is subtracted, and the divisor stays."""
    layer, (x, *_) = call.layer, call.inputs
    axes = call.axes
    weights = layer if call.kind == "LayerNormalization" else None
    gamma, beta = (
        _along(getattr(weights, name) if weights else call.arguments.get(name), axes, x.shape)
        for name in ("gamma", "beta")
    )
    epsilon = _epsilon(layer)
    if not layer.rms_scaling:
        return call.add(LayerNormalization(axes, epsilon, gamma, beta), x)
    spread = variance(call.inside("variance"), x, axes, True)
    spread = total(call.inside("safe"), spread, np.array(epsilon))
    inverse = call.add(Activation("power", {"exponent": -0.5}), spread, part="inverse")
    if gamma is None:
        return product(call, x, inverse)
    return scaled(call, product(call.inside("divided"), x, inverse), gamma)


@reads("GroupNormalization")
def group_normalization(call: KerasCall) -> Value:
    """Of groups of channels; as many groups as channels are instances."""
    layer = call.layer
    gamma = array(layer.gamma) if layer.scale else None
    beta = array(layer.beta) if layer.center else None
    axis = call.axis
    return call.add(GroupNormalization(int(layer.groups), axis, float(layer.epsilon), gamma, beta))


@reads("RMSNormalization", "ops.RMSNorm")
def rms_normalization(call: KerasCall) -> Value:
    """By the root mean square over given axes."""
    layer, (x, *_) = call.layer, call.inputs
    axes = call.axes
    scale = layer.scale if call.kind == "RMSNormalization" else call.arguments.get("scale")
    if isinstance(scale, Value):
        raise UnsupportedOp("its scale is a computed value", "Multiply by it afterwards")
    weights = None if scale is None else array(scale)  # aligned with the last axis, as Keras does
    return call.add(RMSNormalization(axes, _epsilon(layer), weights), x)


@reads("UnitNormalization", "ops.Normalize")
def unit_normalization(call: KerasCall) -> Value:
    """To unit length along given axes."""
    layer = call.layer
    order = getattr(layer, "order", 2)
    if order != 2:
        raise UnsupportedOp(f"its length is of order {order}", "Use order=2")
    epsilon = 1e-12 if call.kind == "UnitNormalization" else _epsilon(layer)
    return call.add(UnitNormalization(call.axes, epsilon))


_REDUCTIONS = {
    "Mean": "mean",
    "Sum": "sum",
    "Max": "max",
    "Amax": "max",
    "Min": "min",
    "Amin": "min",
    "Logsumexp": "log of sum of exp",
}


@reads(*(f"ops.{name}" for name in _REDUCTIONS), "ops.Prod")
def reduce(call: KerasCall) -> Value:
    """Sum, mean, extrema, products and the like over whole axes other than the batch."""
    layer, (x,), axes = call.layer, call.inputs, call.axes
    if getattr(layer, "initial", None) is not None:
        raise UnsupportedOp("it has an initial value", "Leave `initial` out")
    if call.kind == "ops.Prod":
        return product_over(call, x, axes, bool(layer.keepdims))
    kind = _REDUCTIONS[call.kind.removeprefix("ops.")]
    return reduced(call, x, kind, axes, bool(layer.keepdims))


@reads("ops.Ptp")
def peak_to_peak(call: KerasCall) -> Value:
    """The largest value minus the smallest."""
    (x,) = call.inputs
    most, least = (
        reduced(call.inside(kind), x, kind, call.axes, bool(call.layer.keepdims))
        for kind in ("max", "min")
    )
    return combined(call, (1.0, most), (-1.0, least))


@reads("ops.Average")
def weighted_mean(call: KerasCall) -> Value:
    """A mean by constant weights along one axis."""
    weights = call.arguments.get("weights")
    if weights is None:
        return call.add(GlobalAveragePool(call.axes))
    over = call.axes
    if isinstance(weights, Value) or array(weights).ndim != 1 or len(over) != 1:
        raise UnsupportedOp(
            "its weights are no constant along one axis", "Multiply, then take sums"
        )
    share = array(weights).astype(np.float64)
    n = call.shape[over[0]]
    matrix = (share / share.sum()).reshape(1, n)
    mean = call.add(Interpolate((matrix,), over), part="mean")
    return call.add(Sum(over), mean)


@reads("ops.Var", "ops.Std")
def spread(call: KerasCall) -> Value:
    """The variance (divided by n) or its root."""
    root, keep = call.kind == "ops.Std", bool(call.layer.keepdims)
    return variance(call, call.inputs[0], call.axes, keep, root=root)


@reads("ops.Moments")
def moments(call: KerasCall) -> tuple[Value, Value]:
    """Mean and variance."""
    (x,) = call.inputs
    axes, keep = unbatched_axes(call.layer.axes, len(x.shape)), bool(call.layer.keepdims)
    return reduced(call, x, "mean", axes, keep), variance(call, x, axes, keep)


@reads("ops.Norm")
def norm(call: KerasCall) -> Value:
    """The Euclidean length, or the sum or maximum of absolute values, of vectors."""
    order, axes = call.layer.ord, call.axes
    euclidean = order in (None, "fro", 2) and (len(axes) == 1 or order != 2)
    if not euclidean and not (len(axes) == 1 and order in (1, math.inf)):
        raise UnsupportedOp(
            f"its order {order!r} has no form in the graph", "Use ord=2 along one axis"
        )
    kind = "norm 2" if euclidean else f"norm {order}"
    return reduced(call, call.inputs[0], kind, axes, bool(call.layer.keepdims))


@reads("ops.Cumsum")
def running_sum(call: KerasCall) -> Value:
    """Running sums along an axis."""
    return cumulative_sum(call, call.inputs[0], call.axis)


@reads("ops.Diff")
def difference(call: KerasCall) -> Value:
    """Differences of neighbours along an axis, `n` times over."""
    return differences(call, call.inputs[0], call.axis, call.layer.n)
