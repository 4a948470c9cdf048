"""The reference engine: the equations as written, in NumPy and float64; the oracle of all tests.

Sums are exact (`engines.grid`) or elementwise in a fixed order, so results are bit-identical
whatever the batch, its order and the time block.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NumpyFunctions
from spikewright.engines.base import Engine
from spikewright.engines.grid import GRIDS, MAX_FAN_IN, input_limbs, limbs
from spikewright.engines.kernel import (
    NUMPY,
    Array,
    Call,
    DelayedKernel,
    Kernel,
    Kernels,
    NeuronKernel,
    Setup,
)
from spikewright.engines.kernels import (
    SHARED,
    LearningKernel,
    SmoothKernel,
    divergence_error,
    scaled_sum,
    sum_writer,
)
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
from spikewright.engines.program import Block, Program
from spikewright.engines.python_calls import CallableKernel, PresentKernel
from spikewright.engines.reference.linear import DelayedSparseKernel, LinearKernel, workspace_values
from spikewright.engines.sources import Given, SourceKernel
from spikewright.engines.windows import Average
from spikewright.network import NodeFunction
from spikewright.network.neurons import NUMPY_NEURONS


class _Functions(NumpyFunctions):
    """NumPy's functions, with matrix products that add one term after the other."""

    @staticmethod
    def matmul(a: NDArray, b: NDArray) -> NDArray:
        """`a @ b` in an order that is the same on every machine, as other engines have it."""
        total: NDArray = a[..., :1] * b[..., :1, :]
        for k in range(1, a.shape[-1]):
            total += a[..., k : k + 1] * b[..., k : k + 1, :]
        return total


FUNCTIONS: Any = _Functions()

_BLOCK_VALUES = 2_000_000  # values of the widest signal in a block: some tens of MB altogether


