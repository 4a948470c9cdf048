"""The array functions of equations over torch, and the kernels of nodes' functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.engines.base import Call, Kernel
from spikewright.engines.calling import Caller
from spikewright.engines.generating import ProcessKernel
from spikewright.engines.operators import Apply, Generate
from spikewright.engines.program import Program
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.sources import applying
from spikewright.engines.torch.device import Tensor, Tensors, full_products, numpy_of
from spikewright.engines.torch.maps import max_pool
from spikewright.network import NodeFunction


class TorchFunctions:
    """The array functions of neuron equations and node functions, over torch."""

    exp, expm1, log, log1p = torch.exp, torch.expm1, torch.log, torch.log1p
    tanh, erf, sin, cos, arctan = torch.tanh, torch.erf, torch.sin, torch.cos, torch.arctan
    sqrt, floor, sign, abs, power = torch.sqrt, torch.floor, torch.sign, torch.abs, torch.pow
    isfinite, zeros_like, swapaxes = torch.isfinite, torch.zeros_like, torch.swapaxes
    greater, greater_equal = torch.greater, torch.greater_equal

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._constants: dict[int, tuple[NDArray, Tensor]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(
            f"the torch engine has no function {name!r} for neuron equations; ArrayNamespace in "
            "spikewright.network.neurons lists what they may use"
        )

    def constant(self, array: NDArray) -> Tensor:
        """The values of an array that does not change, as a tensor that is made once."""
        if id(array) not in self._constants:
            self._constants[id(array)] = (array, self._tensors.of(array))
        return self._constants[id(array)][1]

    def where(self, condition: Tensor, first: Any, second: Any) -> Tensor:
        """Elementwise choice; numbers take the population's type."""
        if not isinstance(first, torch.Tensor) and not isinstance(second, torch.Tensor):
            first = torch.full((), first, dtype=self._tensors.dtype, device=self._tensors.device)
        return torch.where(condition, first, second)

    def maximum(self, first: Tensor, second: Any) -> Tensor:
        """Elementwise maximum of an array and an array or number."""
        if isinstance(second, torch.Tensor):
            return torch.maximum(first, second)
        return first.relu() if second == 0.0 else first.clamp(min=second)

    def minimum(self, first: Tensor, second: Any) -> Tensor:
        """Elementwise minimum of an array and an array or number."""
        if isinstance(second, torch.Tensor):
            return torch.minimum(first, second)
        return first.clamp(max=second)

    def sum(self, x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        """Sum over axes."""
        return torch.sum(x, dim=axis, keepdim=keepdims)

    def mean(self, x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        """Mean over axes."""
        return torch.mean(x, dim=axis, keepdim=keepdims)

    def amax(self, x: Tensor, axis: Any, keepdims: bool = False) -> Tensor:
        """Maximum over axes."""
        return torch.amax(x, dim=axis, keepdim=keepdims)

    def matmul(self, first: Tensor, second: Tensor) -> Tensor:
        """Matrix products over the last two axes."""
        with full_products(self._tensors.device):
            return torch.matmul(first, second)

    def rows(self, table: Tensor, numbers: Tensor) -> Tensor:
        """Rows of a table by numbers, each rounded to the nearest row."""
        return table[numbers.round().clamp(0, len(table) - 1).long()]

    def called(self, function: Callable[..., NDArray], *arrays: Tensor) -> Tensor:
        """A function of NumPy's arrays applied to tensors, on the processor."""
        return self._tensors.of(function(*(numpy_of(a).astype(np.float64) for a in arrays)))

    def max_pool(self, x: Tensor, windows: Windows, last: bool) -> Tensor:
        """Maximum over sliding windows of `(batch, steps, *shape)`."""
        return max_pool(x, windows, last)


def apply_kernel(op: Apply, dt: float, batch: int, tensors: Tensors) -> Kernel:
    """The kernel of a node's function."""
    function = op.node.output
    if not isinstance(function, NodeFunction):
        return CallableKernel(op, dt, batch, tensors)
    if function.accumulate:
        return AccumulatedKernel(op, function, batch, tensors)
    return PresentKernel(op, function, tensors)


class PresentKernel(Kernel):
    """A function of the present values."""

    stateless = True

    def __init__(self, op: Apply, function: NodeFunction, tensors: Tensors) -> None:
        self._node, self._function, self._xp = op.node, function, TorchFunctions(tensors)

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        with applying(self._node):
            return [self._function.apply(self._xp, inputs[0])]


class AccumulatedKernel(Kernel):
    """`t f(X_t / t)` less the sum of earlier outputs, a block of steps at once.

    The running sums `X` and the function's values are in float64: their differences are small.
    """

    changing = ("_sums", "_sent")

    def __init__(self, op: Apply, function: NodeFunction, batch: int, tensors: Tensors) -> None:
        self._function, self._tensors = function, tensors
        self._xp = TorchFunctions(tensors.wide)
        self._sums = tensors.wide.zeros((batch, 1, *op.node.shape_in))
        self._sent = tensors.wide.zeros((batch, 1, *op.node.shape_out))

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
        t = torch.arange(step + 1, step + 1 + sums.shape[1], device=sums.device).to(sums.dtype)
        means = sums.div_(t.reshape(1, -1, *(1,) * (sums.ndim - 2)))
        value = self._function.apply(self._xp, means)
        value = value.mul_(t.reshape(1, -1, *(1,) * (value.ndim - 2)))
        return with_last_numbers(value, self._sent[:, 0], axis=1)


def with_last_numbers(values: Tensor, before: Tensor, axis: int) -> Tensor:
    """Values of steps along an axis, in which numbers replace what is infinite or NaN, in place.

    The number is that of the step before, and for the first step `before`.
    """
    finite = torch.isfinite(values)
    if bool(finite.all()):
        return values
    for now, known in zip(values.unbind(axis), finite.unbind(axis), strict=True):
        now.copy_(torch.where(known, now, before))
        before = now
    return values


class CallableKernel(Kernel):
    """A Python function of time and input, called once a sample and step, on NumPy's arrays."""

    def __init__(self, op: Apply, dt: float, batch: int, tensors: Tensors) -> None:
        self._caller, self._tensors = Caller(op.node, dt, batch), tensors

    def python_steps(self) -> Iterable[PythonStep]:
        yield self._caller.python

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        given = [numpy_of(x).astype(np.float64) for x in inputs]
        values = self._caller.run(given[0] if given else None, step, steps)
        return [self._tensors.of(np.array(values))]

    def into(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Call | None:
        if self._tensors.device.type != "cpu":
            return None
        return self._caller.into([numpy_of(x) for x in inputs], numpy_of(outputs[0]))


class GeneratedKernel(Kernel):
    """A process, on NumPy's arrays."""

    changing = ("_kernel",)

    def __init__(self, op: Generate, program: Program, batch: int, tensors: Tensors) -> None:
        self._kernel, self._tensors = ProcessKernel(op, program, batch), tensors

    def python_steps(self) -> Iterable[PythonStep]:
        return self._kernel.python_steps()

    def run(self, inputs: Sequence[Tensor], step: int, steps: int) -> Sequence[Tensor]:
        given = [numpy_of(x).astype(np.float64) for x in inputs]
        (values,) = self._kernel.run(given, step, steps)
        return [self._tensors.of(np.array(values))]
