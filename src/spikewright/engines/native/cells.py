"""Neuron types as the kernels see them (`NeuronModel` of `cpp/population.hpp`).

A type with a kernel has one row in `_FORMS`. Its row says too whether it may run in blocks, in the
fastest kernels, where firing is a comparison and no division.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from spikewright.engines.native._kernels import Cell, FixedPoint, NeuronModel, Rate
from spikewright.engines.populations import Neurons
from spikewright.network.neurons import (
    LIF,
    NUMPY_NEURONS,
    ROUNDING,
    AdaptiveLIF,
    AdaptiveLIFRate,
    BipolarIntegrateAndFire,
    ClippedReLU,
    Elementwise,
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

Form = Callable[[Any, float], NeuronModel | None]


def described(kind: NeuronType, dt: float) -> NeuronModel | None:
    """A type's description, or None where it has no kernel (as a class of a user's own)."""
    form = (_DIFFERING if kind.arrays else _FORMS).get(type(kind))
    made = None if form is None else form(kind, dt)
    if made is not None:
        made.dt = dt
    return made


def in_blocks(op: Neurons, dt: float) -> bool:
    """Whether a population runs in blocks, which give no state and begin with a voltage alone."""
    model = described(op.neuron_type, dt)
    return model is not None and model.blocks and not (op.states or op.begins)


def parameters(op: Neurons, model: NeuronModel) -> tuple[Any, Any]:
    """Thresholds of a population, and other numbers of its neurons: `Population.own`, or None.

    They are one for all neurons, or broadcast to them; of leaky neurons that differ they are rows.
    """
    kind: Any = op.neuron_type
    if model.cell is Cell.fixed_point:
        return kind.threshold, kind.threshold / op.threshold
    if model.rate is Rate.parametric:
        return op.threshold, rate_of(kind).slope
    return op.threshold, _own_rows(kind, model.dt) if model.differ else None


def _own_rows(kind: Any, dt: float) -> list[Any]:
    """Parameters of leaky neurons that differ: `OwnRow` of `cpp/population.hpp`, one or each.

    The kernel itself makes the first row.
    """
    share = share_of(NUMPY_NEURONS, dt, kind.tau_rc)
    silence = kind.silent_steps(dt) if isinstance(kind, GridLIF) else kind.tau_ref
    tiring: tuple[Any, Any] = (0.0, 0.0)
    if isinstance(kind, AdaptiveLIF):
        tiring = (dt / kind.tau_n, kind.inc_n * (kind.amplitude / dt))
    return [0.0, -1.0 / kind.tau_rc, kind.tau_rc, silence, share, *tiring]


def rate_of(kind: NeuronType) -> Any:
    """The rate type that a type is made of, or the type itself."""
    return getattr(kind, "base_type", None) or getattr(kind, "response", None) or kind


def states(kind: NeuronType) -> tuple[str | None, str | None]:
    """Names of a type's state beside the voltage: the second and third that kernels keep."""
    second, third, *_ = (*kind.initial_values(), None, None)
    return second, third


def _model(cell: Cell, rate: Rate = Rate.identity, **numbers: Any) -> NeuronModel:
    made = NeuronModel()
    made.cell, made.rate = cell, rate
    for name, value in numbers.items():
        setattr(made, name, value)
    return made


def _leaky(kind: Any, dt: float) -> NeuronModel:
    share = -math.expm1(-dt / kind.tau_rc)
    return _model(Cell.leaky, min_voltage=kind.min_voltage, most_share=share, **_periods(kind))


def _differing(cell: Cell) -> Form:
    return lambda kind, dt: _model(cell, min_voltage=kind.min_voltage, differ=True)


def _on_grid(kind: GridLIF, dt: float) -> NeuronModel:
    return _model(
        Cell.grid_leaky,
        min_voltage=kind.min_voltage,
        most_share=share_of(NUMPY_NEURONS, dt, kind.tau_rc),
        tau_ref=kind.silent_steps(dt),
    )