class ReferenceEngine(Engine):
    """The engine that computes in NumPy and float64."""

    name = "reference"
    exact = True
    bound = "bit-identical whatever the batch, its order and the time block"

    @property
    def kernels(self) -> Kernels:
        return _KERNELS

    def source(self, op: NodeSource, program: Program, given: Given, first: int) -> Kernel:
        return SourceKernel(op, program.dt, given, first, NUMPY)

    def workspace_bytes(self, op: Operator, block: Block) -> int:
        if isinstance(op, Linear):
            return 8 * workspace_values(op, block)
        if isinstance(op, Neurons):
            done = block if op.stateless and not block.tally else block.step
            return int(_step_bytes(op, done.program) * done.values((op.output,)))
        return super().workspace_bytes(op, block)

    def block_steps(self, program: Program, batch: int) -> int:
        return int(np.clip(_BLOCK_VALUES // (program.widest * batch), 1, 1000))


def _step_bytes(op: Neurons, program: Program) -> float:
    """The bytes of a neuron's temporary arrays in a step, measured in a small population.

    A user's own classes are not called for this, since they may have a state.
    """
    if not type(op.neuron_type).__module__.startswith("spikewright."):
        return 8.0 * _OF_OTHERS
    if op not in _measured:
        size = max(1, int(np.prod(op.ensemble.shape)))
        batch = -(-_MEASURED_NEURONS // size)
        kernel = _Neurons(op, Setup(program, NUMPY, batch, True))
        current = np.ones((batch, 1, *op.ensemble.shape))
        kernel.run([current], 0, 1)  # what is kept from step to step is there
        _measured[op] = _peak_bytes(lambda: kernel.run([current], 1, 1)) / (batch * size)
    return _measured[op]


def _peak_bytes(call: Callable[[], object]) -> int:
    """The peak of the bytes that a call allocates, including its result."""
    traced = tracemalloc.is_tracing()
    if not traced:
        tracemalloc.start(1)
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not traced:
            tracemalloc.stop()


_MEASURED_NEURONS = 4096  # beside which objects are small
_OF_OTHERS = 11  # arrays of one step
_measured: WeakKeyDictionary[Neurons, float] = WeakKeyDictionary()


class _Sum(Kernel):
    stateless = True

    def __init__(self, op: ScaledSum, setup: Setup) -> None:
        self._op, self._shape = op, setup.shape(op)

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        return [scaled_sum(self._op, inputs or [np.zeros((1, 1, *self._shape))])]

    def output_writer(self, inputs: Sequence[NDArray], outputs: Sequence[NDArray]) -> Call | None:
        plain = inputs and self._op.gain is None and self._op.bias is None
        return sum_writer(inputs, outputs[0]) if plain else None


class _Filter(DelayedKernel):
    """`x_t = A x_(t-1) + B u_t`, elementwise over the signal, order by order."""

    changing = ("_state", "_output")

    def __init__(self, op: Filter | Smooth, setup: Setup) -> None:
        super().__init__(op, setup)
        self._filter = op.filter
        self._state = [setup.zeros(op) for _ in range(op.filter.order)]
        self._output = setup.zeros(op)

    def emit(self) -> Array:
        return self._output[:, None]

    def absorb(self, value: Array) -> None:
        zero = np.zeros_like(self._output)
        self._state, self._output = self._filter.by_line(self._state, value[:, 0], zero)


class _Average(DelayedKernel):
    """The mean of each window, summed step by step, in the order of time."""

    changing = ("_done", "_sum", "_mean")

    def __init__(self, op: Average, setup: Setup) -> None:
        super().__init__(op, setup)
        self._steps, self._done = op.steps, 0
        self._sum = setup.zeros(op)
        self._mean = np.array(np.broadcast_to(op.initial, self._sum.shape))

    @property
    def ahead(self) -> int:
        return self._steps - self._done

    def emit(self) -> Array:
        return self._mean[:, None]

    def absorb(self, value: Array) -> None:
        for now in value.swapaxes(0, 1):
            self._sum = self._sum + now
            self._done += 1
        if self._done == self._steps:
            self._mean = self._sum / self._steps
            self._sum, self._done = np.zeros_like(self._sum), 0


class _Neurons(NeuronKernel):
    changing = ("_state", "total", "net")

    def __init__(self, op: Neurons, setup: Setup) -> None:
        super().__init__(op, setup, NUMPY)
        self.total = np.zeros(self._shape) if setup.tally else None
        self.net = np.zeros(self._shape) if setup.tally and op.neuron_type.negative else None

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (current,) = inputs
        if self.stateless:
            return [self._op.neuron_type.step(NUMPY_NEURONS, current, {}, self._clock(0))]
        outputs = [self._setup.empty(self._op, steps) for _ in self._op.outputs]
        for t in range(steps):
            now = current[:, 0 if current.shape[1] == 1 else t]
            output = self._op.neuron_type.step(
                NUMPY_NEURONS, now, self._state, self._clock(step + t + 1)
            )
            outputs[0][:, t] = output
            for name, kept in zip(self._op.states, outputs[1:], strict=True):
                kept[:, t] = self._state[name]
            if self.total is not None:  # step by step: sums of rates depend on their order
                self.total += self._op.neuron_type.sent_in(step + t + 1, output)
            if self.net is not None:
                self.net += output
        return outputs


def _applied(op: Apply, setup: Setup) -> Kernel:
    """The kernel of a node's function."""
    function = op.node.output
    if not isinstance(function, NodeFunction):
        return CallableKernel(op, setup)
    if function.accumulate:
        return _Accumulated(op, function, setup)
    return PresentKernel(op, function, FUNCTIONS)


class _Accumulated(Kernel):
    """A function of running means: `t f(X_t / t)` less earlier outputs, with running sums `X`.

    If the function is homogeneous, it is `f(X_t)` less earlier outputs.
    """

    changing = ("_sums", "_sent", "_known")

    def __init__(self, op: Apply, function: NodeFunction, setup: Setup) -> None:
        self._op, self._function = op, function
        self._known = False  # whether `f` of the sums has been sent
        self._sums = np.zeros((setup.batch, *op.node.shape_in))
        self._sent = np.zeros((setup.batch, *op.node.shape_out))

    def restart(self) -> None:
        self._sums, self._sent = np.zeros_like(self._sums), np.zeros_like(self._sent)
        self._known = False

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        outputs = np.empty((len(self._sums), steps, *self._sent.shape[1:]))
        for i in range(steps):
            now = x[:, 0 if x.shape[1] == 1 else i]
            if self._known and not now.any():
                outputs[:, i] = 0.0
                continue
            self._sums = self._sums + now
            t = self._op.mean_over(step + i + 1)
            with np.errstate(all="ignore"):
                reached = self._function.reached(FUNCTIONS, self._sums, t, self._sent)
            np.subtract(reached, self._sent, out=outputs[:, i])
            self._sent, self._known = reached, self._op.node.once
        return [outputs]


class LearnedKernel(LearningKernel):
    """Learned weights in float64, whose sums are exact, as those of fixed weights."""

    xp = FUNCTIONS

    def __init__(self, op: Learned, setup: Setup) -> None:
        super().__init__(op, setup)
        self._grid, self._size = GRIDS[setup.program.precision], op.initial.shape[1]
        self._put_on_grid()

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._put_on_grid()

    def _put_on_grid(self) -> None:
        """Round the weights to the grid by sample and row, as those of a fixed matrix."""
        grid = self._grid
        parts = limbs(self._weights, (2,), grid.weight_bits, grid.weight_limbs)
        self._applied = [part.swapaxes(1, 2) for part in parts]

    def learned(self) -> Mapping[Learned, NDArray]:
        return {self._op: np.array(self._weights)}

    def respond(self, inputs: Sequence[Array]) -> Sequence[Array]:
        (x,) = inputs
        total: NDArray | None = None
        for limb in input_limbs(x, min(self._size, MAX_FAN_IN), self._grid):
            for weights in self._applied:
                part = _products(limb, weights)
                total = part if total is None else total + part
        if total is None:
            raise ValueError("an input has at least one limb")
        outputs = [total if self._op.factor == 1.0 else total * self._op.factor]
        if self._op.weights is not None:
            outputs.append(self._weights[:, None])
        return outputs

    def finish(self, inputs: Sequence[Array]) -> Sequence[Array]:
        with np.errstate(over="ignore", invalid="ignore"):  # weights that overflow are an error
            return super().finish(inputs)

    def recorded(self, value: NDArray) -> NDArray:
        return np.array(value)[:, None]

    def change(self, delta: NDArray) -> None:
        if self._unit is not None:
            where = np.broadcast_to(self._unit != 0, delta.shape)
            delta = np.divide(delta, self._unit, out=np.zeros_like(delta), where=where)
        self._weights = self._weights + delta
        if not np.all(np.isfinite(self._weights)):
            raise divergence_error(self._op)
        self._put_on_grid()

    def now(self, x: Array) -> NDArray:
        now: NDArray = x[:, 0]
        return now if len(now) == self._batch else np.broadcast_to(now, (self._batch, *x.shape[2:]))


def _products(x: NDArray, weights: NDArray) -> NDArray:
    """`(batch or 1, 1, in) @ (batch, in, out)`, long sums in pieces that are exact each."""
    starts = range(0, max(weights.shape[1], 1), MAX_FAN_IN)
    parts = [x[:, :, i : i + MAX_FAN_IN] @ weights[:, i : i + MAX_FAN_IN] for i in starts]
    total: NDArray = sum(parts[1:], start=parts[0])
    return total


_KERNELS: Kernels = {
    **SHARED,
    Apply: _applied,
    Average: _Average,
    DelayedLinear: DelayedSparseKernel,
    Filter: _Filter,
    Learned: LearnedKernel,
    Linear: lambda op, setup: LinearKernel(op, setup.program.precision),
    Neurons: _Neurons,
    ScaledSum: _Sum,
    Smooth: lambda op, setup: SmoothKernel(_Filter(op, setup), op, setup),
}
