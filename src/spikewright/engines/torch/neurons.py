"""Kernels of populations: the neuron types' own equations over torch, with a fast integrator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch

from spikewright.engines.kernel import NeuronKernel, Setup
from spikewright.engines.populations import Neurons
from spikewright.engines.torch.device import Tensor, Tensors, tensors_of
from spikewright.engines.torch.functions import TorchFunctions
from spikewright.network.neurons import TOLERANCE, NeuronType
from spikewright.network.transforms import Shape


class Namespace(TorchFunctions):
    """The array functions of neuron equations, over torch, with the integrator.

    `integrate` changes the array in `voltage` in place and writes counts into `counts`, where an
    equation passes the voltage on unchanged; both belong to the population.
    """

    def __init__(self, tensors: Tensors) -> None:
        super().__init__(tensors)
        self._tolerance = tensors.copy_of(TOLERANCE)
        self.voltage: Tensor | None = None
        self.counts: Tensor | None = None

    def integrate(
        self,
        voltage: Tensor,
        charge: Tensor,
        threshold: Any,
        *,
        least: Any = 0.0,
        rounding: Literal["down", "truncate"] = "down",
        floor: float | None = None,
        cap: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The soft-reset integrator (see `spikewright.network.neurons.namespace.Integrate`)."""
        if voltage is self.voltage:
            torch.add(voltage, charge, out=voltage)
        else:
            voltage = voltage + charge
        counts = torch.empty_like(voltage) if self.counts is None else self.counts
        self.counts = None  # a second call in the same step makes its own
        self.count(voltage, threshold, least, rounding, cap, counts)
        self.take(voltage, counts, threshold, floor, voltage)
        return counts, voltage

    def count(
        self, voltage: Tensor, threshold: Any, least: Any, rounding: str, cap: float | None,
        counts: Tensor,
    ) -> None:  # fmt: skip
        """Write the counts of spikes within their bounds."""
        self._divide(voltage, threshold, rounding, counts)
        if isinstance(least, torch.Tensor):
            torch.maximum(counts, least, out=counts)
            least = None
        if least is not None or cap is not None:
            counts.clamp_(least, None if cap is None else float(cap))

    @staticmethod
    def take(
        voltage: Tensor, counts: Tensor, threshold: Any, floor: float | None, left: Tensor
    ) -> None:
        """Write the voltage that is left after the spikes."""
        if isinstance(threshold, torch.Tensor):
            torch.addcmul(voltage, counts, threshold, value=-1.0, out=left)
        else:
            torch.add(voltage, counts, alpha=-threshold, out=left)
        if floor is not None:
            lowest = -floor * threshold
            if isinstance(lowest, torch.Tensor):
                torch.maximum(left, lowest, out=left)
            else:
                left.clamp_(min=lowest)

    def _divide(self, voltage: Tensor, threshold: Any, rounding: str, counts: Tensor) -> None:
        """Write the whole spikes in the voltage; `TOLERANCE` and the division are one pass."""
        if rounding == "down":
            share, sign = voltage, None
        else:
            share, sign = voltage.abs(), voltage
        if isinstance(threshold, torch.Tensor):
            torch.addcdiv(self._tolerance, share, threshold, out=counts)
        else:
            torch.add(self._tolerance, share, alpha=1.0 / threshold, out=counts)
        counts.floor_()
        if sign is not None:
            counts.copysign_(sign)