def _periods(kind: Any) -> dict[str, Any]:
    return {"tau_ref": kind.tau_ref, "tau_rc": kind.tau_rc}


def _adaptive(model: NeuronModel, cell: Cell, kind: Any, dt: float, spike: float) -> NeuronModel:
    """Neurons that adapt; a spike adds `spike` times `inc_n`."""
    model.cell, model.amplitude = cell, kind.amplitude
    model.adapting, model.added = dt / kind.tau_n, kind.inc_n * spike
    return model


def _adaptive_leaky(kind: AdaptiveLIF, dt: float) -> NeuronModel:
    return _adaptive(_leaky(kind, dt), Cell.adaptive_leaky, kind, dt, kind.amplitude / dt)


def _adaptive_rate(kind: AdaptiveLIFRate, dt: float) -> NeuronModel:
    rate = _model(Cell.rate, Rate.lif, **_periods(kind))
    return _adaptive(rate, Cell.adaptive_rate, kind, dt, 1.0)


def _quadratic(kind: Izhikevich, dt: float) -> NeuronModel:
    pace = 1000.0 * dt  # its time is in milliseconds
    return _model(
        Cell.quadratic,
        pace=pace,
        follow=pace * kind.tau_recovery,
        coupling=kind.coupling,
        reset=kind.reset_voltage,
        jump=kind.reset_recovery,
    )


def _integrator(kind: Any, dt: float) -> NeuronModel:
    return _model(
        Cell.integrate,
        blocks=not kind.negative,
        negative=kind.negative,
        floor=_floor(kind),
        cap=kind.max_spikes_per_step or 0,
    )


def _floor(kind: Any) -> float:
    floor = getattr(kind, "voltage_floor", None)
    return math.nan if floor is None else float(floor)


def _in_whole_numbers(kind: FixedPointIntegrateAndFire, dt: float) -> NeuronModel:
    limit = math.inf if kind.state_bits is None else 2.0 ** (kind.state_bits - 1)
    bounds = FixedPoint(
        leak=0.0 if kind.decay is None else 2.0**-kind.decay,
        half=0.5 + ROUNDING,
        low=-limit,
        high=limit - 1.0,
        to_zero=kind.hard_reset,
    )
    return _model(
        Cell.fixed_point,
        blocks=True,
        floor=_floor(kind),
        cap=kind.max_spikes_per_step or 0,
        fixed=bounds,
    )


DIGITS_IN_BYTES = 7
"""Digits whose worth together fits a byte, as kernels in blocks count."""


def _digits(kind: BipolarIntegrateAndFire, dt: float) -> NeuronModel | None:
    """Digits of what arrives, or of a response; None where that has no kernel."""
    made = _model(Cell.digits) if kind.response is None else _responding(kind.response, dt)
    if made is None or (kind.response is not None and made.cell is not Cell.rate):
        return None
    made.cell, made.responds = Cell.digits, kind.response is not None
    made.start, made.heights, made.cap = float(kind.start or 0), kind.spike_heights, 1
    made.parts = kind.spike_thresholds or (0.5,) * len(kind.spike_heights)
    made.blocks = len(kind.spike_heights) <= DIGITS_IN_BYTES
    return made


_CURVES: dict[str, Callable[[dict[str, Any]], NeuronModel]] = {
    "linear": lambda line: _model(Cell.rate),
    "sigmoid": lambda line: _model(Cell.rate, Rate.sigmoid, tau_ref=1.0),
    "tanh": lambda line: _model(Cell.rate, Rate.tanh, tau_ref=1.0),
    "softplus": lambda line: _model(Cell.rate, Rate.softplus),
    "gelu": lambda line: _model(Cell.rate, Rate.gelu),
    "silu": lambda line: _model(Cell.rate, Rate.silu, slope=line["beta"]),
}
"""Elementwise functions by name that digits follow in kernels."""


def _responding(kind: NeuronType, dt: float) -> NeuronModel | None:
    """The rate type whose values digits say; None where it has no kernel."""
    if isinstance(kind, Elementwise) and kind.function in _CURVES:
        return _CURVES[kind.function]({**kind.curve.defaults, **dict(kind.parameters)})
    return described(kind, dt)


