"""Elementwise activations, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers.base import Layer, Shape, normalise_axis, register, require


def _sigmoid(x: NDArray) -> NDArray:
    positive = x >= 0
    e = np.exp(np.where(positive, -x, x))  # never overflows
    return np.where(positive, 1.0, e) / (1.0 + e)


def _softmax(x: NDArray, axis: float = -1) -> NDArray:
    where = int(axis) if axis < 0 else int(axis) + 1  # axes leave the batch out
    e = np.exp(x - x.max(axis=where, keepdims=True))
    return e / e.sum(axis=where, keepdims=True)


def _leaky_relu(x: NDArray, negative_slope: float) -> NDArray:
    return np.where(x >= 0, x, negative_slope * x)


ACTIVATIONS: Mapping[str, Callable[..., NDArray]] = MappingProxyType(
    {
        "linear": lambda x: x,
        "relu": lambda x: np.maximum(x, 0.0),
        "relu6": lambda x: np.clip(x, 0.0, 6.0),
        "leaky_relu": _leaky_relu,
        "sigmoid": _sigmoid,
        "tanh": np.tanh,
        "softplus": lambda x: np.logaddexp(x, 0.0),
        "softmax": _softmax,
    }
)
"""Every activation by name; parameters are keyword arguments."""

PARAMETERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"leaky_relu": ("negative_slope",), "softmax": ("axis",)}
)
"""The parameters that an activation takes; the others take none."""

_REQUIRED = {"leaky_relu": ("negative_slope",)}


@register
@dataclass(frozen=True)
class Activation(Layer):
    """`y = f(x)` for a named `f`; `softmax` normalises over its (unbatched) `axis`."""

    function: str
    parameters: Mapping[str, float] = field(default_factory=dict)

    def output_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require(
            self.function in ACTIVATIONS,
            f"Activation: {self.function!r} is unknown; known are {', '.join(sorted(ACTIVATIONS))}",
        )
        known = PARAMETERS.get(self.function, ())
        unknown = sorted(set(self.parameters) - set(known))
        require(not unknown, f"Activation: {self.function!r} has no parameter {unknown}")
        lacking = sorted(set(_REQUIRED.get(self.function, ())) - set(self.parameters))
        require(not lacking, f"Activation: {self.function!r} needs a value for {lacking}")
        if self.function == "softmax":
            normalise_axis(int(self.parameters.get("axis", -1)), len(shape), "softmax")
        return shape

    def evaluate(self, *values: NDArray) -> NDArray:
        (x,) = values
        return ACTIVATIONS[self.function](x, **self.parameters)
