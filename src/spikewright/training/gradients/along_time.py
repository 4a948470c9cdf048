"""Neurons and filters of a module over steps, with gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from spikewright.engines.populations import Neurons
from spikewright.engines.torch.device import Tensor
from spikewright.errors import TrainingError
from spikewright.network.neurons import Clock, NeuronType, no_draws
from spikewright.network.synapses import DiscreteFilter, Synapse, WindowMean
from spikewright.training.gradients.stepping import FilterOverSteps, Passed, State, stepwise
from spikewright.training.gradients.surrogate import Differentiable


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


def along_time(synapse: Synapse, dt: float) -> FilterOverSteps:
    """A synapse in steps of `dt` seconds."""
    if isinstance(synapse, WindowMean):
        return partial(stepwise, partial(_averaged, synapse))
    return partial(stepwise, partial(_filtered, synapse.discretise(dt)))


def _filtered(f: DiscreteFilter, u: Tensor, state: State, step: int) -> tuple[Tensor, State]:
    """What a filter sends in a step in which `u` arrives: its output of the step before."""
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
