"""Populations of integrate-and-fire neurons, with the least voltages at which they spike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikewright.engines.native.limits import least_voltage
from spikewright.engines.native.orders import Order
from spikewright.engines.program import Neurons
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    IntegrateAndFire,
    SpikingRectifiedLinear,
)

if TYPE_CHECKING:
    from spikewright.engines.native.building import Builder


def integrators(b: Builder, op: Neurons, order: Order, pixels: int, pieces: int = 1) -> list[int]:
    """Numbers of a population's pieces, `pixels` times some channels each."""
    kind = op.neuron_type
    floor, cap = None, None
    if isinstance(kind, IntegrateAndFire):
        floor = kind.voltage_floor
    if isinstance(kind, IntegrateAndFire | BipolarIntegrateAndFire):
        cap = kind.max_spikes_per_step
    start = np.broadcast_to(op.initial_voltage, op.ensemble.shape).ravel()
    starts = (start if order is None else start[order]).reshape(pieces, pixels, -1)
    thresholds = b.per_pixel(op.threshold, op.output, order, pixels, pieces)
    numbers: list[int] = []
    for threshold, rows in zip(thresholds, starts, strict=True):
        lowest = -np.inf if floor is None else -floor * threshold
        spikes = (0, -1) if isinstance(kind, BipolarIntegrateAndFire) else ()
        numbers.append(
            b.kernels.population(
                pixels,
                threshold.shape[1],
                threshold,
                [least_voltage(threshold, spikes) for spikes in (1, 2, 3)],
                np.ascontiguousarray(np.broadcast_to(lowest, threshold.shape)),
                floor is not None,
                isinstance(kind, SpikingRectifiedLinear),
                float(cap or 0),
                np.ascontiguousarray(rows, np.float64),
                [least_voltage(threshold, count) for count in spikes],
            )
        )
        # A voltage, a total and what was sent a neuron; channels are padded to whole vectors.
        item = 16 if spikes else 12
        b.state_bytes[op.label] += item * pixels * (-(-rows.shape[1] // 64) * 64)
    b.populations[op] = (op, order, tuple(numbers))
    return numbers
