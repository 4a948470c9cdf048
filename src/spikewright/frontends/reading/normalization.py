"""Normalisation by fixed statistics, and by those of groups of channels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.call import Call
from spikewright.frontends.reading.layout import BATCH_FIRST
from spikewright.frontends.reading.values import Value, finite
from spikewright.graph.layers import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    Reshape,
    ScaleShift,
)


def by_statistics(
    call: Call,
    x: Value,
    axis: int,
    statistics: tuple[NDArray, NDArray],
    epsilon: float,
    scale: NDArray | None = None,
    shift: NDArray | None = None,
) -> Value:
    """`scale (x - mean) / sqrt(variance + epsilon) + shift` along an axis of channels.

    `statistics` are the mean and the variance.
    """
    mean, variance = statistics
    layer = BatchNormalization(
        np.ones_like(mean) if scale is None else scale,
        np.zeros_like(mean) if shift is None else shift,
        mean,
        variance,
        float(epsilon),
        axis,
    )
    return call.add(layer, finite(x))


def by_groups(
    call: Call,
    x: Value,
    groups: int,
    axis: int,
    epsilon: float,
    scale: NDArray | None = None,
    shift: NDArray | None = None,
) -> Value:
    """Groups of channels normalised, of one image or each of several.

    As many groups as channels are instances.
    """
    if x.layout is BATCH_FIRST or axis != 1:
        return call.add(GroupNormalization(groups, axis, float(epsilon), scale, shift), finite(x))
    trailing = (1,) * (len(x.shape) - 1 - axis)
    weights = [None if p is None else p.reshape(-1, *trailing) for p in (scale, shift)]
    if groups in (1, x.shape[axis]):
        axes = tuple(range(axis if groups == 1 else axis + 1, len(x.shape)))
        return call.add(LayerNormalization(axes, float(epsilon), *weights), finite(x))
    return call.chain(
        finite(x),
        ("groups", Reshape((*x.shape[:axis], groups, math.prod(x.shape[axis:]) // groups))),
        ("normalised", LayerNormalization((axis + 1,), float(epsilon))),
        ("", Reshape(x.shape)),
        ("scaled", None if weights == [None, None] else ScaleShift(*weights)),
    )
