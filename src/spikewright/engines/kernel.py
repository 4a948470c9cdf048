"""The base classes of kernels, which run one operator of one execution and hold its state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.operators import Operator
from spikewright.engines.parameters import uniform_draws
from spikewright.engines.populations import Learned, Neurons
from spikewright.engines.program import Program
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.totals import Sums
from spikewright.network.neurons import Clock
from spikewright.network.transforms import Shape

ANY = 2**62  # steps: as many as a run has

Array = Any  # (batch, steps, *shape) of the engine's library; steps is 1 where nothing changes
Call = Callable[[int, int], None]
"""A function of the place `t` of a step in arrays, and of the number of steps before it."""


class EngineArrays:
    """Makes arrays for an engine; this class makes NumPy's, in float64 in every precision."""

    @property
    def shares_numpy_memory(self) -> bool:
        """Whether the arrays share memory with NumPy's."""
        return True

    @property
    def float64(self) -> EngineArrays:
        """The same for arrays of float64."""
        return self

    def copy_of(self, values: NDArray) -> Array:
        """An array with a copy of these values."""
        return np.array(values)

    def as_array(self, values: NDArray) -> Array:
        """An array of these values, which may share their memory."""
        return np.asarray(values, np.float64)

    def zeros(self, shape: Shape) -> Array:
        """An array of zeros, such as a state that is changed in place."""
        return np.zeros(shape)

    def empty(self, shape: Shape) -> Array:
        """An uninitialised array."""
        return np.empty(shape)

    def numpy(self, array: Array) -> NDArray:
        """An array's values; they may share its memory."""
        return np.asarray(array)


NUMPY = EngineArrays()


class Setup(NamedTuple):
    """The arguments of a kernel's constructor: program, arrays of the engine, number of samples.

    With `tally` a population's kernel sums its outputs per neuron (see `NeuronKernel`).
    """

    program: Program
    arrays: EngineArrays
    batch: int
    tally: bool

    def shape(self, op: Operator) -> Shape:
        """The unbatched shape of an operator's output."""
        return self.program.shapes[op.output]

    def zeros(self, op: Operator, *rows: int) -> Array:
        """Zeros `(batch, *rows, *shape)`."""
        return self.arrays.zeros((self.batch, *rows, *self.shape(op)))

    def empty(self, op: Operator, steps: int) -> Array:
        """An uninitialised array `(batch, steps, *shape)` for an operator's output."""
        return self.arrays.empty((self.batch, steps, *self.shape(op)))


Kernels = Mapping[type[Operator], Callable[[Any, Setup], "Kernel"]]
"""The function that makes a kernel, for each kind of operator."""


class Kernel(ABC):
    """Runs one operator of one execution, and holds its state between blocks."""

    stateless = False
    """Whether the output follows from the present input alone.

    Constant inputs then give a constant output, so that the kernel runs once per run; and it is
    shared by all chunks of the batch, whatever their size.
    """

    changing: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that hold its state: kernels, and values that `copy_state` copies."""

    @abstractmethod
    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        """Advance by `steps` steps after step number `step`; one array per output signal.

        An input has `steps` steps, or one where it is constant.
        """

    # In a loop a step has two halves: `begin` in the operators' order, then `end` for those that
    # read something at the step's end.

    @property
    def ahead(self) -> int:
        """The largest number of coming steps that this kernel lets a loop run at once."""
        return ANY

    def begin(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        """The outputs that depend on the operator's `immediate_inputs`, before a step's end.

        They are those of the next `steps` steps after step number `step`, at most `ahead`.
        """
        return self.run(inputs, step, steps)

    def end(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Take all inputs of the steps since `begin`; returns the operator's `late_outputs`."""
        raise TypeError(f"a {type(self).__name__} reads nothing at a step's end")

    def restart(self) -> None:
        """Reset the state to that before the first step; totals stay."""
        raise TypeError(f"{type(self).__name__} does not start again")

    def state(self) -> dict[str, Any]:
        """All that later steps depend on, as copies that do not change when the kernel runs."""
        return {name: copy_state(getattr(self, name)) for name in self.changing}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state of this kernel, or of another one of the same operator and batch."""
        for name, value in state.items():
            setattr(self, name, restore_state(getattr(self, name), value))

    def mark(self) -> None:
        """Save the present state, to which `rewind` returns."""
        held = {name: getattr(self, name) for name in self.changing}
        self._within = [value for value in held.values() if isinstance(value, Kernel)]
        for kernel in self._within:
            kernel.mark()
        own = ((name, value) for name, value in held.items() if not isinstance(value, Kernel))
        self._marked = {name: copy_state(value) for name, value in own}

    def rewind(self) -> None:
        """Return to the state of the last `mark`; the mark stays."""
        for kernel in self._within:
            kernel.rewind()
        self.restore(self._marked)

    def prepare_step(self, inputs: Sequence[Array]) -> PreparedStep | None:
        """Prepare single steps between fixed arrays; None where only `run` is available.

        `inputs` are `(batch or 1, 1, *shape)` arrays, into which the caller writes.
        """
        return None

    def conclude(self) -> None:
        """Announce that the next run is the last one, after which only totals are read."""
        return None

    def totals(self) -> Iterable[Sums]:
        """The outputs of each tallied population, summed per neuron since the start.

        They may be the kernel's own state, so they are read before it runs again.
        """
        return ()

    def learned(self) -> Mapping[Learned, Array]:
        """The present weights `(batch, out, in)` of each operator that learns."""
        return {}

    def python_steps(self) -> Iterable[PythonStep]:
        """The functions and processes that it calls for each sample, in order."""
        return ()

    def output_writer(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Call | None:
        """A function that writes `outputs[0][t]`, of arrays `(steps, batch, *shape)`.

        It reads `inputs`, `(batch or 1, steps or 1, *shape)`. None where `begin` has to be called.
        """
        return None


class PreparedStep(ABC):
    """A kernel's single steps between fixed arrays: what `run` sets up each time is set up once."""

    outputs: Sequence[Array]
    """The arrays `(batch, 1, *shape)` that every step writes into."""

    @abstractmethod
    def step(self, number: int) -> Sequence[Array]:
        """Run the step after step `number`; returns `outputs`.

        It returns other arrays if the kernel can no longer use these; later steps need `run`.
        """


