"""The operators of a program: what each computes in a step, and the properties that engines need.

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
from spikewright.engines.spike_scaling import apply_heights, passthrough_factor, to_step_units
from spikewright.network import Ensemble, MaxPool, Node, NodeFunction
from spikewright.network.processes import Process
from spikewright.network.synapses import DiscreteFilter, Synapse
from spikewright.network.transforms import Convolution, Shape, Sparse, Transform


class SignalShapes(Protocol):
    """What operators need of a program: the shapes of signals, and the length of a step."""

    @property
    def shapes(self) -> Sequence[Shape]: ...
    @property
    def dt(self) -> float: ...


class BlockShape(Protocol):
    """A block of some steps of some samples, of which operators estimate their workspace."""

    @property
    def samples(self) -> int: ...
    @property
    def step(self) -> BlockShape:
        """One of its steps."""

    def values(self, signals: Sequence[int]) -> int:
        """The number of values of signals in the block."""


class CalledObject(NamedTuple):
    """A Python object, perhaps a user's, that an operator calls at every step, and its methods.

    Without methods the object itself is called. A `shared` object is called once on arrays of all
    samples, others sample by sample.
    """

    target: Any
    methods: tuple[str, ...]
    shared: bool


@dataclass(frozen=True, eq=False)
class Operator:
    """Computes the signal `output` from the signals `inputs`; `label` names it in plans.

    The properties of a kind of operator determine its order in a step, its plan and its checks.
    """

    label: str
    inputs: tuple[int, ...]
    output: int
    has_state: ClassVar[bool] = False
    """Whether it has state from step to step; means over windows do not count."""
    float64_state: ClassVar[bool] = False
    """Whether the state is in float64 in every precision."""
    by_window: ClassVar[bool] = False
    """Whether its output is known for many steps ahead, so that a loop runs these at once."""
    by_sample: ClassVar[bool] = False
    """Whether it calls a Python function for each sample."""

    @property
    def passes_counts(self) -> bool:
        """Whether its output is whole numbers where all inputs are counts of spikes."""
        return False

    @property
    def outputs(self) -> tuple[int, ...]:
        """All signals that the operator makes."""
        return (self.output,)

    @property
    def late_outputs(self) -> tuple[int, ...]:
        """The last outputs, those that are known only at a step's end; only probes read them."""
        return ()

    @property
    def immediate_inputs(self) -> tuple[int, ...]:
        """The first inputs, which the output needs within a step; others are read at its end."""
        return self.inputs

    @property
    def populations(self) -> tuple[Ensemble, ...]:
        """The populations that it steps."""
        return ()

    @property
    def stateless(self) -> bool:
        """Whether its output depends on its present input alone."""
        return not (self.has_state or self.changes or self.by_sample)

    @property
    def changes(self) -> bool:
        """Whether its output differs from step to step even where its input does not."""
        return self.has_state

    @property
    def restart(self) -> int | None:
        """The number of steps after which its state is reset; None: never."""
        return None

    @property
    def calls(self) -> Sequence[CalledObject]:
        """The Python objects that it calls at every step and that may be a user's."""
        return ()

    def state_values(self, program: SignalShapes) -> int:
        """The number of values of one sample's state."""
        return 0

    def workspace_values(self, block: BlockShape) -> int:
        """The most values that a kernel on whole arrays holds beside its inputs and outputs."""
        return 4 * block.step.values(self.outputs) if self.changes else block.values(self.outputs)

    def gives_counts(self, known: set[int]) -> bool:
        """Whether its output is counts of spikes, or whole numbers made of them, as `known` are."""
        return self.passes_counts and bool(self.inputs) and known.issuperset(self.inputs)

    def multiply_adds(self, program: SignalShapes) -> int:
        """Multiply-adds of a step of one sample, zeros included; without weights, one a value."""
        return self.size(program)

    def size(self, program: SignalShapes) -> int:
        """The number of values of its output in a step of one sample."""
        return math.prod(program.shapes[self.output])


