"""Agreement of neurons with their layer, and a current at which they differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers import Layer, ParametricReLU
from spikewright.graph.ranges import Range
from spikewright.lower.node_functions import is_function
from spikewright.network.neurons import NUMPY_RATES, NeuronType

_ALIKE = 1e-6  # of the value, or of 1 where that is more: formulas of one curve differ by rounding
_SHOWS = 0.1  # of the larger value: a difference that is worth showing
_PLAIN = (1.0, 2.0, 5.0, 10.0, 0.5, 0.1, 20.0, 50.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Parting:
    """A current at which the output of neurons is not the layer's value."""

    current: float
    value: float
    answer: float

    def __str__(self) -> str:
        return f"{self.answer:.3g} for {self.value:.3g} at a current of {self.current:.3g}"


def parting(
    layer: Layer, neuron_type: NeuronType, reach: Range, scale: float = 1.0
) -> Parting | None:
    """A steady current at which the response of neurons differs from a layer's value.

    None where they are equal for all currents in `reach` with a value of the layer. For a layer
    that is a node's function the current is the value itself. `scale` is the firing-rate scale.
    """
    points = reach.points()
    current = points.reshape(-1, *(1,) * _rank(layer))
    value = current if is_function(layer) else _value(layer.evaluate, current)
    answer = _value(lambda j: _response(neuron_type, j, scale), current)
    shape = np.broadcast_shapes(value.shape, answer.shape)
    value, answer = (np.broadcast_to(v, shape).reshape(len(points), -1) for v in (value, answer))
    with np.errstate(invalid="ignore"):
        size = np.maximum(np.abs(value), np.abs(answer))
        off = np.isfinite(value) & ~(np.abs(answer - value) <= _ALIKE * np.maximum(size, 1.0))
        shows = off & ~(np.abs(answer - value) <= _SHOWS * size)
    if not off.any():
        return None
    row, column = _plainest(points, shows if shows.any() else off)
    return Parting(float(points[row]), float(value[row, column]), float(answer[row, column]))


def _rank(layer: Layer) -> int:
    """Axes of a layer's own parameters, one current for all of them."""
    return layer.slope.ndim if isinstance(layer, ParametricReLU) else 0


def _response(neuron_type: NeuronType, current: NDArray, scale: float) -> NDArray:
    """The mean output at a steady current, amplitude and scale included."""
    gain = scale if neuron_type.scaling == "skewed" else 1.0
    rates = np.asarray(neuron_type.rates(NUMPY_RATES, gain * current), np.float64)
    return rates * (neuron_type.amplitude / gain)


def _value(function: Callable[[NDArray], NDArray], current: NDArray) -> NDArray:
    with np.errstate(all="ignore"):  # outside its domain a function is NaN, or infinite
        return np.asarray(function(current), np.float64)


def _plainest(points: NDArray, where: NDArray) -> tuple[int, int]:
    """The simplest of the currents for a message, and a neuron that has it."""
    for plain in _PLAIN:
        for current in (plain, -plain):
            near = np.flatnonzero(np.isclose(points, current, rtol=1e-9) & where.any(axis=1))
            if near.size:
                return int(near[0]), int(np.argmax(where[near[0]]))
    row = int(np.flatnonzero(where.any(axis=1))[0])
    return row, int(np.argmax(where[row]))
