"""Elementwise nonlinearities, and Softmax."""

from __future__ import annotations

import math

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode, Unreadable
from spikewright.frontends.onnx.registry import reads
from spikewright.graph.layers import Activation, Identity, ScaleShift

_BY_OPERATOR = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus"}
_UNBOUNDED = 3.4e38  # the standard's default bounds are float32's largest numbers


@reads(*_BY_OPERATOR)
def elementwise(node: OnnxNode) -> str:
    """An activation without parameters."""
    return node.add(Activation(_BY_OPERATOR[node.kind]), node.signal(0))


@reads("LeakyRelu")
def leaky_relu(node: OnnxNode) -> str:
    """`x` where positive, `alpha x` elsewhere."""
    slope = float(node.attributes.get("alpha", 0.01))
    return node.add(Activation("leaky_relu", {"negative_slope": slope}), node.signal(0))


@reads("Clip")
def clip(node: OnnxNode) -> str:
    """`relu` or `relu6`; other bounds are one of those between two affine maps, exactly.

    `min(max(x, a), b) = a + w relu6((x - a) / w)` with `w = (b - a) / 6`, `max(x, a) =
    a + relu(x - a)`, and `min(x, b) = b - relu(b - x)`.
    """
    low, high = _bound(node, "min", 1, -math.inf), _bound(node, "max", 2, math.inf)
    if not low < high:
        raise Unreadable(f"its bounds are {low} and {high}: nothing lies between them")
    if math.isinf(low) and math.isinf(high):
        return node.add(Identity(), node.signal(0))
    if math.isinf(low):
        offset, width = high, -1.0
    else:
        offset, width = low, 1.0 if math.isinf(high) else (high - low) / 6.0
    function = "relu" if math.isinf(high - low) else "relu6"
    if offset == 0.0 and width == 1.0:
        return node.add(Activation(function), node.signal(0))
    scaled = node.add(_affine(1.0 / width, -offset / width), node.signal(0), part="scaled")
    bounded = node.add(Activation(function), scaled, part=function)
    return node.add(_affine(width, offset), bounded)


def _affine(scale: float, shift: float) -> ScaleShift:
    return ScaleShift(
        None if scale == 1.0 else np.array(scale), None if shift == 0.0 else np.array(shift)
    )


def _bound(node: OnnxNode, name: str, index: int, unbounded: float) -> float:
    value = node.setting(name, index)
    if value is None:
        return unbounded
    if np.size(value) != 1:
        raise Unreadable(f"its {name} has shape {np.shape(value)}, one number is expected")
    number = float(np.ravel(value)[0])
    return math.copysign(math.inf, number) if abs(number) >= _UNBOUNDED else number


@reads("Softmax")
def softmax(node: OnnxNode) -> str:
    """Normalised exponentials over one axis.

    Before operator set 13 it runs over all axes from `axis` on, which is read where all but one of
    those hold a single value.
    """
    shape = node.shape()
    rank = len(shape) + 1
    axis = int(node.attributes.get("axis", -1 if node.opset >= 13 else 1))
    if not -rank <= axis < rank or axis % rank == 0:
        raise Unreadable(f"its axis {axis} in {rank} axes is not one beside the batch")
    axis = axis % rank - 1
    if node.opset < 13:
        wide = [i for i in range(axis, len(shape)) if shape[i] > 1]
        if len(wide) > 1:
            raise Unreadable(
                f"in operator set {node.opset} it is over all of the axes of extents "
                f"{shape[axis:]} together",
                "Export with operator set 13 or newer",
            )
        axis = wide[0] if wide else axis
    return node.add(Activation("softmax", {"axis": axis}), node.signal(0))
