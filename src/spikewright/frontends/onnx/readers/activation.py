"""Elementwise nonlinearities of one signal."""

from __future__ import annotations

import math

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Unreadable
from spikewright.frontends.reading.arithmetic import clipped, exponential, powered
from spikewright.frontends.reading.functions import function, hyperbolic, parametric_relu, rounded
from spikewright.frontends.reading.names import names_in
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Activation

NAMED = names_in("onnx")
"""Functions by ONNX's names, with the attributes that are their parameters."""

_UNBOUNDED = 3.4e38  # the standard's default bounds are float32's largest numbers


@reads(*NAMED)
def named(node: OnnxNode) -> Value:
    """A function whose parameters are attributes."""
    found = NAMED[node.kind]
    return node.chain(node.view(0), *function(found.function, **found.values(node.attributes)))


@reads("Floor", "Ceil", "Round")
def rounding(node: OnnxNode) -> Value:
    """To whole numbers, as a part of an activation with steps, or of a quantiser of values."""
    if node.kind == "Round" and node.origin.kind != "Round":
        return node.add(Activation("round"), node.view(0))
    return rounded(node, node.view(0), node.kind.lower())


@reads("Sinh", "Cosh")
def hyperbolic_function(node: OnnxNode) -> Value:
    """Hyperbolic sine and cosine."""
    return hyperbolic(node, node.view(0), node.kind == "Sinh")


@reads("Gelu")
def gelu(node: OnnxNode) -> Value:
    """With the error function, or its approximation by tanh."""
    approximate = node.attributes.get("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise Unreadable(f"its approximation is {approximate!r}, which the standard does not know")
    return node.add(Activation("gelu" if approximate == "none" else "gelu_tanh"), node.view(0))


@reads("PRelu")
def prelu(node: OnnxNode) -> Value:
    """`x` where positive, elsewhere times a constant slope, which broadcasts to `x`."""
    view = node.view(0)
    return parametric_relu(node, view, node.per_sample(1, view))


@reads("Shrink")
def shrink(node: OnnxNode) -> Value:
    """Hard (`bias` 0) or soft (`bias` as the threshold) shrinkage."""
    threshold = float(node.attributes.get("lambd", 0.5))
    bias = float(node.attributes.get("bias", 0.0))
    if bias not in (0.0, threshold) or threshold < 0:
        raise Unreadable(
            f"its lambd is {threshold}, its bias {bias}",
            "A bias of 0 or of lambd, which must not be negative, can be read",
        )
    name = "hardshrink" if bias == 0 else "softshrink"
    return node.chain(node.view(0), *function(name, threshold=threshold))


@reads("Clip")
def clip(node: OnnxNode) -> Value:
    """`relu` or `relu6`; other bounds are one of those between two affine maps, exactly."""
    low, high = _bound(node, "min", 1, -math.inf), _bound(node, "max", 2, math.inf)
    return clipped(node, node.view(0), low, high)


def _bound(node: OnnxNode, name: str, index: int, unbounded: float) -> float:
    value = node.setting(name, index)
    if value is None:
        return unbounded
    if np.size(value) != 1:
        raise Unreadable(f"its {name} has shape {np.shape(value)}, one number is expected")
    number = float(np.ravel(value)[0])
    return math.copysign(math.inf, number) if abs(number) >= _UNBOUNDED else number


@reads("Pow")
def power(node: OnnxNode) -> Value:
    """A signal to a constant power, or a positive constant to the power of a signal."""
    if node.is_constant(0):
        return exponential(node, _number(node, 0, "base"), node.view(1))
    return powered(node, node.view(0), _number(node, 1, "exponent"))


def _number(node: OnnxNode, index: int, what: str) -> float:
    value = node.constant(index)
    if value is None or value.size != 1:
        shape = None if value is None else value.shape
        raise Unreadable(f"its {what} has shape {shape}, one number is expected")
    return float(value.ravel()[0])
