"""Steps of one width and one height: where they are in a function of one number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers import Activation

Function = Callable[[NDArray], NDArray]

_CLOSE = 1e-5  # of the height of all steps, or of a step's width: constants may be float32
_SIZES = np.geomspace(1e-6, 1e6, 241)
_FAR = np.concatenate([-_SIZES[::-1], [0.0], _SIZES])
_HALVINGS = 80
_MOST = 65_535  # levels
_STARTS = (0.0, 0.5, 1.0)


class NotSteps(Exception):
    """Raised for a function that is no such steps; the message says what it does instead."""


@dataclass(frozen=True)
class Steps:
    """`factor width min(max(floor(x / width + start), 0), levels)`."""

    width: float
    start: float
    levels: int
    factor: float

    def activation(self) -> Activation:
        """The layer that it is, apart from its factor."""
        parameters = {
            "threshold": float(self.width * self.levels),
            "levels": float(self.levels),
            "start": float(self.start),
        }
        return Activation("rounded_relu", parameters)


def steps_of(function: Function) -> Steps:
    """The steps of a function; raises `NotSteps`.

    The first and the last step are found by bisection, all others have to lie between them at
    equal distances.
    """
    values = _values(function, _FAR)
    total = values[-1]
    _require_bounds(values)
    first, above = _edge(function, values, _CLOSE * total)
    last, _ = _edge(function, values, (1.0 - _CLOSE) * total)
    height = float(function(np.array([above]))[0])
    if not total <= _MOST * height:
        raise NotSteps("it does not rise in steps")
    levels = round(total / height)
    width = _width(first, last, levels, height)
    if abs(height / width - 1.0) < _CLOSE:
        width = height = total / levels
    start = 1.0 - first / width
    start = next((known for known in _STARTS if abs(start - known) < _CLOSE), start)
    if not 0.0 <= start <= 1.0:
        raise NotSteps(f"its first step is at {first:.3g}, and its steps are {width:.3g} wide")
    found = Steps(width, start, levels, height / width)
    _require_equal(function, found, total)
    return found


def _values(function: Function, x: NDArray) -> NDArray:
    with np.errstate(all="ignore"):
        values = function(x)
    if not np.isfinite(values).all():
        raise NotSteps("it is not finite everywhere")
    return values


def _require_bounds(values: NDArray) -> None:
    """Raise `NotSteps` unless values rise from zero, over negative input, to a bound."""
    low, total = values[0], values[-1]
    if total <= 0 or values[-2] < total * (1.0 - _CLOSE):
        raise NotSteps("it has no upper bound")
    if abs(low) > _CLOSE * total or abs(values[1]) > _CLOSE * total:
        raise NotSteps("it is not zero for negative values")
    if np.diff(values).min() < -_CLOSE * total:
        raise NotSteps("it falls")


def _edge(function: Function, values: NDArray, level: float) -> tuple[float, float]:
    """The numbers next to each other between which a function, known far and near, passes `level`.

    `values` are those at `_FAR`.
    """
    index = int(np.argmax(values > level))
    low, high = float(_FAR[index - 1]), float(_FAR[index])
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if function(np.array([middle]))[0] > level:
            high = middle
        else:
            low = middle
    return low, high


def _width(first: float, last: float, levels: int, height: float) -> float:
    """The width of a step; that of a single one is its height, where the start then is a share."""
    if levels > 1:
        width = (last - first) / (levels - 1)
    else:
        width = height if 0.0 <= first <= height else 2.0 * abs(first)
    if width <= 0:
        raise NotSteps("it does not rise in steps of one width")
    return width


def _require_equal(function: Function, steps: Steps, total: float) -> None:
    """Raise `NotSteps` where a function has other values, around each edge and between them."""
    numbers = np.arange(1, steps.levels + 1)
    edges = steps.width * (numbers - steps.start)
    beside = 1e-3 * steps.width
    wanted = steps.factor * steps.width * numbers
    pairs = (
        (edges - beside, wanted - steps.factor * steps.width),
        (edges + beside, wanted),
        (edges + 0.5 * steps.width, wanted),
        (edges + (1.0 - 1e-3) * steps.width, wanted),
    )
    if any(np.abs(function(x) - y).max() > _CLOSE * total for x, y in pairs):
        raise NotSteps("its steps are not all of one width and height")
    at_zero = np.abs(edges) < _CLOSE * steps.width
    if at_zero.any() and function(np.zeros(1))[0] < wanted[at_zero][0] * (1.0 - _CLOSE):
        raise NotSteps("at zero itself it has not risen yet, and a spike would be sent")
