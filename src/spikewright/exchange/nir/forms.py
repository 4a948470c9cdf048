"""Signals in the unit of what they reach: as maps with one bias a channel, or else as matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.matrices import matrix_of
from spikewright.exchange.nir.maps import Map, by_channel, diagonal, squared, whole
from spikewright.exchange.nir.refusal import NoForm
from spikewright.exchange.nir.signals import MOST_WEIGHTS, Signal, image_index
from spikewright.network import transforms as t
from spikewright.network.transforms import Shape


@dataclass(frozen=True, eq=False)
class Form:
    """A signal as `map` of what `names` send, with `bias` a channel; no map: as it is.

    `index` are the places of an object's values in the array of `shape` that comes out.
    """

    names: tuple[str, ...]
    shape: Shape
    index: NDArray
    map: Map | None
    bias: NDArray


def forms_of(signals: Sequence[Signal], unit: NDArray | float, bias: NDArray | float) -> list[Form]:
    """Signals that are summed, in one layout; the first one has the bias.

    A value of the sum counts `unit` times. Raises `NoForm` where NIR has no form but matrices
    that are too large.
    """
    natural = signals[0].index.shape
    units = np.broadcast_to(unit, natural)
    constants = [np.broadcast_to(bias, natural), *[np.zeros(natural)] * (len(signals) - 1)]
    pairs = list(zip(signals, constants, strict=True))
    made = [_by_channels(signal, units, constant) for signal, constant in pairs]
    whole_channels = [form for form in made if form is not None]
    if len(whole_channels) == len(signals) and alike(*whole_channels):
        return whole_channels
    return [as_matrix(signal, units, constant) for signal, constant in pairs]


def alike(first: Form | Signal, *others: Form | Signal) -> bool:
    """True where values are at the same places of arrays of one shape."""
    return all(o.shape == first.shape and np.array_equal(o.index, first.index) for o in others)


def in_order(form: Form) -> bool:
    """True where an array has an object's values in their order, or with its last axis first."""
    natural, count = form.index.shape, form.index.size
    orders = [np.arange(count).reshape(natural)]
    if len(natural) == len(form.shape) > 1:
        orders.append(image_index(form.shape, natural, True))
    return any(np.array_equal(form.index, order) for order in orders)


def arranged(values: NDArray | float, index: NDArray, shape: Shape) -> NDArray:
    """Values of an object as a flat array over `shape`."""
    flat = np.zeros(math.prod(shape))
    flat[index.ravel()] = np.broadcast_to(values, index.shape).ravel()
    return flat


def _by_channels(signal: Signal, units: NDArray, constant: NDArray) -> Form | None:
    """The form of a signal whose factors and constants differ by channel alone, or None."""
    if not signal.complete:
        return None
    shape, index = signal.shape, signal.index
    flat = arranged(units, index, shape)
    heights = by_channel(signal.heights(flat), shape)
    bias = by_channel(arranged(constant, index, shape), shape)
    if heights is None or bias is None:
        return None
    map = signal.map
    if map is not None:
        map = map.times(heights)
    elif np.any(heights != 1.0) or np.any(bias):
        map = diagonal(heights, shape)
    if map is not None:
        map = squared(map)
        if map is None:
            return None
    return Form(signal.names, shape, index, map, bias)


def as_matrix(signal: Signal, units: NDArray, constant: NDArray | float = 0.0) -> Form:
    """The same as one matrix to a vector: NIR has no bias and no factor by pixel."""
    source = signal.shape if signal.map is None else signal.map.shape
    count = signal.index.size * math.prod(source)
    if count > MOST_WEIGHTS:
        raise NoForm(
            "its values are no whole channels, or their scale or bias differs within a channel, "
            f"and as a matrix it has {count} weights, more than {MOST_WEIGHTS}"
        )
    full = np.eye(math.prod(source)) if signal.map is None else _matrix(signal.map)
    rows = full * signal.heights()[:, None]
    index = signal.index.ravel()
    matrix = np.where(index[:, None] >= 0, rows[index], 0.0) * units.reshape(-1, 1)
    map = squared(whole(matrix, source))
    assert map is not None  # of one window
    places = np.arange(index.size).reshape(signal.index.shape)
    bias = np.broadcast_to(constant, signal.index.shape).ravel()
    return Form(signal.names, map.output_shape, places, map, bias)


def _matrix(map: Map) -> NDArray:
    if not map.size:
        return map.kernel
    convolution = t.Convolution(map.kernel, map.stride, map.padding, map.dilation)
    return matrix_of((convolution,), map.shape)
