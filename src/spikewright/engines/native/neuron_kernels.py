"""Neuron types described to the kernels, as a `NeuronModel` of `cpp/population.hpp`.

A type with a kernel has one row in `_FORMS`. The row also says whether the type may run in blocks,
which are the fastest kernels: there firing is a comparison without a division.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from spikewright.engines.native._kernels import FixedPoint, NeuronKind, NeuronModel, Rate
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


def kernel_model(kind: NeuronType, dt: float) -> NeuronModel | None:
    """A type's description for the kernels; None if it has none (such as a user's own class)."""
    form = (_DIFFERING if kind.arrays else _FORMS).get(type(kind))
    made = None if form is None else form(kind, dt)
    if made is not None:
        made.dt = dt
    return made


def in_blocks(op: Neurons, dt: float) -> bool:
    """Whether a population runs in blocks, which record no state and set none but the voltage."""
    model = kernel_model(op.neuron_type, dt)
    return model is not None and model.blocks and not (op.states or op.begins)


def parameters(op: Neurons, model: NeuronModel) -> tuple[Any, Any]:
    """A population's thresholds, and further parameters by neuron (`Population.own`), or None.

    They broadcast to the neurons; for leaky neurons with different parameters they are rows.
    """
    kind: Any = op.neuron_type
    if model.neuron_kind is NeuronKind.fixed_point:
        return kind.threshold, kind.threshold / op.threshold
    if model.rate is Rate.parametric:
        return op.threshold, rate_of(kind).slope
    return op.threshold, _own_rows(kind, model.dt) if model.differ else None


def _own_rows(kind: Any, dt: float) -> list[Any]:
    """The parameters of leaky neurons that differ, one for all or one each (`OwnRow` in C++).

    The kernel itself makes the first row.
    """
    share = share_of(NUMPY_NEURONS, dt, kind.tau_rc)
    silence = kind.silent_steps(dt) if isinstance(kind, GridLIF) else kind.tau_ref
    tiring: tuple[Any, Any] = (0.0, 0.0)
    if isinstance(kind, AdaptiveLIF):
        tiring = (dt / kind.tau_n, kind.inc_n * (kind.amplitude / dt))
    return [0.0, -1.0 / kind.tau_rc, kind.tau_rc, silence, share, *tiring]


def rate_of(kind: NeuronType) -> Any:
    """The rate type that a neuron type wraps, or the type itself."""
    return getattr(kind, "base_type", None) or getattr(kind, "response", None) or kind


def states(kind: NeuronType) -> tuple[str | None, str | None]:
    """The names of up to two state variables beside the voltage, as kernels store them."""
    second, third, *_ = (*kind.initial_values(), None, None)
    return second, third


def _model(neuron_kind: NeuronKind, rate: Rate = Rate.identity, **numbers: Any) -> NeuronModel:
    made = NeuronModel()
    made.neuron_kind, made.rate = neuron_kind, rate
    for name, value in numbers.items():
        setattr(made, name, value)
    return made


def _leaky(kind: Any, dt: float) -> NeuronModel:
    share = -math.expm1(-dt / kind.tau_rc)
    return _model(
        NeuronKind.leaky, min_voltage=kind.min_voltage, most_share=share, **_periods(kind)
    )


def _differing(neuron_kind: NeuronKind) -> Form:
    return lambda kind, dt: _model(neuron_kind, min_voltage=kind.min_voltage, differ=True)


def _on_grid(kind: GridLIF, dt: float) -> NeuronModel:
    return _model(
        NeuronKind.grid_leaky,
        min_voltage=kind.min_voltage,
        most_share=share_of(NUMPY_NEURONS, dt, kind.tau_rc),
        tau_ref=kind.silent_steps(dt),
    )


def _periods(kind: Any) -> dict[str, Any]:
    return {"tau_ref": kind.tau_ref, "tau_rc": kind.tau_rc}


def _adaptive(
    model: NeuronModel, neuron_kind: NeuronKind, kind: Any, dt: float, spike: float
) -> NeuronModel:
    """Adaptive neurons; a spike adds `inc_n` times `spike` to the adaptation state."""
    model.neuron_kind, model.amplitude = neuron_kind, kind.amplitude
    model.adapting, model.added = dt / kind.tau_n, kind.inc_n * spike
    return model


def _adaptive_leaky(kind: AdaptiveLIF, dt: float) -> NeuronModel:
    return _adaptive(_leaky(kind, dt), NeuronKind.adaptive_leaky, kind, dt, kind.amplitude / dt)


def _adaptive_rate(kind: AdaptiveLIFRate, dt: float) -> NeuronModel:
    rate = _model(NeuronKind.rate, Rate.lif, **_periods(kind))
    return _adaptive(rate, NeuronKind.adaptive_rate, kind, dt, 1.0)


def _quadratic(kind: Izhikevich, dt: float) -> NeuronModel:
    pace = 1000.0 * dt  # its time is in milliseconds
    return _model(
        NeuronKind.quadratic,
        pace=pace,
        follow=pace * kind.tau_recovery,
        coupling=kind.coupling,
        reset=kind.reset_voltage,
        jump=kind.reset_recovery,
    )


def _integrator(kind: Any, dt: float) -> NeuronModel:
    return _model(
        NeuronKind.integrate,
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
        NeuronKind.fixed_point,
        blocks=True,
        floor=_floor(kind),
        cap=kind.max_spikes_per_step or 0,
        fixed=bounds,
    )


DIGITS_IN_BYTES = 7
"""The number of digits whose heights add up to no more than a byte, for kernels in blocks."""


def _digits(kind: BipolarIntegrateAndFire, dt: float) -> NeuronModel | None:
    """Signed digits of the current, or of a response to it; None if that has no kernel."""
    made = _model(NeuronKind.digits) if kind.response is None else _responding(kind.response, dt)
    if made is None or (kind.response is not None and made.neuron_kind is not NeuronKind.rate):
        return None
    made.neuron_kind, made.responds = NeuronKind.digits, kind.response is not None
    made.start, made.heights, made.cap = float(kind.start or 0), kind.spike_heights, 1
    made.parts = kind.spike_thresholds or (0.5,) * len(kind.spike_heights)
    made.blocks = len(kind.spike_heights) <= DIGITS_IN_BYTES
    return made


_CURVES: dict[str, Callable[[dict[str, Any]], NeuronModel]] = {
    "linear": lambda line: _model(NeuronKind.rate),
    "sigmoid": lambda line: _model(NeuronKind.rate, Rate.sigmoid, tau_ref=1.0),
    "tanh": lambda line: _model(NeuronKind.rate, Rate.tanh, tau_ref=1.0),
    "softplus": lambda line: _model(NeuronKind.rate, Rate.softplus),
    "gelu": lambda line: _model(NeuronKind.rate, Rate.gelu),
    "silu": lambda line: _model(NeuronKind.rate, Rate.silu, slope=line["beta"]),
}
"""The elementwise functions whose digits kernels compute, by name."""


def _responding(kind: NeuronType, dt: float) -> NeuronModel | None:
    """The rate type whose values the digits encode; None if it has no kernel."""
    if isinstance(kind, Elementwise) and kind.function in _CURVES:
        return _CURVES[kind.function]({**kind.curve.defaults, **dict(kind.parameters)})
    return kernel_model(kind, dt)


def _bipolar(kind: BipolarIntegrateAndFire, dt: float) -> NeuronModel | None:
    if kind.sends_digits:
        return _digits(kind, dt)
    return _model(
        NeuronKind.bipolar,
        blocks=not kind.spike_heights,
        cap=kind.max_spikes_per_step or 0,
        assumed=(kind.assumed,),
        heights=kind.spike_heights,
    )


def _by_name(kind: Elementwise, dt: float) -> NeuronModel | None:
    """A piecewise linear function; None for other functions."""
    if kind.function == "hard_swish":
        return _model(NeuronKind.rate, Rate.bent, slope=1.0 / 6.0, offset=0.5, most=1.0, gated=True)
    if kind.function != "hard_sigmoid":
        return None
    line: dict[str, Any] = {**kind.curve.defaults, **dict(kind.parameters)}
    return _model(NeuronKind.rate, Rate.bent, slope=line["slope"], offset=line["offset"], most=1.0)


def _spiking(kind: RegularSpiking | RunningMeanSpiking, dt: float) -> NeuronModel | None:
    """An integrated rate function; None if the base type is not a plain rate function."""
    made = kernel_model(kind.base_type, dt)
    if made is None or made.neuron_kind is not NeuronKind.rate:
        return None
    mean = isinstance(kind, RunningMeanSpiking)
    made.neuron_kind = NeuronKind.running_mean if mean else NeuronKind.integrate
    made.amplitude, made.negative = kind.base_type.amplitude, kind.negative
    if isinstance(kind, RunningMeanSpiking):
        made.cap = kind.most_spikes or 0
        made.blocks = made.rate is Rate.bent and made.amplitude == 1.0
    return made


def _drawn(neuron_kind: NeuronKind) -> Form:
    """A rate function with random spikes; None if the base type is not a plain rate function."""

    def form(kind: PoissonSpiking | StochasticSpiking, dt: float) -> NeuronModel | None:
        made = kernel_model(kind.base_type, dt)
        if made is None or made.neuron_kind is not NeuronKind.rate:
            return None
        made.neuron_kind, made.amplitude = neuron_kind, kind.base_type.amplitude
        return made

    return form


_DIFFERING: dict[type[NeuronType], Form] = {
    LIF: _differing(NeuronKind.leaky),
    GridLIF: _differing(NeuronKind.grid_leaky),
    AdaptiveLIF: _differing(NeuronKind.adaptive_leaky),
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
    PoissonSpiking: _drawn(NeuronKind.poisson),
    StochasticSpiking: _drawn(NeuronKind.stochastic),
    IntegrateAndFire: _integrator,
    SignedIntegrateAndFire: _integrator,
    FixedPointIntegrateAndFire: _in_whole_numbers,
    BipolarIntegrateAndFire: _bipolar,
    SpikingRectifiedLinear: lambda kind, dt: _model(
        NeuronKind.integrate, Rate.bent, most=math.inf, blocks=True
    ),
    SpikingLeakyReLU: lambda kind, dt: _model(
        NeuronKind.integrate, Rate.leaky, slope=kind.negative_slope, negative=True, truncate=True
    ),
    RectifiedLinear: lambda kind, dt: _model(NeuronKind.rate, Rate.bent, most=math.inf),
    LeakyReLU: lambda kind, dt: _model(NeuronKind.rate, Rate.leaky, slope=kind.negative_slope),
    ParametricReLU: lambda kind, dt: _model(NeuronKind.rate, Rate.parametric),
    ClippedReLU: lambda kind, dt: _model(NeuronKind.rate, Rate.bent, most=kind.max_value),
    Sigmoid: lambda kind, dt: _model(NeuronKind.rate, Rate.sigmoid, tau_ref=kind.tau_ref),
    Elementwise: _by_name,
    Tanh: lambda kind, dt: _model(NeuronKind.rate, Rate.tanh, tau_ref=kind.tau_ref),
    Softplus: lambda kind, dt: _model(NeuronKind.rate, Rate.softplus),
    LIFRate: lambda kind, dt: _model(NeuronKind.rate, Rate.lif, **_periods(kind)),
    SoftLIFRate: lambda kind, dt: _model(
        NeuronKind.rate,
        Rate.soft_lif,
        most=math.log(kind.sigma),
        sigma=kind.sigma,
        **_periods(kind),
    ),
}