@dataclass(frozen=True, eq=False)
class OfNode(Operator):
    """The base of operators that compute a node's output."""

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

    It is `varying` where values that differ from step to step are expected; its readers then run in
    blocks of time with all other operators. The output of a node that fires once comes again after
    every `repeats` steps (None: never).
    """

    varying: bool = False
    repeats: int | None = None

    @property
    def changes(self) -> bool:
        return self.varying

    @property
    def stateless(self) -> bool:
        return not callable(self.node.output)


@dataclass(frozen=True, eq=False)
class Mapped(Operator):
    """Applies a linear map, at once or with delays."""

    transform: Transform

    def multiply_adds(self, program: SignalShapes) -> int:
        if isinstance(self.transform, Sparse):
            return len(self.transform.values)
        return self.size(program) * (fan_in(self.transform) or 1)


def fan_in(transform: Transform) -> int:
    """The number of products that each output sums; 0 for maps without weights."""
    weights = weights_of(transform)
    return 0 if weights is None else math.prod(weights.shape[1:])


@dataclass(frozen=True, eq=False)
class Linear(Mapped):
    """`y = factor * transform(x)`.

    Weights are the network's own arrays, which engines round to the program's grid
    (`engines/grid.py`) as they convert them; entries of a sparse matrix that multiply counts are
    rounded already. Sums over analog values have a `compensation` for what the grid leaves out. For
    spikes of several heights a matrix, or kernel, is multiplied by `heights` first, one an input
    channel. With `steps`, one an output channel, weights are whole numbers of steps.
    """

    factor: float = 1.0
    compensation: Compensation | None = None
    heights: NDArray | None = None
    steps: NDArray | None = None

    def scaled_transform(self) -> Transform:
        """The transform with the heights multiplied in, as new arrays.

        With steps, its weights are the whole numbers of steps.
        """
        transform = apply_heights(self.transform, self.heights)
        return transform if self.steps is None else to_step_units(transform, self.steps)

    @property
    def is_scaled(self) -> bool:
        """Whether `scaled_transform()` has other weights than the transform."""
        return self.heights is not None or self.steps is not None

    @property
    def unit(self) -> NDArray | float:
        """The factor of sums over `scaled_transform()`; it broadcasts to a sample's output."""
        if self.steps is None:
            return self.factor
        unit = self.steps * self.factor
        if not isinstance(self.transform, Convolution) or self.transform.channels_last:
            return unit
        return unit.reshape(-1, *(1 for _ in self.transform.windows.size))

    @property
    def passes_counts(self) -> bool:
        return passthrough_factor(self.transform) == 1.0 == self.factor


@dataclass(frozen=True, eq=False)
class Filtered(Operator):
    """Applies a linear filter in time."""

    filter: DiscreteFilter
    has_state = True

    def state_values(self, program: SignalShapes) -> int:
        return self.size(program) * (self.filter.order + 1)


@dataclass(frozen=True, eq=False)
class Filter(Filtered):
    """A synapse: filters its input and passes it on one step later."""

    immediate_inputs = ()


@dataclass(frozen=True, eq=False)
class Smooth(Filtered):
    """A filter without delay: it passes on its output for a step's input in the same step."""


@dataclass(frozen=True, eq=False)
class Delay(Operator):
    """Passes its input on `steps` steps later (1 or more); before that it gives zeros."""

    steps: int
    immediate_inputs = ()
    has_state = True
    passes_counts = True

    def state_values(self, program: SignalShapes) -> int:
        return self.size(program) * self.steps


@dataclass(frozen=True, eq=False)
class Advance(Operator):
    """Passes on each value `steps` steps early; a whole run, or a row of one, is one block.

    The first output is the sum of the first `steps + 1` inputs; after the last input come zeros.
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
    immediate_inputs = ()
    has_state = True

    @property
    def rows(self) -> int:
        """The rows of the ring of delayed values: the steps of the longest delay."""
        return int(self.delays.max(initial=1))

    def state_values(self, program: SignalShapes) -> int:
        return self.size(program) * self.rows

    def workspace_values(self, block: BlockShape) -> int:
        """Indices, senders, products and masks of all entries, if all senders spike."""
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
    float64_state = True

    @property
    def has_state(self) -> bool:  # type: ignore[override]
        function = self.node.output
        return isinstance(function, NodeFunction) and function.accumulate

    def mean_over(self, steps: Any) -> Any:
        """The number of steps that the node's means are taken over, when `steps` are done."""
        return self.node.at_once if self.node.once else steps

    @property
    def changes(self) -> bool:
        return self.has_state or self.by_sample

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

    def state_values(self, program: SignalShapes) -> int:
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
