"""Linear least squares by conjugate gradients: no matrix is made, slopes are enough.

Hestenes & Stiefel 1952.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from spikewright.engines.torch.device import Tensor

Numbers = dict[tuple[str, str], Tensor]
"""Unknowns: arrays by node and field."""

_ENOUGH = 1e-12  # of the squared slope at the beginning


def least(downhill: Callable[[Numbers], Numbers], like: Numbers, iterations: int) -> Numbers:
    """The lowest point of a quadratic function, or as near as so many iterations come from zero.

    `downhill` is against the slope at a point. Where a way has no finite bend the search ends.
    """
    found = {place: torch.zeros_like(x) for place, x in like.items()}
    first = downhill(found)
    left, way = first, first
    size = begun = product(left, left)
    for _ in range(iterations):
        if not size > _ENOUGH * begun:
            break
        there = downhill(way)
        curved = {place: x - there[place] for place, x in first.items()}
        bend = product(way, curved)
        if not (bend > 0 and math.isfinite(bend)):
            break
        step = size / bend
        found = {place: x + step * way[place] for place, x in found.items()}
        left = {place: x - step * curved[place] for place, x in left.items()}
        before, size = size, product(left, left)
        way = {place: x + size / before * way[place] for place, x in left.items()}
    return found


def product(a: Numbers, b: Numbers) -> float:
    """The inner product, summed in float64."""
    return sum(float((x.double() * b[place].double()).sum()) for place, x in a.items())
