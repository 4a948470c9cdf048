"""What an engine is: kernels for operators, over an array library of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from spikewright.engines.program import Operator, Program, Source
from spikewright.network import Node
from spikewright.network.transforms import Shape

Array = Any  # (batch, steps, *shape) of the engine's library; steps is 1 where nothing changes


class Kernel(ABC):
    """One operator of one execution: holds the operator's state between blocks."""

    stateless = False
    """Whether constant inputs give a constant output: such kernels run once per run."""

    @abstractmethod
    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        """Advance by `steps` steps after step number `step`; one array per output signal.

        An input has `steps` steps, or one where it is constant.
        """


class DelayedKernel(Kernel):
    """A kernel whose output depends on earlier steps alone, so that it may break a loop."""

    @abstractmethod
    def emit(self) -> Array:
        """The output of the coming step, `(batch, 1, *shape)`."""

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

    @abstractmethod
    def block_steps(self, program: Program, batch: int) -> int:
        """How many steps to work on at once, so that the working set stays in memory (or cache)."""


class NeuronKernel(Kernel):
    """A population's kernel; `total` sums absolute outputs per neuron since the start."""

    total: Array | None = None


Feeds = Mapping[Node, NDArray]
