"""Elementwise nonlinearities, and Softmax."""

from __future__ import annotations

import math

import numpy as np

from spikewright.frontends.onnx.node import Above, OnnxNode, Unreadable
from spikewright.frontends.onnx.reasons import reason_for
from spikewright.frontends.onnx.registry import reads
from spikewright.graph.clipping import clip_steps
from spikewright.graph.layers import Activation, Identity

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
    """`relu` or `relu6`; other bounds are one of those between two affine maps, exactly."""
    return _clipped(node, 0, _bound(node, "min", 1, -math.inf), _bound(node, "max", 2, math.inf))


@reads("Max", "Min")
def extremum(node: OnnxNode) -> str:
    """The larger, or smaller, of a signal and constants of one value: a bound on one side."""
    signals = [i for i in range(len(node.inputs)) if not node.is_constant(i)]
    if len(signals) != 1:
        for index in signals:
            node.signal(index)  # raises where a refusal explains the input already
        raise Unreadable(*reason_for("", node.kind))
    if len(node.inputs) == 1:
        return node.add(Identity(), node.signal(0))
    constants = [node.parameter(i) for i in range(len(node.inputs)) if i != signals[0]]
    bounds = np.unique(np.concatenate([np.ravel(constant) for constant in constants]))
    if bounds.size != 1 or any(constant.size > 1 for constant in constants):
        raise Unreadable("its bound is not one number", "Use one bound for all values")
    low, high = (bounds[0], math.inf) if node.kind == "Max" else (-math.inf, bounds[0])
    return _clipped(node, signals[0], float(low), float(high))


def _clipped(node: OnnxNode, index: int, low: float, high: float) -> str:
    try:
        steps = clip_steps(low, high)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    value = node.signal(index)
    for part, layer in steps:
        value = node.add(layer, value, part=part)
    return value


@reads("Where")
def exported_softplus(node: OnnxNode) -> str:
    """`where(x > t, x, softplus(x))`, PyTorch's softplus: above `t` the two differ by rounding."""
    above = node.inputs[0]
    if isinstance(above, Above) and node.signal(1) == above.signal:
        name, t = node.signal(2), above.threshold
        made = next(made for made in node.builder.nodes if made.name == name)
        smooth = isinstance(made.layer, Activation) and made.layer.function == "softplus"
        exact = t > 0 and math.log1p(math.exp(-t)) / t <= 2.0**-24  # below float32's rounding
        if smooth and exact and made.inputs == (above.signal,):
            return name
    raise Unreadable(*reason_for("", node.kind))


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
