"""Normalisations by statistics of the sample itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    array,
    reads,
    unbatched_axes,
    unbatched_axis,
)
from spikewright.frontends.reading.arithmetic import product, scaled, total
from spikewright.frontends.reading.reductions import variance
from spikewright.graph.layers import (
    Activation,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    Shape,
    UnitNormalization,
)


def _along(value: Any, axes: tuple[int, ...], shape: Shape) -> NDArray | None:
    """Weights of the extents of some axes, laid out to broadcast against the shape."""
    if value is None:
        return None
    if isinstance(value, Value):
        raise Unreadable("its weights are computed values", "Multiply and add them afterwards")
    return array(value).reshape(tuple(n if i in axes else 1 for i, n in enumerate(shape)))


def _epsilon(layer: Any) -> float:
    found = layer.epsilon
    return float(require("keras").config.epsilon() if found is None else found)


@reads("LayerNormalization", "ops.LayerNorm")
def layer_normalization(call: Call) -> Value:
    """Over given axes; with `rms_scaling` nothing is subtracted, and the divisor stays."""
    layer, (x, *_) = call.layer, call.inputs
    axes = unbatched_axes(layer.axis, len(x.shape))
    weights = layer if call.kind == "LayerNormalization" else None
    gamma, beta = (
        _along(getattr(weights, name) if weights else call.arguments.get(name), axes, x.shape)
        for name in ("gamma", "beta")
    )
    epsilon = _epsilon(layer)
    if not layer.rms_scaling:
        return call.add(LayerNormalization(axes, epsilon, gamma, beta), x)
    spread = variance(call, x, axes, True, part="variance")
    spread = total(call, spread, np.array(epsilon), part="safe")
    inverse = call.add(Activation("power", {"exponent": -0.5}), spread, part="inverse")
    if gamma is None:
        return product(call, x, inverse)
    return scaled(call, product(call, x, inverse, "divided"), gamma)


@reads("GroupNormalization")
def group_normalization(call: Call) -> Value:
    """Of groups of channels; as many groups as channels are instances."""
    layer = call.layer
    gamma = array(layer.gamma) if layer.scale else None
    beta = array(layer.beta) if layer.center else None
    axis = unbatched_axis(layer.axis, len(call.shape))
    return call.add(GroupNormalization(int(layer.groups), axis, float(layer.epsilon), gamma, beta))


@reads("RMSNormalization", "ops.RMSNorm")
def rms_normalization(call: Call) -> Value:
    """By the root mean square over given axes."""
    layer, (x, *_) = call.layer, call.inputs
    axes = unbatched_axes(layer.axis, len(x.shape))
    scale = layer.scale if call.kind == "RMSNormalization" else call.arguments.get("scale")
    if isinstance(scale, Value):
        raise Unreadable("its scale is a computed value", "Multiply by it afterwards")
    weights = None if scale is None else array(scale)  # aligned with the last axis, as Keras does
    return call.add(RMSNormalization(axes, _epsilon(layer), weights), x)


@reads("UnitNormalization", "ops.Normalize")
def unit_normalization(call: Call) -> Value:
    """To unit length along given axes."""
    layer = call.layer
    order = getattr(layer, "order", 2)
    if order != 2:
        raise Unreadable(f"its length is of order {order}", "Use order=2")
    epsilon = 1e-12 if call.kind == "UnitNormalization" else _epsilon(layer)
    return call.add(UnitNormalization(unbatched_axes(layer.axis, len(call.shape)), epsilon))
