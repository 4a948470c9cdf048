"""Kernels of the torch engine for everything but populations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright.engines.base import Call, DelayedKernel, Kernel
from spikewright.engines.kernels import DelayedLinearKernel, adding
from spikewright.engines.operators import (
    Average,
    DelayedLinear,
    Filter,
    NodeSource,
    ScaledSum,
    Smooth,
)
from spikewright.engines.sources import Given, constant_value, source_block
from spikewright.engines.torch.device import Tensor, Tensors, numpy_of
from spikewright.engines.torch.maps import Map
from spikewright.network.transforms import Shape


class SourceKernel(Kernel):
    """Runs by the steps done in this *run*; `first` is the number of steps before it."""

    def __init__(
        self, op: NodeSource, dt: float, given: Given, first: int, tensors: Tensors
    ) -> None:
        self._node, self._dt, self._given, self._first = op.node, dt, given, first
        self._tensors = tensors
        constant = constant_value(op.node, given)
        self._constant = None if constant is None else tensors.of(constant)
        self.stateless = constant is not None

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        if self._constant is not None:
            return [self._constant]
        first = self._first + step
        block = source_block(self._node, self._given, step, first, steps, self._dt)
        return [self._tensors.of(block)]


class LinearKernel(Kernel):
    """A linear map."""

    stateless = True

    def __init__(self, function: Map) -> None:
        self._function = function

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        return [self._function(inputs[0])]


class SparseArrivals(DelayedLinearKernel):
    """All entries at once, whatever spikes."""

    def __init__(self, op: DelayedLinear, kept: Tensor, tensors: Tensors) -> None:
        batch, _, *shape = kept.shape
        super().__init__(op, kept, lambda steps: tensors.empty((batch, steps, *shape)))
        self._device = tensors.device
        self._senders = torch.from_numpy(self.senders).to(tensors.device)
        self._weights = tensors.of(self.values)

    def add(self, to: Tensor, x: Tensor, places: NDArray) -> None:
        terms = (x[:, self._senders] * self._weights).expand(len(to), -1)
        to.index_add_(1, torch.from_numpy(places).to(self._device), terms)


class SumKernel(Kernel):
    """`gain * (x_1 + x_2 + ...) + bias`."""

    stateless = True

    def __init__(self, op: ScaledSum, shape: Shape, tensors: Tensors) -> None:
        self._tensors, self._shape = tensors, shape
        self._gain = None if op.gain is None else tensors.of(op.gain)
        self._bias = None if op.bias is None else tensors.of(op.bias)

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

    def into(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Call | None:
        plain = inputs and self._gain is None and self._bias is None
        if not plain or self._tensors.device.type != "cpu":
            return None
        return adding([numpy_of(x) for x in inputs], numpy_of(outputs[0]))


class LowpassKernel(DelayedKernel):
    """`y_t = y_(t-1) + share (u_t - y_(t-1))`, one pass over the signal a step."""

    changing = ("_output",)

    def __init__(self, share: float, batch: int, shape: Shape, tensors: Tensors) -> None:
        self._share, self._tensors = share, tensors
        self._output = tensors.zeros((batch, *shape))

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
    """`x_t = A x_(t-1) + B u_t`, elementwise over the signal, order by order.

    State and output are buffers that are changed in place.
    """

    changing = ("_state", "_output")

    def __init__(self, op: Filter | Smooth, batch: int, shape: Shape, tensors: Tensors) -> None:
        self._filter, self._tensors = op.filter, tensors
        each: Any = tensors.of if op.filter.varies else float
        self._B, self._C = [each(b) for b in op.filter.B], [each(c) for c in op.filter.C]
        self._A = [[(j, each(a)) for j, a in enumerate(row) if np.any(a)] for row in op.filter.A]
        self._state = [tensors.zeros((batch, *shape)) for _ in range(op.filter.order)]
        self._output = tensors.zeros((batch, *shape))

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
    """Sums of a window in float64, then their mean."""

    changing = ("_done", "_sum", "_mean")

    def __init__(self, op: Average, batch: int, shape: Shape, tensors: Tensors) -> None:
        self._steps, self._done, self._tensors = op.steps, 0, tensors
        self._sum = tensors.wide.zeros((batch, *shape))
        self._mean = tensors.of(np.array(np.broadcast_to(op.initial, (batch, *shape))))

    @property
    def ahead(self) -> int:
        return self._steps - self._done

    def emit(self) -> Tensor:
        return self._mean[:, None]

    def absorb(self, value: Tensor) -> None:
        self._take(value)

    def _take(self, values: Tensor) -> None:
        """Steps that lie within one window."""
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


def filter_kernel(op: Filter | Smooth, batch: int, shape: Shape, tensors: Tensors) -> DelayedKernel:
    """A filter's kernel: one of its own for `y_t = (1 - q) y_(t-1) + q u_t`."""
    f = op.filter
    plain = f.order == 1 and f.feedthrough is None and not f.varies and f.C[0] == 1.0
    if plain and abs(f.A[0, 0] + f.B[0] - 1.0) < 1e-15:
        return LowpassKernel(float(f.B[0]), batch, shape, tensors)
    return FilterKernel(op, batch, shape, tensors)
