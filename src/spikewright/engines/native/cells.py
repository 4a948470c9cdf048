"""Neuron types as the kernels of `cpp/cells.hpp` and `cpp/leaky.hpp` see them.

A type with a kernel has one row in `_FORMS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from spikewright.engines.native._kernels import Cell, Cells, FixedPoint, Rate
from spikewright.network.neurons import (
    LIF,
    NUMPY_NEURONS,
    ROUNDING,
    AdaptiveLIF,
    AdaptiveLIFRate,
    BipolarIntegrateAndFire,
    ClippedReLU,
    FixedPointIntegrateAndFire,
    GridLIF,
    IntegrateAndFire,
    Izhikevich,
    LeakyReLU,
    LIFRate,
    NeuronType,
    ParametricReLU,
    PoissonSpiking,
    RectifiedLinear,
    RegularSpiking,
    RunningMeanSpiking,
    Sigmoid,
    SignedIntegrateAndFire,
    SoftLIFRate,
    Softplus,
    SpikingLeakyReLU,
    SpikingRectifiedLinear,
    StochasticSpiking,
    Tanh,
)
from spikewright.network.neurons.lif import share_of


def described(kind: NeuronType, dt: float) -> Cells | None:
    """A type's description, or None where it has no kernel (as a class of a user's own)."""
    form = (_DIFFERING if kind.arrays else _FORMS).get(type(kind))
    made = None if form is None else form(kind, dt)
    if made is not None:
        made.dt = dt
    return made


def states(kind: NeuronType) -> tuple[str | None, str | None]:
    """Names of a type's state beside the voltage: those of `Cells.second` and `Cells.third`."""
    second, third, *_ = (*kind.initial_values(), None, None)
    return second, third


def _cells(cell: Cell, rate: Rate = Rate.identity, **numbers: Any) -> Cells:
    made = Cells()
    made.cell, made.rate = cell, rate
    for name, value in numbers.items():
        setattr(made, name, value)
    return made


def _leaky(kind: Any, dt: float) -> Cells:
    share = -math.expm1(-dt / kind.tau_rc)
    return _cells(Cell.leaky, min_voltage=kind.min_voltage, most_share=share, **_periods(kind))


def own_rows(kind: Any, dt: float) -> list[Any]:
    """Parameters of leaky neurons that differ: `OwnRow` of `cpp/parts.hpp`, one or each.

    The kernel itself makes the first row.
    """
    share = share_of(NUMPY_NEURONS, dt, kind.tau_rc)
    silence = kind.silent_steps(dt) if isinstance(kind, GridLIF) else kind.tau_ref
    tiring: tuple[Any, Any] = (0.0, 0.0)
    if isinstance(kind, AdaptiveLIF):
        tiring = (dt / kind.tau_n, kind.inc_n * (kind.amplitude / dt))
    return [0.0, -1.0 / kind.tau_rc, kind.tau_rc, silence, share, *tiring]


OWN_ROOM = 16
"""Values behind the rows, that vectors may read (`kOwnRoom`)."""


def _differing(cell: Cell) -> Callable[[Any, float], Cells]:
    return lambda kind, dt: _cells(cell, min_voltage=kind.min_voltage, differ=True)


def _on_grid(kind: GridLIF, dt: float) -> Cells:
    return _cells(
        Cell.grid_leaky,
        min_voltage=kind.min_voltage,
        most_share=share_of(NUMPY_NEURONS, dt, kind.tau_rc),
        tau_ref=kind.silent_steps(dt),
    )


def _periods(kind: Any) -> dict[str, Any]:
    return {"tau_ref": kind.tau_ref, "tau_rc": kind.tau_rc}


def _adaptive(cells: Cells, cell: Cell, kind: Any, dt: float, spike: float) -> Cells:
    """Neurons that adapt; a spike adds `spike` times `inc_n`."""
    cells.cell, cells.amplitude = cell, kind.amplitude
    cells.adapting, cells.added = dt / kind.tau_n, kind.inc_n * spike
    return cells


def _adaptive_leaky(kind: AdaptiveLIF, dt: float) -> Cells:
    return _adaptive(_leaky(kind, dt), Cell.adaptive_leaky, kind, dt, kind.amplitude / dt)


def _adaptive_rate(kind: AdaptiveLIFRate, dt: float) -> Cells:
    rate = _cells(Cell.rate, Rate.lif, **_periods(kind))
    return _adaptive(rate, Cell.adaptive_rate, kind, dt, 1.0)


def _quadratic(kind: Izhikevich, dt: float) -> Cells:
    pace = 1000.0 * dt  # its time is in milliseconds
    return _cells(
        Cell.quadratic,
        pace=pace,
        follow=pace * kind.tau_recovery,
        coupling=kind.coupling,
        reset=kind.reset_voltage,
        jump=kind.reset_recovery,
    )


