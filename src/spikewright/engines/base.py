"""The base class of engines, which make kernels for operators over an array library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, overload
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright._base.formatting import format_table
from spikewright._base.markup import RichRepr, Rows
from spikewright.engines.grid import GRIDS
from spikewright.engines.kernel import NUMPY, EngineArrays, Kernel, Kernels, Setup
from spikewright.engines.operators import Linear, Mapped, NodeSource, Operator
from spikewright.engines.populations import Neurons
from spikewright.engines.program import Block, Program
from spikewright.engines.sources import Given
from spikewright.network import Node


class PlanRow(NamedTuple):
    """An operator's label, the kernel that runs it, the reason, and its multiply-adds per step.

    `work` estimates the multiply-adds of one sample, with zero inputs counted too.
    """

    operator: str
    kernel: str
    why: str
    work: int


@dataclass(frozen=True, repr=False)
class Plan(RichRepr, Sequence[PlanRow]):
    """The operators of a program in order; printed, a table with what each costs."""

    engine: str
    rows: tuple[PlanRow, ...]

    @overload
    def __getitem__(self, index: int) -> PlanRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PlanRow]: ...
    def __getitem__(self, index: int | slice) -> PlanRow | Sequence[PlanRow]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PlanRow]:
        return iter(self.rows)

    def share(self, kernel: str) -> float:
        """The share of a step's multiply-adds that kernels of this name do; 0 if there are none.

        `kernel` is how their names begin; with "reference" it is the share that the native engine
        leaves to the reference engine.
        """
        total = sum(row.work for row in self.rows)
        return sum(row.work for row in self.rows if row.kernel.startswith(kernel)) / max(1, total)

    def _summary(self) -> tuple[str, Rows]:
        total = max(1, sum(row.work for row in self.rows))
        lines = [("operator", f"kernel ({self.engine})", "work", "why")]
        lines += [(row[0], row[1], f"{row.work / total:.1%}", row.why) for row in self.rows]
        return f"{len(self)} operators on the {self.engine} engine.", lines

    def __str__(self) -> str:
        return format_table(self._summary()[1], numbers=(2,))


class Engine(ABC):
    """Makes the kernels that run a program's operators, and arrays; engines hold no run state.

    `name` is the name that users give; `exact` engines give bit-identical results for every batch,
    order of samples and time block; `bound` states the guarantee of the others. `batch_values` are
    the neurons times samples that are worth simulating side by side.
    """

    name: str
    exact: bool
    bound: str
    batch_values = 4_000_000

    def prepare(self, program: Program) -> Program:
        """The program in the form in which this engine runs it.

        Operators may be merged where nothing reads the signal between them; signals that are
        recorded, and their numbers, stay.
        """
        return program

    def explain(self, program: Program) -> Plan:
        """The kernel that runs each operator, and the reason."""
        rows = (
            PlanRow(op.label, self.name, "", op.multiply_adds(program)) for op in program.operators
        )
        return Plan(self.name, tuple(rows))

    def run_context(self) -> AbstractContextManager[None]:
        """A context around a run, e.g. one that sets a number of threads and restores it."""
        return nullcontext()

    @property
    def kernels(self) -> Kernels:
        """The table of kernels: what makes one, for each kind of operator."""
        raise NotImplementedError

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        """A kernel for an operator, its state at the start.

        With `tally` a population's kernel sums its outputs per neuron (see `NeuronKernel`).
        """
        make = self.kernels.get(type(op))
        if make is None:
            raise TypeError(f"the {self.name} engine has no kernel for {type(op).__name__}")
        return make(op, Setup(program, self.arrays(program), batch, tally))

    @abstractmethod
    def source(self, op: NodeSource, program: Program, given: Given, first: int) -> Kernel:
        """A kernel for a source of one run.

        `given` stands for the node's output: an array `(batch, steps or 1, *shape)`, or a function
        of time; None: the output itself. The run begins after step `first` of the simulation, and
        the kernel's `run` is given steps counted from there.
        """

    def arrays(self, program: Program) -> EngineArrays:
        """The makers of arrays for a program."""
        return NUMPY

    def chunk_samples(self, program: Program, batch: int) -> int:
        """The number of samples to compute at once: the whole batch, unless an engine chooses."""
        return batch

    @abstractmethod
    def block_steps(self, program: Program, batch: int) -> int:
        """The number of steps of `batch` samples to compute at once.

        `program` holds the operators whose output changes from step to step. Their working set
        should fit in memory, or in a cache.
        """

    # How much memory a run takes: upper bounds, for an engine that works on whole arrays.

    def value_bytes(self, program: Program) -> int:
        """Bytes of a value of this engine's arrays."""
        return 8

    def signal_bytes(self, signal: int, program: Program) -> int:
        """Bytes of a value of a signal between operators of a prepared program."""
        return self.value_bytes(program)

    def state_bytes(
        self, op: Operator, program: Program, tally: bool, batch: int, span: RunSpan | None
    ) -> Mapping[str, int]:
        """Bytes of the state of `batch` samples during a span of a run (None: any), by label."""
        size = op.state_values(program) * (8 if op.float64_state else self.value_bytes(program))
        if isinstance(op, Neurons) and tally:
            kind = op.neuron_type
            recent = self.value_bytes(program) if kind.spiking else 0  # sums of the last steps
            size += (8 + recent) * (1 + kind.negative) * op.size(program)
        return {op.label: size * batch} if size else {}

    def workspace_bytes(self, op: Operator, block: Block) -> int:
        """Bytes that an operator's kernel needs while it runs, beside its inputs and outputs."""
        return 8 * op.workspace_values(block)

    def weight_memory(self, op: Operator, program: Program) -> EngineWeights:
        """The memory of an operator's weights in this engine's format."""
        values = number_of_weights(op)
        products = 8 * values if isinstance(op, Linear) and op.is_scaled else 0
        limbs = GRIDS[program.precision].weight_limbs
        return EngineWeights({op.label: 8 * limbs * values}, 8 * values + products)

    def has_weights(self, op: Operator) -> bool:
        """Whether the engine already has an operator's weights in its format."""
        return False

    def device_memory(self) -> int | None:
        """Free bytes of the device that holds arrays; None where that is the machine's memory."""
        return None


class RunSpan(NamedTuple):
    """The steps of a run from its start, the steps of a block, and whether no run follows."""

    steps: int
    block: int
    last: bool


class EngineWeights(NamedTuple):
    """Memory of weights in an engine's format: bytes by label, temporary bytes of converting."""

    kept: Mapping[str, int]
    temporary: int


def number_of_weights(op: Operator) -> int:
    """The number of weights of a linear map; 0 for other operators."""
    return sum(array.size for array in arrays_of(op)) if isinstance(op, Mapped) else 0


def arrays_of(op: Operator) -> Sequence[NDArray]:
    """The arrays that an operator, or its transform, holds."""
    if op not in _arrays:
        owners = (op.transform, op) if isinstance(op, Mapped) else (op,)
        values = (value for owner in owners for value in vars(owner).values())
        _arrays[op] = [value for value in values if isinstance(value, np.ndarray)]
    return _arrays[op]


_arrays: WeakKeyDictionary[Operator, Sequence[NDArray]] = WeakKeyDictionary()


Feeds = Mapping[Node, NDArray]
