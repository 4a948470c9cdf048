"""Integrators through all steps of currents that are known, in one pass, as training runs them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from spikewright.engines.native._kernels import integrate_along
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    IntegrateAndFire,
    NeuronType,
    SpikingRectifiedLinear,
)


class IntegratorParameters(NamedTuple):
    """A neuron type as the kernel has it."""

    cap: float
    assumed: tuple[float, ...] = ()
    heights: tuple[float, ...] = ()
    rectifies: bool = False
    takes_back: bool = False


def integrator_of(kind: NeuronType) -> IntegratorParameters | None:
    """The form of a type whose equation the kernel computes, else None."""
    cap = math.inf if kind.most_spikes is None else float(kind.most_spikes)
    if type(kind) is BipolarIntegrateAndFire:
        assumed, heights = (
            tuple(map(float, by_step)) for by_step in (kind.assumed, kind.spike_heights)
        )
        return IntegratorParameters(cap, assumed, heights, takes_back=True)
    if type(kind) is IntegrateAndFire and kind.voltage_floor is None:
        return IntegratorParameters(cap)
    return (
        IntegratorParameters(cap, rectifies=True) if type(kind) is SpikingRectifiedLinear else None
    )


def run(
    kind: IntegratorParameters,
    currents: Any,
    thresholds: Any,
    starts: Any,
    values: Any,
    net: Any,
    every: Any | None,
) -> None:
    """Write what spikes carry, spikes less those taken back, and all spikes where wanted.

    Arrays of one precision in the processor's memory, of NumPy or PyTorch. Currents and values are
    `(steps, samples, size)`, sums `(samples, size)`; thresholds, and starts in the units of these,
    `(size,)`. Samples of currents lie one behind the other; their steps may be one and the same.
    """
    integrate_along(
        currents=currents, thresholds=thresholds, starts=starts, values=values, net=net, all=every,
        **kind._asdict(),
    )  # fmt: skip