def _integrator(kind: Any, dt: float) -> Cells:
    floor = getattr(kind, "voltage_floor", None)
    return _cells(
        Cell.integrate,
        negative=kind.negative,
        floor=math.nan if floor is None else floor,
        cap=kind.max_spikes_per_step or 0,
    )


def fixed_point(kind: FixedPointIntegrateAndFire) -> FixedPoint:
    """The numbers that bound every neuron of a type in whole numbers."""
    limit = math.inf if kind.state_bits is None else 2.0 ** (kind.state_bits - 1)
    return FixedPoint(
        leak=0.0 if kind.decay is None else 2.0**-kind.decay,
        half=0.5 + ROUNDING,
        low=-limit,
        high=limit - 1.0,
        to_zero=kind.hard_reset,
    )


def _in_whole_numbers(kind: FixedPointIntegrateAndFire, dt: float) -> Cells:
    floor = math.nan if kind.voltage_floor is None else kind.voltage_floor
    cap = kind.max_spikes_per_step or 0
    return _cells(Cell.fixed_point, floor=floor, cap=cap, fixed=fixed_point(kind))


def _spiking(kind: RegularSpiking | RunningMeanSpiking, dt: float) -> Cells | None:
    """A rate function that is integrated; None where the base type is no plain rate function."""
    made = described(kind.base_type, dt)
    if made is None or made.cell is not Cell.rate:
        return None
    mean = isinstance(kind, RunningMeanSpiking)
    made.cell = Cell.running_mean if mean else Cell.integrate
    made.amplitude, made.negative = kind.base_type.amplitude, kind.negative
    if isinstance(kind, RunningMeanSpiking):
        made.cap = kind.most_spikes or 0
    return made


def _drawn(cell: Cell) -> Callable[[PoissonSpiking | StochasticSpiking, float], Cells | None]:
    """A rate function with random spikes; None where the base type is no plain rate function."""

    def form(kind: PoissonSpiking | StochasticSpiking, dt: float) -> Cells | None:
        made = described(kind.base_type, dt)
        if made is None or made.cell is not Cell.rate:
            return None
        made.cell, made.amplitude = cell, kind.base_type.amplitude
        return made

    return form


_DIFFERING: dict[type[NeuronType], Callable[[Any, float], Cells | None]] = {
    LIF: _differing(Cell.leaky),
    GridLIF: _differing(Cell.grid_leaky),
    AdaptiveLIF: _differing(Cell.adaptive_leaky),
}
"""Types with parameters for each neuron."""

_FORMS: dict[type[NeuronType], Callable[[Any, float], Cells | None]] = {
    LIF: _leaky,
    GridLIF: _on_grid,
    AdaptiveLIF: _adaptive_leaky,
    AdaptiveLIFRate: _adaptive_rate,
    Izhikevich: _quadratic,
    RegularSpiking: _spiking,
    RunningMeanSpiking: _spiking,
    PoissonSpiking: _drawn(Cell.poisson),
    StochasticSpiking: _drawn(Cell.stochastic),
    IntegrateAndFire: _integrator,
    SignedIntegrateAndFire: _integrator,
    FixedPointIntegrateAndFire: _in_whole_numbers,
    BipolarIntegrateAndFire: lambda kind, dt: _cells(
        Cell.bipolar,
        cap=kind.max_spikes_per_step or 0,
        assumed=kind.assumed,
        heights=kind.spike_heights,
    ),
    SpikingRectifiedLinear: lambda kind, dt: _cells(Cell.integrate, Rate.rectified),
    SpikingLeakyReLU: lambda kind, dt: _cells(
        Cell.integrate, Rate.leaky, slope=kind.negative_slope, negative=True, truncate=True
    ),
    RectifiedLinear: lambda kind, dt: _cells(Cell.rate, Rate.rectified),
    LeakyReLU: lambda kind, dt: _cells(Cell.rate, Rate.leaky, slope=kind.negative_slope),
    ParametricReLU: lambda kind, dt: _cells(Cell.rate, Rate.parametric),
    ClippedReLU: lambda kind, dt: _cells(Cell.rate, Rate.clipped, most=kind.max_value),
    Sigmoid: lambda kind, dt: _cells(Cell.rate, Rate.sigmoid, tau_ref=kind.tau_ref),
    Tanh: lambda kind, dt: _cells(Cell.rate, Rate.tanh, tau_ref=kind.tau_ref),
    Softplus: lambda kind, dt: _cells(Cell.rate, Rate.softplus),
    LIFRate: lambda kind, dt: _cells(Cell.rate, Rate.lif, **_periods(kind)),
    SoftLIFRate: lambda kind, dt: _cells(
        Cell.rate, Rate.soft_lif, most=math.log(kind.sigma), sigma=kind.sigma, **_periods(kind)
    ),
}
