"""What an engine is: kernels for operators, over an array library of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from numpy.typing import NDArray

from spikewright.engines.plan import Plan, PlanRow
from spikewright.engines.program import Operator, Program, Source
from spikewright.network import Node
from spikewright.network.transforms import Shape

Array = Any  # (batch, steps, *shape) of the engine's library; steps is 1 where nothing changes


class Kernel(ABC):
    """One operator of one execution: holds the operator's state between blocks."""

    stateless = False
    """Whether the output follows from the present input alone.

    Constant inputs then give a constant output, so that the kernel runs once per run; and it is
    shared by all chunks of the batch, whatever their size.
    """

    @abstractmethod
    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        """Advance by `steps` steps after step number `step`; one array per output signal.

        An input has `steps` steps, or one where it is constant.
        """

    def totals(self) -> Sequence[Array]:
        """Absolute outputs per neuron summed since the start, one array a population tallied."""
        return ()


class DelayedKernel(Kernel):
    """A kernel whose output depends on earlier steps alone, so that it may break a loop."""

    @abstractmethod
    def emit(self) -> Array:
        """The output of the coming step, `(batch, 1, *shape)`, valid until `absorb`."""

    @abstractmethod
    def absorb(self, value: Array) -> None:
        """Take this step's input, `(batch, 1, *shape)`, at the end of the step."""


class Engine(ABC):
    """Makes kernels and arrays. Engines hold no run state.

    `name` is how users ask for it; `exact` engines give bit-identical results whatever the batch,
    its order and the time block; `bound` says in words what the others promise.
    """

    name: str
    exact: bool
    bound: str

    def prepare(self, program: Program) -> Program:
        """The program in the form in which this engine runs it.

        Operators may be merged where nothing reads the signal between them; signals that are
        recorded, and their numbers, stay.
        """
        return program

    def explain(self, program: Program) -> Plan:
        """Which kernel runs each operator, and why."""
        return Plan(self.name, tuple(PlanRow(op.label, self.name, "") for op in program.operators))

    def working(self) -> AbstractContextManager[None]:
        """What surrounds a run, e.g. a number of threads that is put back afterwards."""
        return nullcontext()

    @abstractmethod
    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        """A kernel for an operator, its state at the start.

        With `tally` a population's kernel sums its outputs per neuron (see `NeuronKernel.total`).
        """

    @abstractmethod
    def source(self, op: Source, program: Program, fed: NDArray | None, first: int) -> Kernel:
        """A kernel for a source of one run.

        `fed` is `(batch, steps or 1, *shape)` or None; the run begins after step `first` of the
        simulation, and the kernel's `run` is given steps counted from there.
        """

    @abstractmethod
    def empty(self, program: Program, batch: int, steps: int, shape: Shape) -> Array:
        """An uninitialised array `(batch, steps, *shape)`."""

    @abstractmethod
    def to_numpy(self, array: Array) -> NDArray:
        """The array as NumPy's."""

    def chunk_samples(self, program: Program, batch: int) -> int:
        """How many samples of a batch to work on at once; all of them unless an engine chooses."""
        return batch

    @abstractmethod
    def block_steps(self, program: Program, batch: int) -> int:
        """How many steps of `batch` samples to work on at once.

        `program` holds the operators whose output changes from step to step.
        The working set should stay in memory, or in a cache.
        """


class NeuronKernel(Kernel):
    """A population's kernel; `total` sums absolute outputs per neuron since the start."""

    total: Array | None = None

    def totals(self) -> Sequence[Array]:
        return () if self.total is None else (self.total,)


Feeds = Mapping[Node, NDArray]
