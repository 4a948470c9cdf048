"""Populations of integrate-and-fire neurons: firing is a comparison and no division."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.cells import fixed_point
from spikewright.engines.native.orders import Order, every
from spikewright.engines.native.support import followed
from spikewright.engines.populations import Neurons
from spikewright.network.neurons import (
    TOLERANCE,
    BipolarIntegrateAndFire,
    FixedPointIntegrateAndFire,
    NeuronType,
    SpikingRectifiedLinear,
)


def add_integrators(b: Buffers, op: Neurons) -> None:
    """A population whose input is currents."""
    (signal,) = op.inputs
    outside = not b.inside(signal)
    order = b.preferred.get(op.output)
    if outside:
        source = b.input(signal, False)
    else:
        stored = b.values(signal)
        order, source = stored.order, stored.buffer
    (population,) = integrators(b, op, order, 1)
    target = b.buffer(True, op.output, order)
    index = order if outside else None
    b.kernels.fire(
        input=source, external=outside, output=target, population=population, index=index
    )


def integrators(b: Buffers, op: Neurons, order: Order, pixels: int, pieces: int = 1) -> list[int]:
    """Numbers of a population's pieces, `pixels` times some channels each."""
    kind = op.neuron_type
    size = b.size(op.output)
    starts = b.per_pixel(op.initial_voltage, op.output, order, pixels, pieces)
    places = (every(size) if order is None else order).reshape(pieces, pixels, -1)
    parts: list[dict[str, Any]]
    if isinstance(kind, FixedPointIntegrateAndFire):
        units = b.per_pixel(kind.threshold, op.output, order, pixels, pieces)
        charges = b.per_pixel(kind.threshold / op.threshold, op.output, order, pixels, pieces)
        parts = [_whole(kind, *part) for part in zip(units, charges, strict=True)]
    else:
        thresholds = b.per_pixel(op.threshold, op.output, order, pixels, pieces)
        parts = [_plain(kind, threshold) for threshold in thresholds]
    numbers: list[int] = []
    for part, start, where in zip(parts, starts, places, strict=True):
        cap = float(getattr(kind, "max_spikes_per_step", None) or 0)
        numbers.append(b.kernels.population(cap=cap, start=start, places=where, whole=size, **part))
        # A voltage, a total, what was sent, and means; channels are padded to whole vectors.
        item = 36 if followed(kind) is not None else 20 if part["holds"] else 12
        lanes = 64 if pixels == 1 else 16
        padded = pixels * (-(-where.shape[1] // lanes) * lanes)
        b.population_bytes[op.label] += item * padded
        b.voltage_bytes[op.label] += (8 if followed(kind) is None else 24) * padded
    b.populations[op] = (op, order, tuple(numbers))
    return numbers


def _plain(kind: NeuronType, threshold: NDArray) -> dict[str, Any]:
    """Thresholds as values, and the voltages at which so many spikes are sent or held."""
    floor = getattr(kind, "voltage_floor", None)
    held = (0, -1) if isinstance(kind, BipolarIntegrateAndFire) else ()
    return {
        "threshold": threshold,
        "least": [least_voltage(threshold, count) for count in (1, 2, 3)],
        "lowest": None if floor is None else -floor * threshold,
        "rectify": isinstance(kind, SpikingRectifiedLinear),
        "holds": [least_voltage(threshold, count) for count in held],
        "follows": followed(kind),
        "fixed": None,
        "charge": None,
    }


def _whole(kind: FixedPointIntegrateAndFire, unit: NDArray, charge: NDArray) -> dict[str, Any]:
    """Thresholds in whole numbers: k spikes from k times as many on."""
    floor = kind.voltage_floor
    return {
        "threshold": unit,
        "least": [count * unit for count in (1.0, 2.0, 3.0)],
        "lowest": None if floor is None else np.floor(-floor * unit) + 0.0,  # not -0
        "rectify": False,
        "holds": [],
        "follows": None,
        "fixed": fixed_point(kind),
        "charge": charge,
    }


def least_voltage(threshold: NDArray, spikes: int) -> NDArray:
    """The least float64 `v` with `floor(v / threshold + TOLERANCE) >= spikes`, per neuron.

    The left side is a rounded division and a rounded sum, each monotone in `v`, so that this
    voltage exists; it is found by bisection over the float64 numbers between two that bracket it.
    With `spikes` above 0 it is positive, else negative.
    """
    threshold = np.asarray(threshold, np.float64)
    sign = 1.0 if spikes > 0 else -1.0
    near = sign * (spikes - TOLERANCE) * threshold
    low = (near * (1.0 - 1e-12)).view(np.int64)
    high = (near * (1.0 + 1e-12)).view(np.int64)
    while np.any(high - low > 1):  # doubles above 0 are ordered as their bits are
        middle = low + (high - low) // 2
        reached = np.floor(sign * middle.view(np.float64) / threshold + TOLERANCE) >= spikes
        lower = reached == (sign > 0)  # the one that is looked for lies at or below the middle
        low, high = np.where(lower, low, middle), np.where(lower, middle, high)
    return high.view(np.float64) if sign > 0 else -low.view(np.float64)
