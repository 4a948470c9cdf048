"""The engine: which kernel runs which operator, and how the work is cut."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Array, Engine, Kernel
from spikewright.engines.program import (
    Apply,
    Filter,
    Linear,
    Neurons,
    Operator,
    Program,
    Source,
    Sum,
)
from spikewright.engines.torch.device import Tensors, chosen_device, numpy_of
from spikewright.engines.torch.fusion import Affine, fuse
from spikewright.engines.torch.kernels import (
    AccumulatedMaxPoolKernel,
    FilterKernel,
    FunctionKernel,
    LinearKernel,
    MaxPoolKernel,
    SourceKernel,
    SumKernel,
)
from spikewright.engines.torch.maps import linear_map
from spikewright.engines.torch.neurons import NeuronsKernel
from spikewright.network import MaxPool
from spikewright.network.transforms import Shape

_CHUNK_VALUES = 200_000  # of the widest signal: enough work for each call, little enough for L2
_BLOCK_VALUES = 1_000_000  # of the widest signal of a chunk in a block
_DEVICE_VALUES = 50_000_000  # the same where the device is no CPU: some 200 MB a signal


class TorchEngine(Engine):
    """Dense and batched on a CPU or a GPU, in float32 or float64.

    `device` is what `torch.device` takes; by default a CUDA device where there is one. Raises
    `BuildError` for a device that is not there.
    """

    name = "torch"
    exact = False
    bound = "tbd"

    def __init__(self, device: Any = None) -> None:
        self.device = chosen_device(device)
        self._prepared: WeakKeyDictionary[Program, Program] = WeakKeyDictionary()
        self._linear: WeakKeyDictionary[Linear, LinearKernel] = WeakKeyDictionary()

    def prepare(self, program: Program) -> Program:
        if program not in self._prepared:
            self._prepared[program] = fuse(program)
        return self._prepared[program]

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        tensors = Tensors.on(self.device, program.precision)
        if isinstance(op, Linear):
            return self._linear_kernel(op, tensors)
        if isinstance(op, Sum):
            return SumKernel(op, program.shapes[op.output], tensors)
        if isinstance(op, Filter):
            return FilterKernel(op, batch, program.shapes[op.output], tensors)
        if isinstance(op, Neurons):
            return NeuronsKernel(op, program.dt, batch, tally, tensors)
        if isinstance(op, Apply):
            return _apply_kernel(op, program.dt, batch, tensors)
        raise TypeError(f"the torch engine has no kernel for {type(op).__name__}")

    def _linear_kernel(self, op: Linear, tensors: Tensors) -> Kernel:
        """Weights are held once, however many executions read them."""
        if op not in self._linear:
            bias = op.bias if isinstance(op, Affine) else None
            function = linear_map(op.label, op.transform, op.factor, bias, tensors)
            self._linear[op] = LinearKernel(function)
        return self._linear[op]

    def source(self, op: Source, program: Program, fed: NDArray | None, first: int) -> Kernel:
        return SourceKernel(op, program.dt, fed, first, Tensors.on(self.device, program.precision))

    def empty(self, program: Program, batch: int, steps: int, shape: Shape) -> Array:
        return Tensors.on(self.device, program.precision).empty((batch, steps, *shape))

    def to_numpy(self, array: Array) -> NDArray:
        return numpy_of(array)

    def chunk_samples(self, program: Program, batch: int) -> int:
        if self.device.type != "cpu":
            return batch
        chunks = max(1, batch * _widest(program) // _CHUNK_VALUES)
        return -(-batch // chunks)

    def block_steps(self, program: Program, batch: int) -> int:
        values = _BLOCK_VALUES if self.device.type == "cpu" else _DEVICE_VALUES
        return int(np.clip(values // (_widest(program) * batch), 1, 1000))


def _apply_kernel(op: Apply, dt: float, batch: int, tensors: Tensors) -> Kernel:
    function = op.node.output
    if not isinstance(function, MaxPool):
        return FunctionKernel(op, dt, batch, tensors)
    if function.accumulate:
        return AccumulatedMaxPoolKernel(op, function, batch, tensors)
    return MaxPoolKernel(function)


def _widest(program: Program) -> int:
    return max((int(np.prod(shape)) for shape in program.shapes), default=1) or 1
