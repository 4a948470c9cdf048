"""The kernels of the torch engine, except those of populations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.engines.kernel import Call, DelayedKernel, Kernel, Setup
from spikewright.engines.kernels import (
    DelayedLinearKernel,
    LearningKernel,
    divergence_error,
    sum_writer,
)
from spikewright.engines.operators import Apply, DelayedLinear, Filter, ScaledSum, Smooth
from spikewright.engines.populations import Learned
from spikewright.engines.python_calls import CallableKernel, PresentKernel
from spikewright.engines.torch.device import Tensor, full_products, numpy_of, tensors_of
from spikewright.engines.torch.functions import Map, TorchFunctions
from spikewright.engines.windows import Average
from spikewright.network import NodeFunction


class LinearKernel(Kernel):
    """The kernel of a linear map."""

    stateless = True

    def __init__(self, function: Map) -> None:
        self._function = function

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        return [self._function(inputs[0])]


class DelayedSparseKernel(DelayedLinearKernel):
    """A sparse map with delays that adds all entries at once, also those of silent inputs."""

    def __init__(self, op: DelayedLinear, setup: Setup) -> None:
        super().__init__(op, setup)
        tensors = tensors_of(setup)
        self._device = tensors.device
        self._senders = torch.from_numpy(self.senders).to(tensors.device)
        self._weights = tensors.copy_of(self.values)

    def add(self, to: Tensor, x: Tensor, places: NDArray) -> None:
        terms = (x[:, self._senders] * self._weights).expand(len(to), -1)
        to.index_add_(1, torch.from_numpy(places).to(self._device), terms)


class SumKernel(Kernel):
    """The sum `gain * (x_1 + x_2 + ...) + bias`."""

    stateless = True

    def __init__(self, op: ScaledSum, setup: Setup) -> None:
        self._tensors, self._shape = tensors_of(setup), setup.shape(op)
        tensors = self._tensors
        self._gain = None if op.gain is None else tensors.copy_of(op.gain)
        self._bias = None if op.bias is None else tensors.copy_of(op.bias)

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        total = inputs[0] if inputs else self._tensors.zeros((1, 1, *self._shape))
        own = not inputs  # whether `total` may be changed in place
        for value in inputs[1:]:
            fits = own and torch.broadcast_shapes(total.shape, value.shape) == total.shape
            total = total.add_(value) if fits else total + value
            own = True
        if self._gain is not None:
            total = total.mul_(self._gain) if own else total * self._gain
            own = True
        if self._bias is not None:
            total = total.add_(self._bias) if own else total + self._bias
        return [total]

    def output_writer(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Call | None:
        plain = inputs and self._gain is None and self._bias is None
        if not plain or not self._tensors.shares_numpy_memory:
            return None
        return sum_writer([numpy_of(x) for x in inputs], numpy_of(outputs[0]))


class LowpassKernel(DelayedKernel):
    """A first-order lowpass, `y_t = y_(t-1) + share (u_t - y_(t-1))`, in one pass a step."""

    changing = ("_output",)

    def __init__(self, share: float, op: Filter | Smooth, setup: Setup) -> None:
        super().__init__(op, setup)
        self._share, self._tensors = share, tensors_of(setup)
        self._output = setup.zeros(op)

    def emit(self) -> Tensor:
        return self._output[:, None]

    def absorb(self, value: Tensor) -> None:
        self._output.lerp_(value[:, 0], self._share)

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        (x,) = inputs
        outputs = self._tensors.empty((len(self._output), steps, *self._output.shape[1:]))
        values = x.unbind(1) * (steps if x.shape[1] == 1 else 1)
        now, *later = outputs.unbind(1)
        now.copy_(self._output)
        for u, following in zip(values, [*later, self._output], strict=True):
            torch.lerp(now, u, self._share, out=following)
            now = following
        return [outputs]


class FilterKernel(DelayedKernel):
    """A linear filter, `x_t = A x_(t-1) + B u_t`, elementwise over the signal, order by order.

    State and output are buffers that are changed in place.
    """

    changing = ("_state", "_output")

    def __init__(self, op: Filter | Smooth, setup: Setup) -> None:
        super().__init__(op, setup)
        self._filter, self._tensors = op.filter, tensors_of(setup)
        tensors = self._tensors
        each: Any = tensors.copy_of if op.filter.varies else float
        self._B, self._C = [each(b) for b in op.filter.B], [each(c) for c in op.filter.C]
        self._A = [[(j, each(a)) for j, a in enumerate(row) if np.any(a)] for row in op.filter.A]
        self._state = [setup.zeros(op) for _ in range(op.filter.order)]
        self._output = setup.zeros(op)

    def emit(self) -> Tensor:
        return self._output[:, None]

    def absorb(self, value: Tensor) -> None:
        self._absorb(value[:, 0])

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        (x,) = inputs
        outputs = self._tensors.empty((len(self._output), steps, *self._output.shape[1:]))
        values = x.unbind(1) * (steps if x.shape[1] == 1 else 1)
        for u, output in zip(values, outputs.unbind(1), strict=True):
            output.copy_(self._output)
            self._absorb(u)
        return [outputs]

    def _absorb(self, u: Tensor) -> None:
        feedthrough = self._filter.feedthrough
        if feedthrough is None:
            self._advance(u)
            self._observe()
        else:
            self._observe()
            self._output.add_(u, alpha=feedthrough)
            self._advance(u)

    def _advance(self, u: Tensor) -> None:
        x = self._state
        lines = []
        for into, row in zip(self._B, self._A, strict=True):
            line = u * into
            for j, factor in row:
                line = self._added(line, x[j], factor)
            lines.append(line)
        for old, new in zip(x, lines, strict=True):
            old.copy_(new)

    def _observe(self) -> None:
        self._output.zero_()
        for c, x in zip(self._C, self._state, strict=True):
            self._added(self._output, x, c, out=self._output)

    def _added(self, to: Tensor, x: Tensor, factor: Any, out: Tensor | None = None) -> Tensor:
        """`to + factor x`; the factor is a number, or one for each value."""
        if isinstance(factor, float):
            return torch.add(to, x, alpha=factor, out=out)
        return torch.addcmul(to, x, factor, out=out)


class AverageKernel(DelayedKernel):
    """The mean of each window, summed in float64."""

    changing = ("_done", "_sum", "_mean")

    def __init__(self, op: Average, setup: Setup) -> None:
        super().__init__(op, setup)
        self._steps, self._done, self._tensors = op.steps, 0, tensors_of(setup)
        shape = (setup.batch, *setup.shape(op))
        self._sum = self._tensors.float64.zeros(shape)
        self._mean = self._tensors.copy_of(np.broadcast_to(op.initial, shape))

    @property
    def ahead(self) -> int:
        return self._steps - self._done

    def emit(self) -> Tensor:
        return self._mean[:, None]

    def absorb(self, value: Tensor) -> None:
        self._take(value)

    def _take(self, values: Tensor) -> None:
        """Add steps that belong to one window."""
        self._sum += values.sum(1, dtype=self._sum.dtype)
        self._done += values.shape[1]
        if self._done == self._steps:
            self._mean = (self._sum / self._steps).to(self._mean.dtype)
            self._sum, self._done = self._sum.zero_(), 0

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        (x,) = inputs
        x = x.expand(len(self._mean), steps, *self._mean.shape[1:])
        outputs = self._tensors.empty(tuple(x.shape))
        done = 0
        while done < steps:
            count = min(self.ahead, steps - done)
            outputs[:, done : done + count] = self._mean[:, None]
            self._take(x[:, done : done + count])
            done += count
        return [outputs]


def filter_kernel(op: Filter | Smooth, setup: Setup) -> DelayedKernel:
    """The kernel of a filter; a first-order lowpass has a faster one."""
    f = op.filter
    plain = f.order == 1 and f.feedthrough is None and not f.varies and f.C[0] == 1.0
    if plain and abs(f.A[0, 0] + f.B[0] - 1.0) < 1e-15:
        return LowpassKernel(float(f.B[0]), op, setup)
    return FilterKernel(op, setup)


class AccumulatedKernel(Kernel):
    """A function of running means, `t f(X_t / t)` less earlier outputs, a block of steps at once.

    The running sums `X` and the function's values are in float64: their differences are small.
    """

    changing = ("_sums", "_sent")

    def __init__(self, op: Apply, function: NodeFunction, setup: Setup) -> None:
        self._op, self._function, self._tensors = op, function, tensors_of(setup)
        wide, batch = self._tensors.float64, setup.batch
        self._xp = TorchFunctions(wide)
        self._sums = wide.zeros((batch, 1, *op.node.shape_in))
        self._sent = wide.zeros((batch, 1, *op.node.shape_out))

    def restart(self) -> None:
        self._sums.zero_()
        self._sent.zero_()

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        (x,) = inputs
        shape = (self._sums.shape[0], steps, *x.shape[2:])
        sums = x.expand(shape).to(torch.float64, copy=True, memory_format=torch.contiguous_format)
        sums[:, :1] += self._sums
        sums = sums.cumsum(1)
        self._sums.copy_(sums[:, -1:])
        reached = self._reached(sums, step)
        before = torch.cat([self._sent, reached[:, :-1]], 1)
        self._sent.copy_(reached[:, -1:])
        return [(reached - before).to(self._tensors.dtype)]

    def _reached(self, sums: Tensor, step: int) -> Tensor:
        if self._function.homogeneous:
            return self._function.apply(self._xp, sums)
        steps = torch.arange(step + 1, step + 1 + sums.shape[1], device=sums.device)
        t = self._op.mean_over(steps.to(sums.dtype).reshape(1, -1, *(1,) * (sums.ndim - 2)))
        value = self._function.apply(self._xp, sums.div_(t))
        if not self._op.node.once:
            t = t.reshape(1, -1, *(1,) * (value.ndim - 2))
        value = value.mul_(t)
        return with_last_numbers(value, self._sent[:, 0], axis=1)


def with_last_numbers(values: Tensor, before: Tensor, axis: int) -> Tensor:
    """Replace, in place, infinite or NaN values of steps along an axis by the last finite value.

    Before the first step that is `before`.
    """
    finite = torch.isfinite(values)
    if bool(finite.all()):
        return values
    for now, known in zip(values.unbind(axis), finite.unbind(axis), strict=True):
        now.copy_(torch.where(known, now, before))
        before = now
    return values


class LearnedKernel(LearningKernel):
    """Learned weights as dense products with each sample's own weights; rules are in float64."""

    def __init__(self, op: Learned, setup: Setup) -> None:
        super().__init__(op, setup)
        self._tensors = tensors_of(setup)
        self.xp = TorchFunctions(self._tensors.float64)

    def joined(self, steps: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(steps), dim=1)

    def respond(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        (x,) = inputs
        factor = self._op.factor
        weights = self._weights if factor == 1.0 else self._weights * factor
        with full_products(self._tensors.device):
            y = torch.matmul(x, weights.to(self._tensors.dtype).transpose(1, 2))
        return [y] if self._op.weights is None else [y, self.recorded(self._weights)]

    def recorded(self, value: Tensor) -> Tensor:
        return value[:, None].to(self._tensors.dtype)

    def change(self, delta: Tensor) -> None:
        if self._unit is not None:
            delta = torch.where(self._unit != 0, delta / self._unit, 0.0)
        self._weights = self._weights + delta
        if not bool(torch.isfinite(self._weights).all()):
            raise divergence_error(self._op)

    def now(self, x: Tensor) -> Tensor:
        return x[:, 0].to(torch.float64).expand(self._batch, *x.shape[2:])


def apply_kernel(op: Apply, setup: Setup) -> Kernel:
    """The kernel of a node's function."""
    function = op.node.output
    if not isinstance(function, NodeFunction):
        return CallableKernel(op, setup)
    if function.accumulate:
        return AccumulatedKernel(op, function, setup)
    return PresentKernel(op, function, TorchFunctions(tensors_of(setup)))