def _bipolar(kind: BipolarIntegrateAndFire, dt: float) -> NeuronModel | None:
    if kind.sends_digits:
        return _digits(kind, dt)
    return _model(
        Cell.bipolar,
        blocks=not kind.spike_heights,
        cap=kind.max_spikes_per_step or 0,
        assumed=(kind.assumed,),
        heights=kind.spike_heights,
    )


def _by_name(kind: Elementwise, dt: float) -> NeuronModel | None:
    """Functions of straight pieces; None of any other."""
    if kind.function == "hard_swish":
        return _model(Cell.rate, Rate.bent, slope=1.0 / 6.0, offset=0.5, most=1.0, gated=True)
    if kind.function != "hard_sigmoid":
        return None
    line: dict[str, Any] = {**kind.curve.defaults, **dict(kind.parameters)}
    return _model(Cell.rate, Rate.bent, slope=line["slope"], offset=line["offset"], most=1.0)


def _spiking(kind: RegularSpiking | RunningMeanSpiking, dt: float) -> NeuronModel | None:
    """A rate function that is integrated; None where the base type is no plain rate function."""
    made = described(kind.base_type, dt)
    if made is None or made.cell is not Cell.rate:
        return None
    mean = isinstance(kind, RunningMeanSpiking)
    made.cell = Cell.running_mean if mean else Cell.integrate
    made.amplitude, made.negative = kind.base_type.amplitude, kind.negative
    if isinstance(kind, RunningMeanSpiking):
        made.cap = kind.most_spikes or 0
        made.blocks = made.rate is Rate.bent and made.amplitude == 1.0
    return made


def _drawn(cell: Cell) -> Form:
    """A rate function with random spikes; None where the base type is no plain rate function."""

    def form(kind: PoissonSpiking | StochasticSpiking, dt: float) -> NeuronModel | None:
        made = described(kind.base_type, dt)
        if made is None or made.cell is not Cell.rate:
            return None
        made.cell, made.amplitude = cell, kind.base_type.amplitude
        return made

    return form


_DIFFERING: dict[type[NeuronType], Form] = {
    LIF: _differing(Cell.leaky),
    GridLIF: _differing(Cell.grid_leaky),
    AdaptiveLIF: _differing(Cell.adaptive_leaky),
}
"""Types with parameters for each neuron."""

_FORMS: dict[type[NeuronType], Form] = {
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
    BipolarIntegrateAndFire: _bipolar,
    SpikingRectifiedLinear: lambda kind, dt: _model(
        Cell.integrate, Rate.bent, most=math.inf, blocks=True
    ),
    SpikingLeakyReLU: lambda kind, dt: _model(
        Cell.integrate, Rate.leaky, slope=kind.negative_slope, negative=True, truncate=True
    ),
    RectifiedLinear: lambda kind, dt: _model(Cell.rate, Rate.bent, most=math.inf),
    LeakyReLU: lambda kind, dt: _model(Cell.rate, Rate.leaky, slope=kind.negative_slope),
    ParametricReLU: lambda kind, dt: _model(Cell.rate, Rate.parametric),
    ClippedReLU: lambda kind, dt: _model(Cell.rate, Rate.bent, most=kind.max_value),
    Sigmoid: lambda kind, dt: _model(Cell.rate, Rate.sigmoid, tau_ref=kind.tau_ref),
    Elementwise: _by_name,
    Tanh: lambda kind, dt: _model(Cell.rate, Rate.tanh, tau_ref=kind.tau_ref),
    Softplus: lambda kind, dt: _model(Cell.rate, Rate.softplus),
    LIFRate: lambda kind, dt: _model(Cell.rate, Rate.lif, **_periods(kind)),
    SoftLIFRate: lambda kind, dt: _model(
        Cell.rate, Rate.soft_lif, most=math.log(kind.sigma), sigma=kind.sigma, **_periods(kind)
    ),
}
