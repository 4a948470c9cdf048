"""Equations of neurons and filters over steps with gradients: a surrogate's slope for a spike's.

Values are those of the torch engine, whose integrator it is. The number of spikes `n` that the
integrator takes from a voltage `v` has the surrogate's slope `K` at the distance of `u = v / theta`
from a jump, `dn/du = K`, and follows its lower bound where that holds it. What is left, `v - n
theta`, goes back through `n` as well, unless the reset is detached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import nn

from spikewright.engines.populations import Neurons
from spikewright.engines.torch.device import Tensor, Tensors
from spikewright.engines.torch.functions import TorchFunctions
from spikewright.engines.torch.neurons import Namespace
from spikewright.errors import TrainingError
from spikewright.network.neurons import TOLERANCE, Clock, NeuronType, no_draws
from spikewright.network.synapses import DiscreteFilter, Synapse, WindowMean
from spikewright.training.gradients.stepping import FilterOverSteps, Passed, State, stepwise
from spikewright.training.surrogates import Surrogate


class IntegratorBounds(NamedTuple):
    """The arguments of the integrator that are no arrays."""

    rounding: Literal["down", "truncate"]
    floor: float | None
    cap: float | None


class Differentiable(TorchFunctions):
    """The array functions of neuron equations, with a surrogate's gradients."""

    def __init__(self, tensors: Tensors, surrogate: Surrogate, detached: bool) -> None:
        super().__init__(tensors)
        self.surrogate, self.detached = surrogate, detached
        self.engine, self.wide = Namespace(tensors), tensors.float64

    def integrate(
        self,
        voltage: Tensor,
        charge: Tensor,
        threshold: Tensor,
        *,
        least: Any = 0.0,
        rounding: Literal["down", "truncate"] = "down",
        floor: float | None = None,
        cap: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The soft-reset integrator (see `spikewright.network.neurons.namespace.Integrate`)."""
        bounds = IntegratorBounds(rounding, floor, cap)
        counts, left = _Integrated.apply(voltage + charge, threshold, least, bounds, self)
        return counts, left

    def greater(self, x: Tensor, threshold: float) -> Tensor:
        """Where a neuron fires: above its threshold."""
        return _deciding(torch.greater(x, threshold), x, threshold)

    def greater_equal(self, x: Tensor, threshold: float) -> Tensor:
        """Where a neuron fires: at or above its threshold."""
        return _deciding(torch.greater_equal(x, threshold), x, threshold)

    def where(self, condition: Tensor, first: Any, second: Any) -> Tensor:
        """Elementwise choice; one between constants by whether a neuron fires is its spike.

        Other choices by that are its reset.
        """
        chosen = super().where(condition, first, second)
        distance = getattr(condition, "surrogate_distance", None)
        if distance is None or (self.detached and chosen.requires_grad):
            return chosen
        jump = torch.as_tensor(first - second).detach()
        return chosen + jump * _Slope.apply(distance, self)


def _deciding(mask: Tensor, x: Tensor, threshold: float) -> Tensor:
    """A mask with `surrogate_distance`, the distance from the threshold in units of it."""
    mask.surrogate_distance = (x - threshold) / abs(threshold)
    return mask


class _Slope(torch.autograd.Function):
    """Zero, with the slope of a jump from 0 to 1 at `distance = 0`."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, xp: Differentiable) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.xp = xp
        return torch.zeros_like(distance)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return gradient * ctx.xp.surrogate.slope(ctx.xp, distance), None


class _Integrated(torch.autograd.Function):
    """Counts and the voltage that is left, of a voltage with the step's charge."""

    @staticmethod
    def forward(
        ctx: Any,
        v: Tensor,
        threshold: Any,
        least: Any,
        bounds: IntegratorBounds,
        xp: Differentiable,
    ) -> tuple[Tensor, Tensor]:
        counts, left = torch.empty_like(v), torch.empty_like(v)
        xp.engine.count(v, threshold, least, bounds.rounding, bounds.cap, counts)
        xp.engine.take(v, counts, threshold, bounds.floor, left)
        ctx.set_materialize_grads(False)
        ctx.bounds, ctx.xp = bounds, xp
        again = bounds.floor is not None or ctx.needs_input_grad[1]  # whether counts are needed
        kept = [v, threshold, least, counts if again else None]
        ctx.others = [None if isinstance(x, torch.Tensor) else x for x in kept]
        ctx.save_for_backward(*(x if isinstance(x, torch.Tensor) else None for x in kept))
        return counts, left

    @staticmethod
    def backward(ctx: Any, of_counts: Any, of_left: Any) -> tuple[Any, ...]:
        saved = zip(ctx.saved_tensors, ctx.others, strict=True)
        v, threshold, least, counts = (x if other is None else other for x, other in saved)
        xp, bounds, of_floor = ctx.xp, ctx.bounds, None
        if bounds.floor is not None and of_left is not None:
            held = v - counts * threshold < -bounds.floor * threshold
            of_floor, of_left = of_left * held, of_left * ~held
        of_n = of_counts
        if of_left is not None and not xp.detached:
            of_n = -of_left * threshold if of_n is None else of_n - of_left * threshold
        if of_n is None:
            return of_left, None, None, None, None
        u, inverse = v / threshold, 1.0 / threshold
        slope = xp.surrogate.slope(xp, u - nearest_jump(u, least, bounds, xp.surrogate.every))
        of_u = of_n * slope
        of_v = of_u.mul(inverse) if of_left is None else _added(of_left, of_u, inverse)
        of_threshold = of_least = None
        if ctx.needs_input_grad[1]:
            each = -of_u * u / threshold
            each = each if of_left is None else each - of_left * counts
            each = each if of_floor is None else each - bounds.floor * of_floor
            of_threshold = each.sum_to_size(threshold.shape)
        if ctx.needs_input_grad[2]:
            of_least = (of_n * (torch.floor(u + TOLERANCE) < least)).sum_to_size(least.shape)
        return of_v, of_threshold, of_least, None, None


def _added(first: Tensor, second: Tensor, factor: Any) -> Tensor:
    """`first + factor second`, in one pass where that can be."""
    if isinstance(factor, torch.Tensor):
        return torch.addcmul(first, second, factor)
    return torch.add(first, second, alpha=factor)


def nearest_jump(u: Tensor, least: Any, bounds: IntegratorBounds, every: bool) -> Any:
    """The jump that voltages of `u` thresholds are nearest to, in thresholds.

    Numbers of spikes jump at whole numbers: `every` of those that the bounds allow, or those next
    to silence alone. Counted towards zero they jump at the same ones below zero.
    """
    if bounds.rounding == "truncate":
        size = u.abs().round() if every else torch.ones_like(u)
        return size.clamp(1.0, bounds.cap).copysign(u)
    if isinstance(least, float) and least >= 0.0 and not every:
        return 1.0
    lowest = None if least is None else least + 1.0
    nearest = u.round() if every else (u >= 0.5).to(u.dtype)
    if isinstance(lowest, torch.Tensor):
        nearest = torch.maximum(nearest, lowest if every else lowest.clamp(max=1.0))
    elif lowest is not None:
        nearest = nearest.clamp(min=lowest if every else min(lowest, 1.0))
    return nearest if bounds.cap is None else nearest.clamp(max=float(bounds.cap))


class ModuleNeurons(nn.Module):
    """Neurons by their type's own equation, from what a program says of them.

    `forward` takes currents `(steps, batch, *shape)`, the state and the number of steps before. It
    returns the values that counts (or rates) stand for, the state, and the counts.
    """

    factor: Tensor | None
    offset: Tensor | None

    def __init__(self, op: Neurons, offset: Any, dt: float, dtype: torch.dtype) -> None:
        """`offset` is added to the current; None adds nothing."""
        super().__init__()
        self.kind, self._dt = op.neuron_type, dt
        starts = op.initial_state
        if self.kind.has_voltage:
            starts["voltage"] = op.initial_voltage
        self._names = tuple(starts)
        skewed = self.kind.scaling == "skewed"
        height = self.kind.amplitude * (op.threshold if self.kind.spiking else 1.0)
        self._numbers = {}
        kept = {
            "threshold": op.threshold,
            "height": height,
            "factor": op.ensemble.rate_scale if skewed else None,
            "offset": offset,
            **{f"start_{name}": start for name, start in starts.items()},
        }
        for name in ("threshold", "height"):  # numbers are faster than arrays of one
            if np.ndim(kept[name]) == 0:
                self._numbers[name] = float(kept.pop(name))
        for name, value in kept.items():
            tensor = None if value is None else torch.tensor(np.array(value), dtype=dtype)
            self.register_buffer(name, tensor, persistent=False)

    def begin(self, like: Tensor) -> State:
        """The state before the first step."""
        return {name: self.get_buffer(f"start_{name}").expand_as(like) for name in self._names}

    def forward(self, xp: Any, currents: Tensor, state: State, first: int) -> Passed:
        if self.offset is not None:
            currents = currents + self.offset
        if self.factor is not None:
            currents = currents * self.factor

        def step(current: Tensor, state: State, number: int) -> tuple[Tensor, State]:
            state = dict(state) if state else self.begin(current)
            sent = self.kind.step(xp, current, state, self._clock(number))
            return sent, {name: state[name] for name in self._names}

        counts, state = stepwise(step, currents, state, first)
        height = self._each("height")
        values = counts if isinstance(height, float) and height == 1.0 else counts * height
        return Passed(values, state, counts)

    def _clock(self, step: int) -> Clock:
        return Clock(step, self._dt, self._each("threshold"), no_draws)

    def _each(self, name: str) -> Any:
        """A number, or an array with a value a neuron or channel."""
        return self._numbers[name] if name in self._numbers else self.get_buffer(name)


def stepwise_filter(synapse: Synapse, dt: float) -> FilterOverSteps:
    """A synapse in steps of `dt` seconds."""
    if isinstance(synapse, WindowMean):
        return partial(stepwise, partial(_averaged, synapse))
    return partial(stepwise, partial(_filtered, synapse.discretise(dt)))


def _filtered(f: DiscreteFilter, u: Tensor, state: State, step: int) -> tuple[Tensor, State]:
    """A filter's output in the step in which `u` arrives: that of the step before."""
    zero = torch.zeros_like(u)
    before = [state.get(str(i), zero) for i in range(f.order)]
    after = [_combined(row, before, float(f.B[i]) * u) for i, row in enumerate(f.A)]
    if f.feedthrough is None:
        output = _combined(f.C, after, zero)
    else:
        output = _combined(f.C, before, f.feedthrough * u)
    made = {"output": output, **{str(i): x for i, x in enumerate(after)}}
    return state.get("output", zero), made


def _averaged(synapse: WindowMean, u: Tensor, state: State, step: int) -> tuple[Tensor, State]:
    """The mean of the window before that of a step in which `u` arrives."""
    total = state["total"] + u if "total" in state else u
    mean = state["mean"] if state else _before_the_first(synapse, u)
    if step % synapse.steps:
        return mean, {"mean": mean, "total": total}
    return mean, {"mean": total / synapse.steps}


def _before_the_first(synapse: WindowMean, u: Tensor) -> Tensor:
    if not synapse.initial:
        return torch.zeros_like(u)
    first = torch.tensor(synapse.initial, dtype=u.dtype, device=u.device)
    return first.reshape(u.shape[1:] if first.numel() > 1 else ()).expand_as(u)


def _combined(row: Any, values: Sequence[Tensor], total: Tensor) -> Tensor:
    for weight, value in zip(row, values, strict=True):
        if weight:
            total = total + float(weight) * value
    return total


def check_surrogates(kinds: Mapping[str, NeuronType], xp: Differentiable, dt: float) -> None:
    """Raise `TrainingError` naming every layer whose neurons have no gradient through a surrogate.

    These are types that draw random numbers, and those whose equation decides on its spikes by
    anything but the integrator, `xp.greater` and `xp.greater_equal`.
    """
    without = {n: k for n, k in kinds.items() if k.stochastic or not _has_gradient(k, xp, dt)}
    if without:
        listed = ", ".join(f"{name!r} ({kind})" for name, kind in without.items())
        raise TrainingError(
            f"neurons without a surrogate gradient: layers {listed}. Choose others with spiking=, "
            "such as sw.IntegrateAndFire(); an equation of your own decides on spikes by "
            "xp.integrate or xp.greater"
        )


def _has_gradient(kind: NeuronType, xp: Differentiable, dt: float) -> bool:
    """True where some current of a wide range moves what a neuron sends."""
    current = torch.linspace(-100.0, 100.0, 401, dtype=torch.float64, requires_grad=True)
    starts = (
        {"voltage": 0.0, **kind.initial_values()} if kind.has_voltage else kind.initial_values()
    )
    state = {name: torch.full_like(current.detach(), value) for name, value in starts.items()}
    wide: Any = Differentiable(xp.wide, xp.surrogate, xp.detached)
    threshold = torch.tensor(1.0 / dt, dtype=torch.float64)
    made = kind.step(wide, current, state, Clock(1, dt, threshold, no_draws))
    if not made.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(made.sum(), current)
    return bool(gradient.nan_to_num().any())
