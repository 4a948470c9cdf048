"""Populations of integrate-and-fire neurons, with the least voltages at which they spike."""

from __future__ import annotations

from spikewright.engines.native.buffers import Buffers
from spikewright.engines.native.limits import least_voltage
from spikewright.engines.native.orders import Order, every
from spikewright.engines.native.support import followed
from spikewright.engines.program import Neurons
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    IntegrateAndFire,
    RunningMeanSpiking,
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
    floor, cap = None, None
    if isinstance(kind, IntegrateAndFire):
        floor = kind.voltage_floor
    if isinstance(kind, IntegrateAndFire | BipolarIntegrateAndFire | RunningMeanSpiking):
        cap = kind.max_spikes_per_step
    size = b.size(op.output)
    starts = b.per_pixel(op.initial_voltage, op.output, order, pixels, pieces)
    places = (every(size) if order is None else order).reshape(pieces, pixels, -1)
    thresholds = b.per_pixel(op.threshold, op.output, order, pixels, pieces)
    numbers: list[int] = []
    for threshold, start, where in zip(thresholds, starts, places, strict=True):
        spikes = (0, -1) if isinstance(kind, BipolarIntegrateAndFire) else ()
        numbers.append(
            b.kernels.population(
                threshold=threshold,
                least=[least_voltage(threshold, count) for count in (1, 2, 3)],
                lowest=None if floor is None else -floor * threshold,
                rectify=isinstance(kind, SpikingRectifiedLinear),
                cap=float(cap or 0),
                start=start,
                holds=[least_voltage(threshold, count) for count in spikes],
                places=where,
                whole=size,
                follows=followed(kind),
            )
        )
        # A voltage, a total, what was sent, and means; channels are padded to whole vectors.
        item = 32 if followed(kind) is not None else 16 if spikes else 12
        lanes = 64 if pixels == 1 else 16
        padded = pixels * (-(-where.shape[1] // lanes) * lanes)
        b.population_bytes[op.label] += item * padded
        b.voltage_bytes[op.label] += (8 if followed(kind) is None else 24) * padded
    b.populations[op] = (op, order, tuple(numbers))
    return numbers
