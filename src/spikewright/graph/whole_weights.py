"""Weights as whole numbers of a step: of few bits, in rows by output channel."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers import Affine, Convolution, ConvolutionTranspose, Layer

WEIGHTED = (Affine, Convolution, ConvolutionTranspose)
"""Layers with a matrix or a kernel."""

_SMALLEST = {2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5, 6: 0.6}
"""The smallest of the steps that are tried, as a part of the largest one, by bits."""

_TRIED = 41
_AT_ONCE = 2**20  # values that are compared at once

L = TypeVar("L", bound=Layer)


def most(bits: int) -> int:
    """The largest whole number of so many bits, sign included; its negative is the least."""
    return int(2 ** (bits - 1) - 1)


def rows(layer: Layer) -> NDArray:
    """The weights of a layer in `WEIGHTED`, `(out, in of its group, *size)`, float64."""
    weight = np.asarray(layer.weight, np.float64)  # type: ignore[attr-defined]
    if not isinstance(layer, ConvolutionTranspose):
        return weight
    inputs, outputs, *size = weight.shape
    grouped = weight.reshape(layer.groups, inputs // layer.groups, outputs, *size)
    return grouped.swapaxes(1, 2).reshape(layer.groups * outputs, -1, *size)


def with_rows(layer: L, given: NDArray) -> L:
    """The layer with these weights, as `rows` gives them."""
    if isinstance(layer, ConvolutionTranspose):
        inputs, outputs, *size = layer.weight.shape
        grouped = given.reshape(layer.groups, outputs, inputs // layer.groups, *size)
        given = grouped.swapaxes(1, 2).reshape(layer.weight.shape)
    made: L = replace(layer, weight=given)  # type: ignore[type-var]
    return made


def largest_steps(groups: NDArray, bits: int) -> NDArray:
    """Steps `(groups, 1)` with which the largest weight of each group is the largest number."""
    step = np.abs(groups).max(axis=1, keepdims=True, initial=0.0) / most(bits)
    return np.where(step > 0, step, 1.0)


def best_steps(groups: NDArray, bits: int) -> NDArray:
    """Steps `(groups, 1)` of the least squared error of weights `(groups, n)`, among 41 tried."""
    largest = largest_steps(groups, bits)
    best, least = largest, np.full(largest.shape, np.inf)
    for share in np.linspace(1.0, _SMALLEST.get(bits, 0.75), _TRIED):
        error = _squared_error(groups, largest * share, bits)
        best = np.where(error < least, largest * share, best)
        least = np.minimum(error, least)
    return best


def _squared_error(groups: NDArray, step: NDArray, bits: int) -> NDArray:
    """The sum of squared errors of each group, `(groups, 1)`, some columns at a time."""
    total = np.zeros(step.shape)
    columns = max(1, _AT_ONCE // len(groups))
    for start in range(0, groups.shape[1], columns):
        some = groups[:, start : start + columns]
        error = some - step * whole(some / step, bits)
        total += np.einsum("gn,gn->g", error, error)[:, None]
    return total


def whole(values: NDArray, bits: int) -> NDArray:
    """The nearest whole numbers of so many bits."""
    found: NDArray = np.clip(np.rint(values), -most(bits), most(bits))
    return found
