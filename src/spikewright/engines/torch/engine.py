"""The torch engine: its kernels, the fusion of operators, and the sizes of chunks and blocks.

A sum after a matrix product or convolution becomes its bias, which saves a pass over the signal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright._base.arguments import frozen
from spikewright._base.process import check_threads
from spikewright.engines.base import Engine, EngineWeights, number_of_weights
from spikewright.engines.grid import on_grid
from spikewright.engines.kernel import Kernel, Kernels
from spikewright.engines.kernels import SHARED, SmoothKernel
from spikewright.engines.operators import (
    Apply,
    DelayedLinear,
    Filter,
    Linear,
    NodeSource,
    Operator,
    ScaledSum,
    Smooth,
)
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.program import Block, Component, Program
from spikewright.engines.sources import Given, SourceKernel
from spikewright.engines.spike_scaling import shared_row
from spikewright.engines.torch.device import Tensors, chosen_device
from spikewright.engines.torch.functions import linear_map
from spikewright.engines.torch.kernels import (
    AverageKernel,
    DelayedSparseKernel,
    LearnedKernel,
    LinearKernel,
    SumKernel,
    apply_kernel,
    filter_kernel,
)
from spikewright.engines.torch.neurons import NeuronsKernel
from spikewright.engines.windows import Average
from spikewright.errors import BuildError
from spikewright.network.transforms import AxisMap, Convolution, Dense, Shape, Transform

# Sizes of the work, in values of the widest signal. A chunk of samples gives each thread enough to
# do in a call while voltage, current and counts of one step stay in its second-level cache; a block
# of its steps gives products enough rows while a layer's output stays in the third.
_CHUNK_VALUES = 175_000  # per thread
_BLOCK_VALUES = 1_400_000
_MOST_VALUES = 16_000_000  # of a block that is made longer so that products have _ROWS rows
_ROWS = 16
_DEVICE_VALUES = 50_000_000  # of a block where the device is no CPU: some 200 MB a signal


class TorchEngine(Engine):
    """Runs a program with dense, batched operations on a CPU or a GPU, in float32 or float64.

    `device` is an argument of `torch.device`; by default a CUDA device where there is one.
    `threads` is PyTorch's number of threads during runs, put back afterwards (default: as it is).
    Raises `BuildError` for a device that is not there.
    """

    name = "torch"
    exact = False
    bound = (
        "the reference engine's spikes wherever sums are exact in the precision; elsewhere the "
        "order in which sums are rounded depends on batch, block and threads: a current moves by "
        "about 1e-6 (float32) or 1e-14 (float64) of the sum of its terms' magnitudes; "
        "integrators with the same input stay within one spike of each other at every step"
    )

    def __init__(self, device: Any = None, threads: int | None = None) -> None:
        self.device = chosen_device(device)
        check_threads(threads, BuildError)
        self.threads = threads
        self._prepared: WeakKeyDictionary[Program, Program] = WeakKeyDictionary()
        self._linear: WeakKeyDictionary[Linear, LinearKernel] = WeakKeyDictionary()

    @contextmanager
    def run_context(self) -> Iterator[None]:
        before = torch.get_num_threads()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            if self.threads is not None:
                torch.set_num_threads(before)

    def prepare(self, program: Program) -> Program:
        if program not in self._prepared:
            self._prepared[program] = fuse(program)
        return self._prepared[program]

    @property
    def kernels(self) -> Kernels:
        return _KERNELS

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        if not isinstance(op, Linear):
            return super().kernel(op, program, batch, tally)
        return self._linear_kernel(op, self.arrays(program))

    def arrays(self, program: Program) -> Tensors:
        return Tensors.on(self.device, program.precision)

    def _linear_kernel(self, op: Linear, tensors: Tensors) -> Kernel:
        """The kernel of a linear map, which all executions share."""
        if op not in self._linear:
            bias = op.bias if isinstance(op, BiasedLinear) else None
            function = linear_map(op.label, op.transform, op.factor, bias, tensors)
            self._linear[op] = LinearKernel(function)
        return self._linear[op]

    def source(self, op: NodeSource, program: Program, given: Given, first: int) -> Kernel:
        return SourceKernel(op, program.dt, given, first, self.arrays(program))

    def value_bytes(self, program: Program) -> int:
        return 8 if program.precision == "float64" else 4

    def workspace_bytes(self, op: Operator, block: Block) -> int:
        everything = block.values((*op.inputs, *op.outputs))
        if isinstance(op, Neurons):
            return 8 * (2 * everything + 8 * block.step.values((op.output,)))
        copies = 4 if isinstance(op, Linear) else 2
        item = 8 if block.program.precision == "float64" else 4
        return item * max(copies * everything, op.workspace_values(block))

    def weight_memory(self, op: Operator, program: Program) -> EngineWeights:
        values = number_of_weights(op)
        return EngineWeights({op.label: self.value_bytes(program) * values}, 6 * 8 * values)

    def has_weights(self, op: Operator) -> bool:
        return op in self._linear

    def device_memory(self) -> int | None:
        if self.device.type != "cuda":
            return None
        free: int = torch.cuda.mem_get_info(self.device)[0]
        held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return free + int(held)

    def chunk_samples(self, program: Program, batch: int) -> int:
        if self.device.type != "cpu":
            return batch
        wanted = _CHUNK_VALUES * torch.get_num_threads()
        chunks = max(1, round(batch * program.widest / wanted))
        return -(-batch // chunks)

    def block_steps(self, program: Program, batch: int) -> int:
        step = program.widest * batch
        if self.device.type != "cpu":
            return int(np.clip(_DEVICE_VALUES // step, 1, 1000))
        for_rows = min(-(-_ROWS // batch), _MOST_VALUES // step)
        return int(np.clip(max(_BLOCK_VALUES // step, for_rows), 1, 1000))


_KERNELS: Kernels = {
    **SHARED,
    Apply: apply_kernel,
    Average: AverageKernel,
    DelayedLinear: DelayedSparseKernel,
    Filter: filter_kernel,
    Learned: LearnedKernel,
    Neurons: NeuronsKernel,
    ScaledSum: SumKernel,
    Smooth: lambda op, setup: SmoothKernel(filter_kernel(op, setup), op, setup),
}


@dataclass(frozen=True, eq=False)
class BiasedLinear(Linear):
    """`y = factor * transform(x) + bias`, `bias` `(out,)`, for `Dense` and `Convolution`."""

    bias: NDArray | None = None


def fuse(program: Program) -> Program:
    """The program with a `BiasedLinear` for each product whose only reader is a sum.

    A sum stays if it has several inputs, if its product is recorded or read elsewhere, or if gain
    and bias differ within an output channel.
    """
    program = _on_grid(program)
    readers = Counter(s for op in program.operators for s in op.inputs)
    readers.update(recording.signal for recording in program.recordings)
    products = {
        op.output: op
        for component in program.components
        for op in component.operators
        if isinstance(op, Linear) and not component.loops and readers[op.output] == 1
    }
    fused: dict[Operator, Operator | None] = {}
    for component in program.components:
        (op, *others) = component.operators
        if others or component.loops or not isinstance(op, ScaledSum) or len(op.inputs) != 1:
            continue
        product = products.get(op.inputs[0])
        affine = None if product is None else _merged(product, op, program.shapes[op.output])
        if product is not None and affine is not None:
            fused[product], fused[op] = None, affine
    components = [c for c in (_replaced(c, fused) for c in program.components) if c is not None]
    return replace(program, components=tuple(components))


_WEIGHT_FIELDS: dict[type[Transform], str] = {
    Dense: "matrix",
    Convolution: "kernel",
    AxisMap: "matrix",
}


def _on_grid(program: Program) -> Program:
    """The program with the weights of its linear maps rounded to the precision's grid.

    Weights that multiply analog values are not rounded.
    """

    def held(op: Operator) -> Operator:
        name = _WEIGHT_FIELDS.get(type(op.transform)) if isinstance(op, Linear) else None
        if name is None or not isinstance(op, Linear) or op.compensation is not None:
            return op
        transform = op.scaled_transform()
        weights = on_grid(getattr(transform, name), program.precision)
        if op.steps is not None:
            weights *= op.steps.reshape(-1, *(1 for _ in weights.shape[1:]))
        held = replace(transform, **{name: frozen(weights)})  # type: ignore[type-var]
        return replace(op, transform=held, heights=None, steps=None)

    components = (
        replace(one, operators=tuple(map(held, one.operators))) for one in program.components
    )
    return replace(program, components=tuple(components))


def _replaced(component: Component, fused: dict[Operator, Operator | None]) -> Component | None:
    (op, *_) = component.operators
    if op not in fused:
        return component
    new = fused[op]
    return None if new is None else replace(component, operators=(new,))


def _merged(product: Linear, total: ScaledSum, shape: Shape) -> BiasedLinear | None:
    """One operator for both, or None if gain and bias differ within an output channel."""
    transform = product.transform
    if isinstance(transform, Dense):
        axis, name, weight = -1, "matrix", transform.matrix
    elif isinstance(transform, Convolution):
        axis, name, weight = -1 if transform.channels_last else 0, "kernel", transform.kernel
    else:
        return None
    gain = _per_channel(1.0 if total.gain is None else total.gain, shape, axis)
    bias = _per_channel(0.0 if total.bias is None else total.bias, shape, axis)
    if gain is None or bias is None:
        return None
    if np.any(gain != 1.0):
        weight = weight * gain.reshape(-1, *(1,) * (weight.ndim - 1))
        transform = replace(transform, **{name: weight})
    return BiasedLinear(
        total.label, product.inputs, total.output, transform, product.factor,
        bias=bias if np.any(bias) else None,
    )  # fmt: skip


def _per_channel(value: NDArray | float, shape: Shape, axis: int) -> NDArray | None:
    """The values by channel of an array for `shape`; None if they differ within a channel."""
    rows = np.moveaxis(np.broadcast_to(value, shape), axis, -1)
    return shared_row(rows.reshape(-1, shape[axis]))
