"""Dense layers, batch normalisation, and scaling by constants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.keras.activations import add_with_activation
from spikewright.frontends.keras.quantized import bias_of, kernel_of, note_inputs
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    array,
    reads,
    unbatched_axis,
)
from spikewright.frontends.reading.normalization import by_statistics
from spikewright.graph.layers import Add, Affine, ScaleShift, Shape


@reads("Dense")
def dense(call: Call) -> Value:
    """`kernel` is (in, out)."""
    note_inputs(call.builder, call.layer, call.source)
    return add_with_activation(call, Affine(kernel_of(call.layer).T, bias_of(call.layer)))


@reads("BatchNormalization", arguments=("mask",))
def batch_normalization(call: Call) -> Value:
    """Always as at inference, by its moving statistics."""
    layer = call.layer
    return by_statistics(
        call,
        call.inputs[0],
        unbatched_axis(layer.axis, len(call.shape)),
        (array(layer.moving_mean), array(layer.moving_variance)),
        layer.epsilon,
        array(layer.gamma) if layer.scale else None,
        array(layer.beta) if layer.center else None,
    )


@reads("ops.BatchNorm")
def batch_normalization_operation(call: Call) -> Value:
    """`keras.ops.batch_normalization` by constant statistics."""
    given = [call.arguments.get(name) for name in ("mean", "variance", "scale", "offset")]
    if any(isinstance(value, Value) for value in given):
        raise Unreadable("its statistics are computed values", "Use a LayerNormalization layer")
    statistics = (array(given[0]), array(given[1]))
    weights = (None if value is None else array(value) for value in given[2:])
    axis = unbatched_axis(call.layer.axis, len(call.shape))
    return by_statistics(call, call.inputs[0], axis, statistics, call.layer.epsilon, *weights)


@reads("LayerScale")
def layer_scale(call: Call) -> Value:
    """A factor a channel, as in ConvNeXt (Touvron et al. 2021)."""
    return call.add(ScaleShift(scale=array(call.layer.gamma)))


@reads("CustomScaleLayer")
def scaled_residual(call: Call) -> Value:
    """`x + scale y`, as in Inception-ResNet."""
    x, y = call.inputs
    scaled = call.add(ScaleShift(scale=array(call.layer.scale)), y, part="scaled")
    return call.add(Add(), x, scaled)


@reads("Rescaling")
def rescaling(call: Call) -> Value:
    """`scale x + offset`, either of them a number or an array."""
    scale, offset = array(call.layer.scale), array(call.layer.offset)
    if scale.ndim and require("keras").config.image_data_format() == "channels_first":
        scale = scale.reshape(*scale.shape, *(1,) * (3 - scale.ndim))  # as the layer does
    return call.add(
        ScaleShift(unbatched_constant(scale, call.shape), unbatched_constant(offset, call.shape))
    )


@reads("Normalization")
def normalization(call: Call) -> Value:
    """`(x - mean) / max(std, epsilon)`, or its inverse; `mean` has the input's rank."""
    layer = call.layer
    mean = unbatched_constant(array(layer.mean).astype(np.float64), call.shape)
    variance = unbatched_constant(array(layer.variance).astype(np.float64), call.shape)
    deviation = np.maximum(np.sqrt(variance), require("keras").config.epsilon())
    if layer.invert:
        return call.add(ScaleShift(deviation, mean))
    return call.add(ScaleShift(1.0 / deviation, -mean / deviation))


def unbatched_constant(constant: NDArray, shape: Shape) -> NDArray:
    """A constant that broadcasts against `(batch, *shape)`, made to do so against `shape`."""
    if constant.ndim <= len(shape):
        return constant
    if constant.ndim == len(shape) + 1 and len(constant) == 1:
        return constant[0]
    raise Unreadable(
        f"its constant of shape {constant.shape} differs from sample to sample",
        "Use a constant without a batch axis",
    )
