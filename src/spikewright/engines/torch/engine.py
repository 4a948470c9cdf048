"""The engine: which kernel runs which operator, and how the work is cut."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray

from spikewright._base.process import check_threads
from spikewright.engines.base import Array, Engine, Held, Kernel, number_of_weights
from spikewright.engines.kernels import DelayKernel, SmoothKernel
from spikewright.engines.program import (
    Apply,
    Average,
    Delay,
    DelayedLinear,
    Filter,
    Generate,
    Learned,
    Linear,
    Neurons,
    NodeSource,
    Operator,
    Program,
    ScaledSum,
    Smooth,
)
from spikewright.engines.sources import Given
from spikewright.engines.torch.device import Tensors, chosen_device, numpy_of
from spikewright.engines.torch.functions import GeneratedKernel, apply_kernel
from spikewright.engines.torch.fusion import BiasedLinear, fuse
from spikewright.engines.torch.kernels import (
    AverageKernel,
    LinearKernel,
    SourceKernel,
    SparseArrivals,
    SumKernel,
    filter_kernel,
)
from spikewright.engines.torch.learning import LearnedKernel
from spikewright.engines.torch.maps import linear_map
from spikewright.engines.torch.neurons import NeuronsKernel
from spikewright.engines.working import Work
from spikewright.errors import BuildError
from spikewright.network.transforms import Shape

# Sizes of the work, in values of the widest signal. A chunk of samples gives each thread enough to
# do in a call while voltage, current and counts of one step stay in its second-level cache; a block
# of its steps gives products enough rows while a layer's output stays in the third.
_CHUNK_VALUES = 175_000  # per thread
_BLOCK_VALUES = 1_400_000
_MOST_VALUES = 16_000_000  # of a block that is made longer so that products have _ROWS rows
_ROWS = 16
_DEVICE_VALUES = 50_000_000  # of a block where the device is no CPU: some 200 MB a signal


class TorchEngine(Engine):
    """Dense and batched on a CPU or a GPU, in float32 or float64.

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

    tells = True  # parts of a batch are summed one by one
    sums_in_turn = False

    def __init__(self, device: Any = None, threads: int | None = None) -> None:
        self.device = chosen_device(device)
        check_threads(threads, BuildError)
        self.threads = threads
        self._prepared: WeakKeyDictionary[Program, Program] = WeakKeyDictionary()
        self._linear: WeakKeyDictionary[Linear, LinearKernel] = WeakKeyDictionary()

    @contextmanager
    def working(self) -> Iterator[None]:
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

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        tensors = Tensors.on(self.device, program.precision)
        if isinstance(op, Linear):
            return self._linear_kernel(op, tensors)
        if isinstance(op, ScaledSum):
            return SumKernel(op, program.shapes[op.output], tensors)
        if isinstance(op, Filter):
            return filter_kernel(op, batch, program.shapes[op.output], tensors)
        if isinstance(op, Smooth):
            shape = program.shapes[op.output]
            filter = filter_kernel(op, batch, shape, tensors)
            return SmoothKernel(filter, lambda steps: tensors.empty((batch, steps, *shape)))
        if isinstance(op, Delay):
            shape = program.shapes[op.output]
            kept = tensors.zeros((batch, op.steps, *shape))
            return DelayKernel(kept, lambda steps: tensors.empty((batch, steps, *shape)))
        if isinstance(op, DelayedLinear):
            shape = program.shapes[op.output]
            kept = tensors.zeros((batch, op.rows, *shape))
            return SparseArrivals(op, kept, tensors)
        if isinstance(op, Learned):
            return LearnedKernel(op, program.dt, batch, tensors)
        if isinstance(op, Average):
            return AverageKernel(op, batch, program.shapes[op.output], tensors)
        if isinstance(op, Neurons):
            return NeuronsKernel(op, program.dt, batch, tally, tensors)
        if isinstance(op, Apply):
            return apply_kernel(op, program.dt, batch, tensors)
        if isinstance(op, Generate):
            return GeneratedKernel(op, program, batch, tensors)
        raise TypeError(f"the torch engine has no kernel for {type(op).__name__}")

    def _linear_kernel(self, op: Linear, tensors: Tensors) -> Kernel:
        """Weights are held once, however many executions read them."""
        if op not in self._linear:
            bias = op.bias if isinstance(op, BiasedLinear) else None
            function = linear_map(op.label, op.transform, op.factor, bias, tensors)
            self._linear[op] = LinearKernel(function)
        return self._linear[op]

    def source(self, op: NodeSource, program: Program, given: Given, first: int) -> Kernel:
        tensors = Tensors.on(self.device, program.precision)
        return SourceKernel(op, program.dt, given, first, tensors)

    def empty(self, program: Program, batch: int, steps: int, shape: Shape) -> Array:
        return Tensors.on(self.device, program.precision).empty((batch, steps, *shape))

    def to_numpy(self, array: Array) -> NDArray:
        return numpy_of(array)

    def value_bytes(self, program: Program) -> int:
        return 8 if program.precision == "float64" else 4

    def work_bytes(
        self, op: Operator, program: Program, batch: int, steps: int, held: Collection[int]
    ) -> int:
        work, item = Work.of(op, program, batch, steps, held), self.value_bytes(program)
        if isinstance(op, Neurons):
            return 8 * (2 * (work.inputs + work.outputs) + 8 * work.now)
        copies = 4 if isinstance(op, Linear) else 2
        return max(copies * item * (work.inputs + work.outputs), item * work.bytes // 8)

    def held(self, op: Operator, program: Program) -> Held:
        found = super().held(op, program)
        values = number_of_weights(op) if found.kept else 0
        kept = {label: self.value_bytes(program) * values for label in found.kept}
        return Held(kept, 6 * 8 * values)

    def holds(self, op: Operator) -> bool:
        return op in self._linear

    def device_room(self) -> int | None:
        if self.device.type != "cuda":
            return None
        free: int = torch.cuda.mem_get_info(self.device)[0]
        held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return free + int(held)

    def chunk_samples(self, program: Program, batch: int) -> int:
        if self.device.type != "cpu":
            return batch
        wanted = _CHUNK_VALUES * torch.get_num_threads()
        chunks = max(1, round(batch * _widest(program) / wanted))
        return -(-batch // chunks)

    def block_steps(self, program: Program, batch: int) -> int:
        step = _widest(program) * batch
        if self.device.type != "cpu":
            return int(np.clip(_DEVICE_VALUES // step, 1, 1000))
        for_rows = min(-(-_ROWS // batch), _MOST_VALUES // step)
        return int(np.clip(max(_BLOCK_VALUES // step, for_rows), 1, 1000))


def _widest(program: Program) -> int:
    return max((int(np.prod(shape)) for shape in program.shapes), default=1) or 1