class DelayedKernel(Kernel):
    """A kernel whose output depends only on earlier steps, so that it can break a loop."""

    def __init__(self, op: Operator, setup: Setup) -> None:
        self._op, self._setup = op, setup

    @property
    def ahead(self) -> int:
        """The number of coming steps whose output is already known."""
        return 1

    @abstractmethod
    def emit(self) -> Array:
        """The output of the coming `ahead` steps, `(batch, 1, *shape)`, valid until `absorb`."""

    @abstractmethod
    def absorb(self, value: Array) -> None:
        """Take the input of the steps since `emit`, `(batch, steps, *shape)`, at their end."""

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        (x,) = inputs
        outputs = self._setup.empty(self._op, steps)
        for t in range(steps):
            (outputs[:, t : t + 1],) = self.begin([], step + t, 1)
            self.absorb(x if x.shape[1] == 1 else x[:, t : t + 1])
        return [outputs]

    def begin(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        return [self.emit()]

    def end(self, inputs: Sequence[Array]) -> Sequence[Array]:
        self.absorb(inputs[0])
        return ()


class NeuronKernel(Kernel):
    """The base of kernels of populations, which hold the neurons' state in an engine's arrays.

    `total` sums the magnitudes of outputs per neuron since the start. `net` sums the outputs, and
    is None if none is negative.
    """

    total: Array | None = None
    net: Array | None = None

    def __init__(self, op: Neurons, setup: Setup, arrays: EngineArrays) -> None:
        self._op, self._setup, self._arrays = op, setup, arrays
        self._shape = (setup.batch, *op.ensemble.shape)
        one = np.ndim(op.threshold) == 0
        self._threshold: Any = float(op.threshold) if one else arrays.as_array(op.threshold)
        self._state: dict[str, Array] = {}
        self.restart()
        self.stateless = not (op.has_state or op.changes or setup.tally)

    def restart(self) -> None:
        op = self._op
        starts = dict(op.initial_state)
        if op.neuron_type.has_voltage:
            starts["voltage"] = op.initial_voltage
        for name, value in starts.items():
            self._state[name] = self._arrays.copy_of(np.broadcast_to(value, self._shape))

    def _clock(self, step: int) -> Clock:
        op, arrays = self._op, self._arrays

        def uniform(index: int) -> Array:
            return arrays.as_array(uniform_draws(op.key, step, index, op.ensemble.shape))

        return Clock(step, self._setup.program.dt, self._threshold, uniform)

    def totals(self) -> Iterable[Sums]:
        if self.total is not None:
            yield Sums(self.total, self.total if self.net is None else self.net)


def copy_state(value: Any) -> Any:
    """A copy of a state variable, which later steps do not change; for a kernel, its state."""
    if isinstance(value, dict):
        return {key: copy_state(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copy_state(one) for one in value)
    if hasattr(value, "restore"):
        return value.state()
    copy = getattr(value, "clone", None) or getattr(value, "copy", None)
    return value if copy is None else copy()


def restore_state(now: Any, value: Any) -> Any:
    """The value of a variable after a return to a copied state; kernels restore themselves."""
    if hasattr(now, "restore"):
        now.restore(value)
        return now
    return copy_state(value)
