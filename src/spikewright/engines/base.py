"""The base of engines: kernels for operators, over an array library of the engine's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import GRIDS
from spikewright.engines.kernel_state import copied, restored
from spikewright.engines.operators import (
    Apply,
    Average,
    Delay,
    DelayedLinear,
    Filter,
    Learned,
    Mapped,
    Neurons,
    NodeSource,
    Operator,
    Smooth,
)
from spikewright.engines.plan import Plan, PlanRow
from spikewright.engines.program import Program
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.sources import Given
from spikewright.engines.totals import Sums
from spikewright.engines.work import multiply_adds
from spikewright.engines.working import SPARSE_TERMS, Work, size_of
from spikewright.network import Node
from spikewright.network.transforms import AxisMap, Convolution, Dense, Shape, Sparse

ANY = 2**62  # steps: as many as a run has

Array = Any  # (batch, steps, *shape) of the engine's library; steps is 1 where nothing changes
Call = Callable[[int, int], None]
"""A function of the place `t` of a step in arrays, and of the number of steps before it."""


class Kernel(ABC):
    """One operator of one execution: holds the operator's state between blocks."""

    stateless = False
    """Whether the output follows from the present input alone.

    Constant inputs then give a constant output, so that the kernel runs once per run; and it is
    shared by all chunks of the batch, whatever their size.
    """

    changing: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes with its state: kernels, and what `kernel_state.copied` copies."""

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
        """Outputs that follow from the operator's `prompt` inputs, before a step's end.

        Of the next `steps` steps after step number `step`, at most `ahead`.
        """
        return self.run(inputs, step, steps)

    def end(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Take all inputs of the steps since `begin`; returns the operator's `late` outputs."""
        raise TypeError(f"a {type(self).__name__} reads nothing at a step's end")

    def restart(self) -> None:
        """Set the state back to that before the first step; totals stay."""
        raise TypeError(f"{type(self).__name__} does not start again")

    def state(self) -> dict[str, Any]:
        """All that later steps depend on: values that stay when the kernel goes on."""
        return {name: copied(getattr(self, name)) for name in self.changing}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a state of this kernel, or of another one of the same operator and batch."""
        for name, value in state.items():
            setattr(self, name, restored(getattr(self, name), value))

    def mark(self) -> None:
        """Keep the present state, to which `rewind` returns."""
        held = {name: getattr(self, name) for name in self.changing}
        self._within = [value for value in held.values() if isinstance(value, Kernel)]
        for kernel in self._within:
            kernel.mark()
        own = ((name, value) for name, value in held.items() if not isinstance(value, Kernel))
        self._marked = {name: copied(value) for name, value in own}

    def rewind(self) -> None:
        """Return to the state of the last `mark`; the mark stays."""
        for kernel in self._within:
            kernel.rewind()
        self.restore(self._marked)

    def stepping(self, inputs: Sequence[Array]) -> Stepping | None:
        """The coming steps one by one, between arrays that stay; None where `run` does them.

        `inputs` are `(batch or 1, 1, *shape)`; whoever asks writes into them.
        """
        return None

    def conclude(self) -> None:
        """Note that the next run is the last one: only totals are read after it."""
        return None

    def totals(self) -> Iterable[Sums]:
        """Outputs per neuron summed since the start, of each population that is tallied.

        They may be the kernel's own state, so they are read before it runs again.
        """
        return ()

    def learned(self) -> Mapping[Learned, Array]:
        """The present weights `(batch, out, in)` of each operator that learns."""
        return {}

    def python_steps(self) -> Iterable[PythonStep]:
        """The functions and processes that it calls sample by sample, in order."""
        return ()

    def into(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Call | None:
        """A function that fills `outputs[0][t]`, of arrays `(steps, batch, *shape)`.

        It reads `inputs`, `(batch or 1, steps or 1, *shape)`. None where `begin` does it.
        """
        return None


class Stepping(ABC):
    """Steps of a kernel one by one: what `run` would make anew for each of them is made once."""

    outputs: Sequence[Array]
    """The arrays `(batch, 1, *shape)` that every step writes into."""

    @abstractmethod
    def step(self, number: int) -> Sequence[Array]:
        """Do the step after step `number`; returns `outputs`.

        It returns other arrays where the kernel no longer steps in this way: `run` goes on.
        """


class DelayedKernel(Kernel):
    """A kernel whose output depends on earlier steps alone, so that it may break a loop."""

    @property
    def ahead(self) -> int:
        """The number of coming steps whose output is known already."""
        return 1

    @abstractmethod
    def emit(self) -> Array:
        """The output of the coming step, `(batch, 1, *shape)`, valid until `absorb`.

        It is that of the coming `ahead` steps.
        """

    @abstractmethod
    def absorb(self, value: Array) -> None:
        """Take the input of the steps since `emit`, `(batch, steps, *shape)`, at their end."""

    def begin(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        return [self.emit()]

    def end(self, inputs: Sequence[Array]) -> Sequence[Array]:
        self.absorb(inputs[0])
        return ()


class Engine(ABC):
    """Makes kernels and arrays. Engines hold no run state.

    `name` is the name that users give; `exact` engines give bit-identical results for every batch,
    order of samples and time block; `bound` states the guarantee of the others. `batch_values` are
    the neurons times samples that are worth simulating side by side.
    """

    name: str
    exact: bool
    bound: str
    batch_values = 4_000_000

    tells = False
    """True for engines that write totals while a run ends, not when they are read."""

    sums_in_turn = True
    """True for engines whose neurons run step by step where their outputs are summed."""

    def prepare(self, program: Program) -> Program:
        """The program in the form in which this engine runs it.

        Operators may be merged where nothing reads the signal between them; signals that are
        recorded, and their numbers, stay.
        """
        return program

    def explain(self, program: Program) -> Plan:
        """The kernel that runs each operator, and the reason."""
        rows = (
            PlanRow(op.label, self.name, "", multiply_adds(op, program)) for op in program.operators
        )
        return Plan(self.name, tuple(rows))

    def working(self) -> AbstractContextManager[None]:
        """A context around a run, e.g. a number of threads that is put back afterwards."""
        return nullcontext()

    @abstractmethod
    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        """A kernel for an operator, its state at the start.

        With `tally` a population's kernel sums its outputs per neuron (see `NeuronKernel`).
        """

    @abstractmethod
    def source(self, op: NodeSource, program: Program, given: Given, first: int) -> Kernel:
        """A kernel for a source of one run.

        `given` stands for the node's output: an array `(batch, steps or 1, *shape)`, or a function
        of time; None: the output itself. The run begins after step `first` of the simulation, and
        the kernel's `run` is given steps counted from there.
        """

    @abstractmethod
    def empty(self, program: Program, batch: int, steps: int, shape: Shape) -> Array:
        """An uninitialised array `(batch, steps, *shape)`."""

    @abstractmethod
    def to_numpy(self, array: Array) -> NDArray:
        """The array as NumPy's."""

    def chunk_samples(self, program: Program, batch: int) -> int:
        """The number of samples to work on at once; all of them unless an engine chooses."""
        return batch

    @abstractmethod
    def block_steps(self, program: Program, batch: int) -> int:
        """The number of steps of `batch` samples to work on at once.

        `program` holds the operators whose output changes from step to step.
        The working set should stay in memory, or in a cache.
        """

    # How much memory a run takes: upper bounds, for an engine that works on whole arrays.

    def value_bytes(self, program: Program) -> int:
        """Bytes of a value of this engine's arrays."""
        return 8

    def signal_bytes(self, signal: int, program: Program) -> int:
        """Bytes of a value of a signal between operators of a prepared program."""
        return self.value_bytes(program)

    def state_bytes(self, op: Operator, program: Program, tally: bool) -> Mapping[str, int]:
        """Bytes that an operator's kernel holds from block to block, a sample, by label."""
        size = size_of(program, op.outputs[:1])
        if isinstance(op, Neurons):
            kind = op.neuron_type
            item = 8 if kind.stochastic else self.value_bytes(program)
            held = len(kind.initial_values()) + kind.has_voltage
            recent = self.value_bytes(program) if kind.spiking else 0  # sums of the last steps
            sums = (8 + recent) * (1 + kind.negative) * tally
            return {op.label: size * (item * held + sums)}
        if isinstance(op, Filter | Smooth):
            return {op.label: size * self.value_bytes(program) * (op.filter.order + 1)}
        if isinstance(op, Delay):
            return {op.label: size * self.value_bytes(program) * op.steps}
        if isinstance(op, DelayedLinear):
            return {op.label: size * self.value_bytes(program) * op.rows}
        if isinstance(op, Learned):
            return {op.label: _learned_values(op, program.dt) * 8}
        if isinstance(op, Average):
            return {op.label: 2 * 8 * size}
        if isinstance(op, Apply):
            return {op.label: 8 * (size_of(program, op.inputs) + size)}
        return {}

    def held_state(
        self, op: Operator, program: Program, tally: bool, batch: int, stretch: Stretch | None
    ) -> Mapping[str, int]:
        """Bytes of the state of `batch` samples while a stretch is run (None: any), by label."""
        sizes = self.state_bytes(op, program, tally)
        return {label: size * batch for label, size in sizes.items()}

    def work_bytes(
        self, op: Operator, program: Program, batch: int, steps: int, held: Collection[int]
    ) -> int:
        """Bytes that an operator's kernel takes up while it runs `steps` steps of `batch` samples.

        Its inputs and outputs are left out. Signals in `held` have one step.
        """
        return Work.of(op, program, batch, steps, held).bytes

    def held(self, op: Operator, program: Program) -> Held:
        """Memory of an operator's weights in this engine's own form."""
        if not isinstance(op, Mapped):
            return Held({}, 0)
        values = number_of_weights(op)
        if isinstance(op.transform, Sparse):  # in order, and where the terms of some frames go
            entries = len(op.transform.values)
            return Held({op.label: 8 * (values + max(entries, SPARSE_TERMS))}, 2 * 8 * entries)
        if not isinstance(op.transform, AxisMap | Convolution | Dense):
            return Held({}, 0)
        limbs = GRIDS[program.precision].weight_limbs
        return Held({op.label: 8 * limbs * values}, 8 * values)

    def holds(self, op: Operator) -> bool:
        """Whether they are there already."""
        return False

    def device_room(self) -> int | None:
        """Bytes left where the arrays are, or None where that is the machine's memory."""
        return None


