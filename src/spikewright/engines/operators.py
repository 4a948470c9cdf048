"""Operators on signals: what a step computes, and all that engines and plans ask about each kind.

Signals of spiking neurons are counts; their height `amplitude / (s dt)` is a factor of the operator
that reads them, so that sums over spikes are sums of small integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from numpy.typing import NDArray

from spikewright.engines.compensation import Compensation, weights_of
from spikewright.engines.spike_scaling import carries, in_steps, weighted
from spikewright.network import Ensemble, MaxPool, Node, NodeFunction
from spikewright.network.processes import Process
from spikewright.network.synapses import DiscreteFilter, Synapse
from spikewright.network.transforms import Convolution, Shape, Sparse, Transform


class SignalShapes(Protocol):
    """The facts of a program that operators need: shapes of signals, and the seconds of a step."""

    @property
    def shapes(self) -> Sequence[Shape]: ...
    @property
    def dt(self) -> float: ...


class BlockShape(Protocol):
    """Some steps of some samples of a program, as operators tell what they work on."""

    @property
    def samples(self) -> int: ...
    @property
    def step(self) -> BlockShape:
        """One of its steps."""

    def values(self, signals: Sequence[int]) -> int:
        """Values of signals in it."""


class CalledObject(NamedTuple):
    """An object that an operator calls at every step, which may be a user's, and its methods.

    No methods stand for the object itself. It is `shared` by all samples where it is called on
    arrays of them, and else called sample by sample.
    """

    target: Any
    methods: tuple[str, ...]
    shared: bool


@dataclass(frozen=True, eq=False)
class Operator:
    """Computes the signal `output` from the signals `inputs`; `label` names it in the plan.

    A kind of operator says of itself all that the order of a step, plans, checks and engines ask.
    """

    label: str
    inputs: tuple[int, ...]
    output: int
    keeps: ClassVar[bool] = False
    """Whether it has state from step to step; means over windows do not count."""
    wide: ClassVar[bool] = False
    """Whether the state is in float64 in every precision."""
    by_window: ClassVar[bool] = False
    """Whether its output is known for many steps ahead, so that a loop runs these at once."""
    by_sample: ClassVar[bool] = False
    """Whether it calls a function of time and input sample by sample."""

    @property
    def passes_counts(self) -> bool:
        """Whether its output is whole numbers where all inputs are counts of spikes."""
        return False

    @property
    def outputs(self) -> tuple[int, ...]:
        """All signals that the operator makes."""
        return (self.output,)

    @property
    def late(self) -> tuple[int, ...]:
        """The last outputs, those that are known only at a step's end; probes alone read them."""
        return ()

    @property
    def prompt(self) -> tuple[int, ...]:
        """The first inputs, those that its output needs within a step.

        The others are read at the step's end.
        """
        return self.inputs

    @property
    def populations(self) -> tuple[Ensemble, ...]:
        """The populations that it steps."""
        return ()

    @property
    def stateless(self) -> bool:
        """Whether its output depends on its present input alone."""
        return not (self.keeps or self.changes or self.by_sample)

    @property
    def changes(self) -> bool:
        """Whether its output differs from step to step even where its input does not."""
        return self.keeps

    @property
    def restart(self) -> int | None:
        """The number of steps after which its state is as it was at the start; None: never."""
        return None

    @property
    def calls(self) -> Sequence[CalledObject]:
        """The Python that it calls at every step and that may be a user's."""
        return ()

    def kept_values(self, program: SignalShapes) -> int:
        """The number of values of its state, of one sample."""
        return 0

    def workspace_values(self, block: BlockShape) -> int:
        """Values that a kernel on whole arrays holds at most beside its inputs and outputs."""
        return 4 * block.step.values(self.outputs) if self.changes else block.values(self.outputs)

    def gives_counts(self, known: set[int]) -> bool:
        """Whether its output is counts of spikes, or whole numbers made of them, as `known` are."""
        return self.passes_counts and bool(self.inputs) and known.issuperset(self.inputs)

    def work(self, program: SignalShapes) -> int:
        """Multiply-adds of a step of one sample, zeros too; one a value where it has no weights."""
        return self.size(program)

    def size(self, program: SignalShapes) -> int:
        """Values of its output in a step of one sample."""
        return math.prod(program.shapes[self.output])


@dataclass(frozen=True, eq=False)
class OfNode(Operator):
    """The output of a node."""

    node: Node

    @property
    def calls(self) -> Sequence[CalledObject]:
        function = self.node.output
        if isinstance(function, NodeFunction):
            return (CalledObject(function, ("apply", "reached"), True),)
        alone = callable(function) and not self.node.stateless
        return (CalledObject(function, (), False),) if alone else ()


@dataclass(frozen=True, eq=False)
class NodeSource(OfNode):
    """A node without input: a constant, a function of time alone, or values fed to the run.

    It `moves` where values that differ from step to step are expected; what reads it then runs in
    blocks of time with all others, and gives the same values if they do not. What comes once comes
    again after every `repeats` steps (None: never).
    """

    moves: bool = False
    repeats: int | None = None

    @property
    def changes(self) -> bool:
        return self.moves

    @property
    def stateless(self) -> bool:
        return not callable(self.node.output)


@dataclass(frozen=True, eq=False)
class Mapped(Operator):
    """Applies a linear map, at once or with delays."""

    transform: Transform

    def work(self, program: SignalShapes) -> int:
        if isinstance(self.transform, Sparse):
            return len(self.transform.values)
        return self.size(program) * (fan_in(self.transform) or 1)


