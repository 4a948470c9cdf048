"""Limiting values to an interval, in terms of the graph's `relu` and `relu6`, exactly."""

from __future__ import annotations

import math

import numpy as np

from spikewright.graph.layers import Activation, Identity, Layer, ScaleShift

Steps = tuple[tuple[str, Layer], ...]

FAR = 100.0
"""Bounds beyond this are far from the values that networks compute with."""

NEAR = 1e-6
"""Bounds closer than this lie so near each other that dividing by their distance may overflow."""


def clip_steps(low: float, high: float) -> Steps:
    """`min(max(x, low), high)` as layers one after another, each with a name for its part.

    `low + w relu6((x - low) / w)` with `w = (high - low) / 6`, `max(x, low) = low + relu(x - low)`,
    and `min(x, high) = high - relu(high - x)`. Bounds may be infinite. Beside a bound above
    `FAR` values of ordinary size would lose digits in these sums, and between bounds closer than
    `NEAR` the factors leave the range of floats: then it is the curve `clip`.
    Raises `ValueError` unless `low < high`.
    """
    if not low < high:
        raise ValueError(f"its bounds are {low} and {high}: nothing lies between them")
    far = max(abs(bound) if math.isfinite(bound) else 0.0 for bound in (low, high)) > FAR
    if far or high - low < NEAR:
        return (("", Activation("clip", {"minimum": low, "maximum": high})),)
    if math.isinf(low) and math.isinf(high):
        return (("", Identity()),)
    if math.isinf(low):
        offset, width = high, -1.0
    else:
        offset, width = low, 1.0 if math.isinf(high) else (high - low) / 6.0
    function = "relu" if math.isinf(high - low) else "relu6"
    if offset == 0.0 and width == 1.0:
        return (("", Activation(function)),)
    return (
        ("scaled", _affine(1.0 / width, -offset / width)),
        (function, Activation(function)),
        ("", _affine(width, offset)),
    )


def _affine(scale: float, shift: float) -> ScaleShift:
    return ScaleShift(
        None if scale == 1.0 else np.array(scale), None if shift == 0.0 else np.array(shift)
    )
