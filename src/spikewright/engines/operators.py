"""Operators on signals: what a step computes, and all that engines and plans ask about each kind.

Signals of spiking neurons are counts; their height `amplitude / (s dt)` is a factor of the operator
that reads them, so that sums over spikes are sums of small integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from spikewright.engines.factors import carries
from spikewright.network import Ensemble, MaxPool, Node, NodeFunction
from spikewright.network.learning import LearningRuleType
from spikewright.network.neurons import NeuronType
from spikewright.network.processes import Process
from spikewright.network.synapses import DiscreteFilter, Synapse
from spikewright.network.transforms import Shape, Sparse, Transform

if TYPE_CHECKING:
    from spikewright.engines.compensation import Compensation


class Called(NamedTuple):
    """What an operator calls at every step, and that may be a user's: an object, and its methods.

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
        """Whether its output depends on its present input alone, whatever its node holds."""
        return False

    @property
    def keeps(self) -> bool:
        """Whether it has state from step to step; means over windows do not count."""
        return False

    @property
    def changes(self) -> bool:
        """Whether its output differs from step to step even where its input does not."""
        return self.keeps

    @property
    def restart(self) -> int | None:
        """The number of steps after which its state is as it was at the start; None: never."""
        return None

    @property
    def by_sample(self) -> bool:
        """Whether it calls a function of time and input sample by sample."""
        return False

    @property
    def calls(self) -> Sequence[Called]:
        """The Python that it calls at every step and that may be a user's."""
        return ()

    def gives_counts(self, known: set[int]) -> bool:
        """Whether its output is counts of spikes, or whole numbers made of them.

        Those in `known` are.
        """
        return False


@dataclass(frozen=True, eq=False)
class NodeSource(Operator):
    """A node without input: a constant, a function of time alone, or values fed to the run."""

    node: Node

    @property
    def calls(self) -> Sequence[Called]:
        return _called_by(self.node)


@dataclass(frozen=True, eq=False)
class Mapped(Operator):
    """Applies a linear map, at once or with delays."""

    transform: Transform


@dataclass(frozen=True, eq=False)
class Linear(Mapped):
    """`y = factor * transform(x)`.

    Weights are the network's own arrays; engines put them on the program's grid (`engines/grid.py`)
    as they make their form of them. Entries of a sparse matrix that meet counts are on it. Sums
    over analog values have a `compensation`, for what the grid leaves out.
    """

    factor: float = 1.0
    compensation: Compensation | None = None
    stateless = True

    def gives_counts(self, known: set[int]) -> bool:
        return carries(self.transform) == 1.0 == self.factor and known.issuperset(self.inputs)


@dataclass(frozen=True, eq=False)
class Filter(Operator):
    """A synapse: filters its input and passes it on one step later."""

    filter: DiscreteFilter
    prompt = ()
    keeps = True


@dataclass(frozen=True, eq=False)
class Smooth(Operator):
    """A filter without delay: it passes on its output for a step's input in the same step."""

    filter: DiscreteFilter
    keeps = True


@dataclass(frozen=True, eq=False)
class Average(Operator):
    """A synapse: the mean of every `steps` steps, passed on in the `steps` steps after them.

    In the first window it passes on `initial`, which broadcasts to the signal.
    """

    steps: int
    initial: NDArray
    prompt = ()
    changes = True


@dataclass(frozen=True, eq=False)
class Delay(Operator):
    """Passes its input on `steps` steps later, from 1; zeros before that."""

    steps: int
    prompt = ()
    keeps = True

    def gives_counts(self, known: set[int]) -> bool:
        return known.issuperset(self.inputs)


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


@dataclass(frozen=True, eq=False)
class ScaledSum(Operator):
    """`y = gain * (x_1 + x_2 + ...) + bias`, in the order of the inputs."""

    gain: NDArray | None = None
    bias: NDArray | None = None
    stateless = True

    def gives_counts(self, known: set[int]) -> bool:
        plain = bool(self.inputs) and self.gain is None and self.bias is None
        return plain and known.issuperset(self.inputs)

    def added(self, values: Sequence[Any]) -> Any:
        """`y` of one array or more, of any library."""
        first, *others = values
        total = sum(others, start=first)
        total = total if self.gain is None else total * self.gain
        return total if self.bias is None else total + self.bias


