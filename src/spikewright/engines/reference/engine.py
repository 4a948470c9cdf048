"""The reference engine: NumPy, float64, as the equations read. The oracle of every test.

Sums are exact (`engines.grid`) or elementwise in a fixed order, so results are bit-identical
whatever the batch, its order and the time block.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NumpyFunctions
from spikewright.engines.base import Array, Call, DelayedKernel, Engine, Kernel, NeuronKernel
from spikewright.engines.generating import ProcessKernel
from spikewright.engines.kernels import DelayKernel, SmoothKernel, adding
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
    uniform_draws,
)
from spikewright.engines.reference.functions import apply_kernel
from spikewright.engines.reference.learning import LearnedKernel
from spikewright.engines.reference.linear import LinearKernel, SparseArrivals
from spikewright.engines.sources import Given, constant_value, source_block
from spikewright.engines.working import peak_bytes
from spikewright.network.neurons import Clock, integrate

_BLOCK_VALUES = 2_000_000  # values of the widest signal in a block: some tens of MB altogether


class ReferenceEngine(Engine):
    """NumPy in float64."""

    name = "reference"
    exact = True
    bound = "bit-identical whatever the batch, its order and the time block"

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        if isinstance(op, Linear):
            return LinearKernel(op, program.precision)
        if isinstance(op, ScaledSum):
            return _Sum(op, program.shapes[op.output])
        if isinstance(op, Filter):
            return _Filter(op, batch, program.shapes[op.output])
        if isinstance(op, Smooth):
            shape = program.shapes[op.output]
            filter = _Filter(op, batch, shape)
            return SmoothKernel(filter, lambda steps: np.empty((batch, steps, *shape)))
        if isinstance(op, Delay):
            shape = program.shapes[op.output]
            kept = np.zeros((batch, op.steps, *shape))
            return DelayKernel(kept, lambda steps: np.empty((batch, steps, *shape)))
        if isinstance(op, DelayedLinear):
            shape = program.shapes[op.output]
            kept = np.zeros((batch, op.rows, *shape))
            return SparseArrivals(op, kept, lambda steps: np.empty((batch, steps, *shape)))
        if isinstance(op, Learned):
            return LearnedKernel(op, program.precision, program.dt, batch)
        if isinstance(op, Average):
            return _Average(op, batch, program.shapes[op.output])
        if isinstance(op, Apply):
            return apply_kernel(op, program.dt, batch)
        if isinstance(op, Generate):
            return ProcessKernel(op, program, batch)
        if isinstance(op, Neurons):
            return _Neurons(op, program.dt, batch, tally)
        raise TypeError(f"the reference engine has no kernel for {type(op).__name__}")

    def source(self, op: NodeSource, program: Program, given: Given, first: int) -> Kernel:
        return _SourceKernel(op, program.dt, given, first)

    def empty(self, program: Program, batch: int, steps: int, shape: tuple[int, ...]) -> Array:
        return np.empty((batch, steps, *shape))

    def to_numpy(self, array: Array) -> NDArray:
        return np.asarray(array)

    def work_bytes(
        self, op: Operator, program: Program, batch: int, steps: int, held: Collection[int]
    ) -> int:
        if not isinstance(op, Neurons):
            return super().work_bytes(op, program, batch, steps, held)
        at_once = steps if _Neurons(op, program.dt, 0, tally=False).stateless else 1
        size = int(np.prod(op.ensemble.shape))
        return int(_step_bytes(op, program.dt) * batch * at_once * size)

    def block_steps(self, program: Program, batch: int) -> int:
        widest = max((int(np.prod(shape)) for shape in program.shapes), default=1)
        return int(np.clip(_BLOCK_VALUES // max(1, widest * batch), 1, 1000))


def _step_bytes(op: Neurons, dt: float) -> float:
    """Bytes a neuron that its equation's arrays take in a step, as measured in a small one.

    Classes of a user's own are not called for this: they may keep what they are given.
    """
    if not type(op.neuron_type).__module__.startswith("spikewright."):
        return 8.0 * _OF_OTHERS
    if op not in _measured:
        size = max(1, int(np.prod(op.ensemble.shape)))
        batch = -(-_MEASURED_NEURONS // size)
        kernel = _Neurons(op, dt, batch, tally=True)
        current = np.ones((batch, 1, *op.ensemble.shape))
        kernel.run([current], 0, 1)  # what is kept from step to step is there
        _measured[op] = peak_bytes(lambda: kernel.run([current], 1, 1)) / (batch * size)
    return _measured[op]


_MEASURED_NEURONS = 4096  # beside which objects are small
_OF_OTHERS = 11  # arrays of one step
_measured: WeakKeyDictionary[Neurons, float] = WeakKeyDictionary()


class _SourceKernel(Kernel):
    """Runs by the steps done in this *run*; `first` is the number of steps before it."""

    def __init__(self, op: NodeSource, dt: float, given: Given, first: int) -> None:
        self._node, self._dt, self._given, self._first = op.node, dt, given, first
        self._constant = constant_value(op.node, given)
        self.stateless = self._constant is not None

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        if self._constant is not None:
            return [self._constant]
        return [source_block(self._node, self._given, step, self._first + step, steps, self._dt)]


class _Sum(Kernel):
    stateless = True

    def __init__(self, op: ScaledSum, shape: tuple[int, ...]) -> None:
        self._op, self._shape = op, shape

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        return [self._op.added(inputs or [np.zeros((1, 1, *self._shape))])]

    def into(self, inputs: Sequence[NDArray], outputs: Sequence[NDArray]) -> Call | None:
        plain = inputs and self._op.gain is None and self._op.bias is None
        return adding(inputs, outputs[0]) if plain else None


class _Filter(DelayedKernel):
    """`x_t = A x_(t-1) + B u_t`, elementwise over the signal, order by order."""

    changing = ("_state", "_output")

    def __init__(self, op: Filter | Smooth, batch: int, shape: tuple[int, ...]) -> None:
        self._filter = op.filter
        self._state = [np.zeros((batch, *shape)) for _ in range(op.filter.order)]
        self._output = np.zeros((batch, *shape))

    def emit(self) -> Array:
        return self._output[:, None]

    def absorb(self, value: Array) -> None:
        zero = np.zeros_like(self._output)
        self._state, self._output = self._filter.by_line(self._state, value[:, 0], zero)

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        outputs = np.empty((len(self._output), steps, *self._output.shape[1:]))
        for t in range(steps):
            outputs[:, t] = self._output
            self.absorb(x if x.shape[1] == 1 else x[:, t : t + 1])
        return [outputs]


class _Average(DelayedKernel):
    """Sums of a window, step by step so that their order is that of time; then their mean."""

    changing = ("_done", "_sum", "_mean")

    def __init__(self, op: Average, batch: int, shape: tuple[int, ...]) -> None:
        self._steps, self._done = op.steps, 0
        self._sum = np.zeros((batch, *shape))
        self._mean = np.array(np.broadcast_to(op.initial, (batch, *shape)))

    @property
    def ahead(self) -> int:
        return self._steps - self._done

    def emit(self) -> Array:
        return self._mean[:, None]

    def absorb(self, value: Array) -> None:
        for t in range(value.shape[1]):
            self._take(value[:, t])

    def _take(self, now: NDArray) -> None:
        self._sum = self._sum + now
        self._done += 1
        if self._done == self._steps:
            self._mean = self._sum / self._steps
            self._sum, self._done = np.zeros_like(self._sum), 0

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        outputs = np.empty((len(self._mean), steps, *self._mean.shape[1:]))
        for t in range(steps):
            outputs[:, t] = self._mean
            self._take(x[:, 0 if x.shape[1] == 1 else t])
        return [outputs]


class _Namespace(NumpyFunctions):
    """NumPy and the integrator: the array functions of neuron equations."""

    integrate = staticmethod(integrate)


_NAMESPACE: Any = _Namespace()


class _Neurons(NeuronKernel):
    changing = ("_state", "total", "net")

    def __init__(self, op: Neurons, dt: float, batch: int, tally: bool) -> None:
        self._op, self._dt, self._batch = op, dt, batch
        shape = (batch, *op.ensemble.shape)
        self._state: dict[str, NDArray] = {}
        self.restart()
        self.total = np.zeros(shape) if tally else None
        self.net = np.zeros(shape) if tally and op.neuron_type.negative else None
        self.stateless = not (op.neuron_type.spiking or self._state or tally)

    def restart(self) -> None:
        op, shape = self._op, (self._batch, *self._op.ensemble.shape)
        self._state = {name: np.full(shape, value) for name, value in op.initial_state.items()}
        if op.neuron_type.has_voltage:
            self._state["voltage"] = np.array(np.broadcast_to(op.initial_voltage, shape))

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (current,) = inputs
        if self.stateless:
            return [self._op.neuron_type.step(_NAMESPACE, current, {}, self._clock(0))]
        shape = (self._batch, steps, *self._op.ensemble.shape)
        outputs = [np.empty(shape) for _ in self._op.outputs]
        for t in range(steps):
            now = current[:, 0 if current.shape[1] == 1 else t]
            output = self._op.neuron_type.step(
                _NAMESPACE, now, self._state, self._clock(step + t + 1)
            )
            outputs[0][:, t] = output
            for name, kept in zip(self._op.states, outputs[1:], strict=True):
                kept[:, t] = self._state[name]
            if self.total is not None:  # step by step: sums of rates depend on their order
                self.total += self._op.neuron_type.sent_in(step + t + 1, output)
            if self.net is not None:
                self.net += output
        return outputs

    def _clock(self, step: int) -> Clock:
        op = self._op

        def uniform(index: int) -> NDArray:
            return uniform_draws(op.key, step, index, op.ensemble.shape)

        return Clock(step, self._dt, op.threshold, uniform)