class NeuronsKernel(NeuronKernel):
    """Runs a population over blocks of time, step by step, with its type's equation.

    Stochastic types compute in float64 in every precision: their draws have that many bits, and
    a float32 sum of probabilities ends before 1.
    """

    changing = ("_state", "_tally", "_net_tally")

    def __init__(self, op: Neurons, setup: Setup) -> None:
        kind, self._out = op.neuron_type, tensors_of(setup)
        self._tensors = self._out.float64 if kind.stochastic else self._out
        self._xp: Any = Namespace(self._tensors)
        super().__init__(op, setup, self._tensors)
        spikes, signed = kind.spiking, setup.tally and kind.negative
        self._tally = _Tally(spikes, self._shape, self._out) if setup.tally else None
        self._net_tally = _Tally(spikes, self._shape, self._out) if signed else None

    def restart(self) -> None:
        super().restart()
        self._xp.voltage = self._state.get("voltage")

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._xp.voltage = self._state.get("voltage")

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        (current,) = inputs
        if self.stateless:
            return [self._op.neuron_type.step(self._xp, current, {}, self._clock(0))]
        outputs = [self._setup.empty(self._op, steps) for _ in self._op.outputs]
        if self._tensors is not self._out:
            current = current.to(self._tensors.dtype)
        currents = current.unbind(1) * (steps if current.shape[1] == 1 else 1)
        in_place = self._tensors is self._out
        for t, (now, output) in enumerate(zip(currents, outputs[0].unbind(1), strict=True)):
            self._xp.counts = output if in_place else None
            made = self._op.neuron_type.step(self._xp, now, self._state, self._clock(step + t + 1))
            if made is not output:
                output.copy_(made)
            for name, kept in zip(self._op.states, outputs[1:], strict=True):
                kept[:, t] = self._state[name]
        if self._tally is not None:
            kind, signed = self._op.neuron_type, self._net_tally is not None
            self._tally.add(sent_spikes(kind, outputs[0], step, 1) if signed else outputs[0])
        if self._net_tally is not None:
            self._net_tally.add(outputs[0])
        return outputs

    @property
    def total(self) -> Tensor | None:  # type: ignore[override]
        """The magnitudes of outputs, summed per neuron since the start, in float64."""
        return None if self._tally is None else self._tally.total()

    @property
    def net(self) -> Tensor | None:  # type: ignore[override]
        """The outputs, summed per neuron since the start; None if none is negative."""
        return None if self._net_tally is None else self._net_tally.total()


def sent_spikes(kind: NeuronType, counts: Tensor, step: int, axis: int) -> Tensor:
    """The number of spikes that were sent, of either sign, from counts in the steps after `step`.

    Steps lie along `axis`. Spikes that receivers assume are not sent.
    """
    if step >= kind.special_steps:
        return counts.abs()
    steps = range(step + 1, step + 1 + counts.shape[axis])
    assumed, heights = (
        torch.tensor([float(at(t)) for t in steps])
        .to(counts)
        .reshape(-1, *(1,) * (counts.ndim - axis - 1))
        for at in (kind.assumed_at, kind.height_at)
    )
    return (counts - assumed).abs() / heights


class _Tally:
    """Sums outputs: counts of recent blocks in the run's own type, all others in float64.

    Sums of whole numbers are exact up to 2^24 in float32, which so many steps do not reach
    below a mean of 4096 spikes a step.
    """

    _MOST_STEPS = 4096  # steps

    def __init__(self, spiking: bool, shape: Shape, tensors: Tensors) -> None:
        self._total = tensors.float64.zeros(shape)
        self._recent = tensors.zeros(shape) if spiking else self._total
        self._steps = 0

    def state(self) -> tuple[Tensor, Tensor, int]:
        """The sums, those of the last blocks, and their steps."""
        return self._total.clone(), self._recent.clone(), self._steps

    def restore(self, state: tuple[Tensor, Tensor, int]) -> None:
        """Return to a state."""
        total, recent, self._steps = state
        self._total.copy_(total)
        self._recent.copy_(recent)

    def add(self, outputs: Tensor) -> None:
        """Add a block `(batch, steps, *shape)`."""
        self._recent.add_(outputs.sum(1, dtype=self._recent.dtype))
        self._steps += outputs.shape[1]
        if self._steps >= self._MOST_STEPS:
            self.total()

    def total(self) -> Tensor:
        """The sums so far, in float64."""
        if self._recent is not self._total:
            self._total.add_(self._recent)
            self._recent.zero_()
        self._steps = 0
        return self._total