def fan_in(transform: Transform) -> int:
    """The number of products that each output sums; of maps without weights 0."""
    weights = weights_of(transform)
    return 0 if weights is None else math.prod(weights.shape[1:])


@dataclass(frozen=True, eq=False)
class Linear(Mapped):
    """`y = factor * transform(x)`.

    Weights are the network's own arrays; engines put them on the program's grid (`engines/grid.py`)
    as they make their form of them. Entries of a sparse matrix that meet counts are on it. Sums
    over analog values have a `compensation`, for what the grid leaves out. Behind spikes of several
    heights a matrix, or kernel, is multiplied by `heights` first, one an input channel. Where
    there are `steps`, one an output channel, weights are whole numbers of them.
    """

    factor: float = 1.0
    compensation: Compensation | None = None
    heights: NDArray | None = None
    steps: NDArray | None = None

    def weighted(self) -> Transform:
        """The transform with the heights multiplied in: arrays of its own, which nobody keeps.

        Where there are steps, weights are the whole numbers of them.
        """
        transform = weighted(self.transform, self.heights)
        return transform if self.steps is None else in_steps(transform, self.steps)

    @property
    def is_scaled(self) -> bool:
        """Whether `weighted()` has other weights than the transform."""
        return self.heights is not None or self.steps is not None

    @property
    def unit(self) -> NDArray | float:
        """The factor of the sums over `weighted()`, as it broadcasts to a sample's output."""
        if self.steps is None:
            return self.factor
        unit = self.steps * self.factor
        if not isinstance(self.transform, Convolution) or self.transform.channels_last:
            return unit
        return unit.reshape(-1, *(1 for _ in self.transform.windows.size))

    @property
    def passes_counts(self) -> bool:
        return carries(self.transform) == 1.0 == self.factor


@dataclass(frozen=True, eq=False)
class Filtered(Operator):
    """Applies a linear filter in time."""

    filter: DiscreteFilter
    keeps = True

    def kept_values(self, program: SignalShapes) -> int:
        return self.size(program) * (self.filter.order + 1)


@dataclass(frozen=True, eq=False)
class Filter(Filtered):
    """A synapse: filters its input and passes it on one step later."""

    prompt = ()


@dataclass(frozen=True, eq=False)
class Smooth(Filtered):
    """A filter without delay: it passes on its output for a step's input in the same step."""


@dataclass(frozen=True, eq=False)
class Delay(Operator):
    """Passes its input on `steps` steps later, from 1; zeros before that."""

    steps: int
    prompt = ()
    keeps = True
    passes_counts = True

    def kept_values(self, program: SignalShapes) -> int:
        return self.size(program) * self.steps


@dataclass(frozen=True, eq=False)
class Advance(Operator):
    """Passes on each value `steps` steps before it comes: of a whole run or row, in one block.

    The first output is the sum of all that has come until then; behind the last input come zeros.
    """

    steps: int
    passes_counts = True


@dataclass(frozen=True, eq=False)
class DelayedLinear(Mapped):
    """`y_t = factor * (sum of value x_(t - delay)[column])`, by the entries of a sparse map.

    `delays` are steps from 1, one an entry. Entries that meet counts are on the program's grid.
    """

    transform: Sparse
    delays: NDArray
    factor: float = 1.0
    prompt = ()
    keeps = True

    @property
    def rows(self) -> int:
        """Steps in which something may wait: those of the longest delay."""
        return int(self.delays.max(initial=1))

    def kept_values(self, program: SignalShapes) -> int:
        return self.size(program) * self.rows

    def workspace_values(self, block: BlockShape) -> int:
        """Places, senders and products of all entries, where all senders spike, and their masks."""
        return 6 * len(self.delays) + block.values(self.outputs)


@dataclass(frozen=True, eq=False)
class ScaledSum(Operator):
    """`y = gain * (x_1 + x_2 + ...) + bias`, in the order of the inputs."""

    gain: NDArray | None = None
    bias: NDArray | None = None

    @property
    def passes_counts(self) -> bool:
        return self.gain is None and self.bias is None


@dataclass(frozen=True, eq=False)
class Apply(OfNode):
    """A node's function of its input, or of time alone where it has no input.

    `restart` is None or the period of its running means.
    """

    restart: int | None = None
    wide = True

    @property
    def keeps(self) -> bool:  # type: ignore[override]
        function = self.node.output
        return isinstance(function, NodeFunction) and function.accumulate

    def mean_over(self, steps: Any) -> Any:
        """The steps over which the node's means are taken, once so many are done."""
        return self.node.at_once if self.node.once else steps

    @property
    def changes(self) -> bool:
        return self.keeps or self.by_sample

    def workspace_values(self, block: BlockShape) -> int:
        if self.changes:
            return 4 * block.step.values((*self.inputs, self.output))
        return block.values((*self.inputs, self.output, self.output))

    @property
    def by_sample(self) -> bool:  # type: ignore[override]
        return not isinstance(self.node.output, NodeFunction)

    @property
    def passes_counts(self) -> bool:
        return isinstance(self.node.output, MaxPool)

    def kept_values(self, program: SignalShapes) -> int:
        return self.size(program) + sum(math.prod(program.shapes[s]) for s in self.inputs)


@dataclass(frozen=True, eq=False)
class Generate(Operator):
    """A process, with one input or none, or a synapse's step; `key` fixes its random numbers.

    `shape_in` is `(0,)` where it has no input.
    """

    process: Process | Synapse
    shape_in: Shape
    key: tuple[int, int]
    by_sample = True

    @property
    def calls(self) -> Sequence[CalledObject]:
        return (CalledObject(self.process, ("make_state", "make_step"), False),)