class Stretch(NamedTuple):
    """Steps of a run from the start, so many in a block; whether none follow."""

    steps: int
    block: int
    last: bool

    @property
    def once(self) -> bool:
        """True for steps that fit into one block."""
        return self.steps <= self.block


class Held(NamedTuple):
    """Weights in an engine's own form: bytes by label, and temporary bytes while they are made."""

    kept: Mapping[str, int]
    making: int


def number_of_weights(op: Operator) -> int:
    """Numbers that an operator of a program holds."""
    return sum(array.size for array in arrays_of(op))


def arrays_of(op: Operator) -> Sequence[NDArray]:
    """The arrays that an operator of a program holds, or its transform."""
    owners = (op.transform, op) if isinstance(op, Mapped) else (op,)
    values = (value for owner in owners for value in vars(owner).values())
    return [value for value in values if isinstance(value, np.ndarray)]


class NeuronKernel(Kernel):
    """A population's kernel.

    `total` sums the magnitudes of outputs per neuron since the start. `net` sums the outputs, and
    is None where none is negative.
    """

    total: Array | None = None
    net: Array | None = None

    def totals(self) -> Iterable[Sums]:
        if self.total is not None:
            yield Sums(self.total, self.total if self.net is None else self.net)


def _learned_values(op: Learned, dt: float) -> int:
    """The number of values that learned weights keep: weights, applied weights, rules' state."""
    states = [learning.rule.initial_state(op.initial.shape[1], dt) for learning in op.rules]
    kept = sum(value.size for state in states for value in state.values())
    return 3 * op.initial.size + kept


Feeds = Mapping[Node, NDArray]