@dataclass(frozen=True, eq=False)
class Apply(Operator):
    """A node's function of its input, or of time alone where it has no input.

    `restart` is None or the period of its running means.
    """

    node: Node
    restart: int | None = None

    @property
    def keeps(self) -> bool:
        function = self.node.output
        return isinstance(function, NodeFunction) and function.accumulate

    @property
    def changes(self) -> bool:
        return self.keeps or self.by_sample

    @property
    def by_sample(self) -> bool:
        return not isinstance(self.node.output, NodeFunction)

    @property
    def calls(self) -> Sequence[Called]:
        return _called_by(self.node)

    def gives_counts(self, known: set[int]) -> bool:
        return isinstance(self.node.output, MaxPool) and known.issuperset(self.inputs)


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
    def calls(self) -> Sequence[Called]:
        return (Called(self.process, ("make_state", "make_step"), False),)


@dataclass(frozen=True, eq=False)
class Neurons(Operator):
    """A population's step; `states` are further outputs, the signals of its state by name.

    After every `restart` steps (None: never) its state is as it was at the start. `begins` are
    initial values of its state that the ensemble sets, the voltage apart.
    """

    ensemble: Ensemble
    neuron_type: NeuronType
    threshold: NDArray
    initial_voltage: NDArray
    key: tuple[int, int]
    states: Mapping[str, int] = field(default_factory=dict)
    restart: int | None = None
    begins: Mapping[str, NDArray] = field(default_factory=dict)

    @property
    def initial_state(self) -> dict[str, Any]:
        """State variables of the neurons, without the voltage, before the first step."""
        return {**self.neuron_type.initial_values(), **self.begins}

    @property
    def voltage(self) -> int | None:
        """The voltage's signal, where it is an output."""
        return self.states.get("voltage")

    @property
    def outputs(self) -> tuple[int, ...]:
        return (self.output, *self.states.values())

    @property
    def populations(self) -> tuple[Ensemble, ...]:
        return (self.ensemble,)

    @property
    def keeps(self) -> bool:
        return bool(self.neuron_type.state_names)

    @property
    def changes(self) -> bool:
        return self.neuron_type.spiking or bool(self.neuron_type.initial_values())

    @property
    def calls(self) -> Sequence[Called]:
        return (Called(self.neuron_type, ("step",), True),)

    def gives_counts(self, known: set[int]) -> bool:
        return self.neuron_type.spiking


@dataclass(frozen=True, eq=False)
class Learning:
    """A rule at work on learned weights.

    `signals` are the signals that the rule reads, by the names in its equation: each is one of the
    operator's inputs. `recorded` are signals of the rule that a probe records, by name: "delta", or
    one of the rule's state. `scale` is None or the receivers' `gain / radius`, `(out, 1)`.
    """

    rule: LearningRuleType
    signals: Mapping[str, int]
    recorded: Mapping[str, int] = field(default_factory=dict)
    scale: NDArray | None = None


@dataclass(frozen=True, eq=False)
class Learned(Operator):
    """`y = factor * (W x)` with weights that change; every sample of a batch has its own.

    `inputs[0]` is `x`, `(in,)`; the others are read by the rules. `W`, `(out, in)`, begins as
    `initial` and is put on the program's grid at every step, as fixed weights are (`grid.limbs`, a
    channel being a row). So a rule that changes nothing changes no bit. It is held in float64. At
    the end of a step every rule gives `delta`, for the weights `unit * W`, and
    `W + (delta_1 + delta_2 + ...) / unit` is that of the next step; where `unit` is 0 (a neuron
    without gain) `W` stays. `weights`, where it is not None, is a signal: the `W` of each step.
    """

    initial: NDArray
    rules: tuple[Learning, ...]
    factor: float = 1.0
    unit: NDArray | None = None
    weights: int | None = None
    keeps = True

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.inputs[:1]

    @property
    def late(self) -> tuple[int, ...]:
        return tuple(s for learning in self.rules for s in learning.recorded.values())

    @property
    def outputs(self) -> tuple[int, ...]:
        early = (self.output,) if self.weights is None else (self.output, self.weights)
        return (*early, *self.late)

    @property
    def calls(self) -> Sequence[Called]:
        methods = ("delta", "initial_state")
        return [Called(learning.rule, methods, True) for learning in self.rules]


def _called_by(node: Node) -> Sequence[Called]:
    """What a node's output calls."""
    function = node.output
    if isinstance(function, NodeFunction):
        return (Called(function, ("apply", "reached"), True),)
    return (Called(function, (), False),) if callable(function) and not node.stateless else ()
