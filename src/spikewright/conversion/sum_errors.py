"""Errors of sums value by value, each beside the magnitudes of its own terms.

A layer's largest value says nothing about its small ones. So every value of the network that is a
sum over values of the network is compared with that sum in float64:

    |value - sum| <= (n + 2) 2^-24 (|w_1 x_1| + ... + |w_n x_n| + |bias|)

`n` is what the engines promise (`engines/compensation.py`); values are recorded in single
precision, on both sides of the sum, which the 2 is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import split_shape
from spikewright.conversion.rounding import UNITS, terms_of
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    AdaptiveAveragePool,
    BatchNormalization,
    ConvolutionTranspose,
    Layer,
    ParametricReLU,
)

_RECORDED = 2  # roundings of values as they are recorded
_SMALLEST = 2.0**-126  # below it single precision has fewer bits


class SumError(NamedTuple):
    """The largest error of a layer's values, and its bound, as parts of the terms' magnitudes."""

    node: str
    error: float
    bound: float


def sum_errors(graph: Graph, values: Mapping[str, NDArray]) -> Iterator[SumError]:
    """Errors of the layers of a graph whose `values` `(batch, *shape)` are sums over others.

    An activation of such a sum is compared with the function of it. Layers are left out whose
    values, or those that they read, are not there.
    """
    for node in graph:
        expected = _expected(graph, node, values) if node.name in values else None
        if expected is None or expected.value.shape != values[node.name].shape:
            continue
        apart = np.abs(np.asarray(values[node.name], np.float64) - expected.value)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(apart == 0.0, 0.0, apart / expected.tolerance)
        yield SumError(node.name, float(shares.max(initial=0.0)) * expected.unit, expected.unit)


class _Expected(NamedTuple):
    """A value in float64, by how much it may differ, and that as a part of its terms."""

    value: NDArray
    tolerance: NDArray
    unit: float


def _expected(graph: Graph, node: GraphNode, values: Mapping[str, NDArray]) -> _Expected | None:
    if isinstance(node.layer, Activation | ParametricReLU):
        before = node.inputs[0]
        reads = None if before in values else _expected(graph, graph[before], values)
        return None if reads is None else _applied(node.layer, reads)
    if not (node.layer.linear and node.inputs and all(name in values for name in node.inputs)):
        return None
    read = [np.asarray(values[name], np.float64) for name in node.inputs]
    recorded = [np.abs(value) + _SMALLEST for value in read]
    unit = (max(1.0, _longest(graph, node)) + _RECORDED) * UNITS["float32"]
    sizes = np.abs(_absolute(node.layer).evaluate(*recorded)) + _SMALLEST
    return _Expected(node.layer.evaluate(*read), unit * sizes, unit)


def _applied(layer: Layer, reads: _Expected) -> _Expected:
    """An activation's value, and how far it may move where what it reads does."""
    value = layer.evaluate(reads.value)
    moved = [np.abs(layer.evaluate(reads.value + s * reads.tolerance) - value) for s in (1, -1)]
    rounded = _RECORDED * UNITS["float32"] * np.abs(value)
    return _Expected(value, np.maximum(*moved) + rounded, reads.unit)


def _absolute(layer: Layer) -> Any:
    """A linear layer with the magnitudes of its weights, so that its terms have one sign."""
    held = {f.name: getattr(layer, f.name) for f in fields(layer)}  # type: ignore[arg-type]
    sizes = {name: _sizes(value) for name, value in held.items()}
    if isinstance(layer, BatchNormalization):
        sizes["mean"] = -sizes["mean"]  # it is taken away
    return replace(layer, **sizes)  # type: ignore[type-var]


def _sizes(value: Any) -> Any:
    """The magnitudes of an array of numbers, or of a tuple of such arrays; else the value."""
    if isinstance(value, tuple):
        return tuple(map(_sizes, value))
    return np.abs(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def _longest(graph: Graph, node: GraphNode) -> float:
    """The number of terms of a layer's longest sum, as the network makes it."""
    layer = node.layer
    if isinstance(layer, ConvolutionTranspose):
        return float(layer.weight.size // layer.weight.shape[1])
    if isinstance(layer, AdaptiveAveragePool):  # windows differ by one
        spatial, _ = split_shape(graph.shapes[node.inputs[0]], layer.channels_last)
        return float(prod(i // o + 2 for i, o in zip(spatial, layer.output, strict=True)))
    return terms_of(graph, node)
