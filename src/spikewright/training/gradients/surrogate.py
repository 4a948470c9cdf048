"""The array functions of neuron equations with gradients: those of spikes are a surrogate's.

Values are those of the torch engine, whose integrator it is. The number of spikes `n` that the
integrator takes from a voltage `v` has the surrogate's slope `K` at the distance of `u = v / theta`
from a jump, `dn/du = K`, and follows its lower bound where that holds it. What is left, `v - n
theta`, goes back through `n` as well, unless the reset is detached.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch

from spikewright.engines.torch.device import Tensor, Tensors
from spikewright.engines.torch.functions import TorchFunctions
from spikewright.engines.torch.neurons import Namespace
from spikewright.network.neurons import TOLERANCE
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
        self.engine, self.wide = Namespace(tensors), tensors.wide

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
        over = getattr(condition, "over", None)
        if over is None or (self.detached and chosen.requires_grad):
            return chosen
        jump = torch.as_tensor(first - second).detach()
        return chosen + jump * _Slope.apply(over, self)


def _deciding(mask: Tensor, x: Tensor, threshold: float) -> Tensor:
    """A mask that knows by how much: `over` is the distance from the threshold, in units of it."""
    mask.over = (x - threshold) / abs(threshold)
    return mask


class _Slope(torch.autograd.Function):
    """Zero, with the slope of a jump from 0 to 1 at `over = 0`."""

    @staticmethod
    def forward(ctx: Any, over: Tensor, xp: Differentiable) -> Tensor:
        ctx.save_for_backward(over)
        ctx.xp = xp
        return torch.zeros_like(over)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (over,) = ctx.saved_tensors
        return gradient * ctx.xp.surrogate.slope(ctx.xp, over), None


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
        slope = xp.surrogate.slope(xp, u - jump_at(u, least, bounds, xp.surrogate.every))
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


def jump_at(u: Tensor, least: Any, bounds: IntegratorBounds, every: bool) -> Any:
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
