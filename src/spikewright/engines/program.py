"""A network compiled for a step: signals, and operators that work on blocks of time steps.

The program decides *what* is computed: operators, their order, the weights' grid, thresholds,
spike heights, random draws. Engines decide how.

Signals of spiking neurons are counts; their height `amplitude / (s dt)` is a factor of the operator
that reads them, so that sums over spikes are sums of small integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.compensation import Compensation
from spikewright.engines.grid import Precision
from spikewright.errors import SimulationError
from spikewright.network import Connection, Ensemble, Node, NodeFunction, Probe
from spikewright.network.learning import LearningRuleType
from spikewright.network.neurons import NeuronType
from spikewright.network.processes import Process
from spikewright.network.synapses import DiscreteFilter, Synapse
from spikewright.network.transforms import Shape, Sparse, Transform


@dataclass(frozen=True, eq=False)
class Operator:
    """Computes the signal `output` from the signals `inputs`; `label` names it in the plan."""

    label: str
    inputs: tuple[int, ...]
    output: int

    @property
    def stateless(self) -> bool:
        """Whether its output depends on its present input alone, whatever its node holds."""
        return False

    @property
    def outputs(self) -> tuple[int, ...]:
        """All signals that the operator makes."""
        return (self.output,)

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


@dataclass(frozen=True, eq=False)
class NodeSource(Operator):
    """A node without input: a constant, a function of time alone, or values fed to the run."""

    node: Node


@dataclass(frozen=True, eq=False)
class Linear(Operator):
    """`y = factor * transform(x)`.

    Weights are the network's own arrays; engines put them on the program's grid (`engines/grid.py`)
    as they make their form of them. Entries of a sparse matrix that meet counts are on it. Sums
    over analog values have a `compensation`, for what the grid leaves out.
    """

    transform: Transform
    factor: float = 1.0
    compensation: Compensation | None = None

    @property
    def stateless(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Filter(Operator):
    """A synapse: filters its input and passes it on one step later."""

    filter: DiscreteFilter

    @property
    def prompt(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True, eq=False)
class Smooth(Operator):
    """A filter without delay: it passes on its output for a step's input in the same step."""

    filter: DiscreteFilter


@dataclass(frozen=True, eq=False)
class Average(Operator):
    """A synapse: the mean of every `steps` steps, passed on in the `steps` steps after them.

    In the first window it passes on `initial`, which broadcasts to the signal.
    """

    steps: int
    initial: NDArray

    @property
    def prompt(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True, eq=False)
class Delay(Operator):
    """Passes its input on `steps` steps later, from 1; zeros before that."""

    steps: int

    @property
    def prompt(self) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True, eq=False)
class DelayedLinear(Operator):
    """`y_t = factor * (sum of value x_(t - delay)[column])`, by the entries of a sparse map.

    `delays` are steps from 1, one an entry. Entries that meet counts are on the program's grid.
    """

    transform: Sparse
    delays: NDArray
    factor: float = 1.0

    @property
    def prompt(self) -> tuple[int, ...]:
        return ()

    @property
    def rows(self) -> int:
        """Steps in which something may wait: those of the longest delay."""
        return int(self.delays.max(initial=1))


@dataclass(frozen=True, eq=False)
class ScaledSum(Operator):
    """`y = gain * (x_1 + x_2 + ...) + bias`, in the order of the inputs."""

    gain: NDArray | None = None
    bias: NDArray | None = None

    @property
    def stateless(self) -> bool:
        return True

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


@dataclass(frozen=True, eq=False)
class Generate(Operator):
    """A process, with one input or none, or a synapse's step; `key` fixes its random numbers.

    `shape_in` is `(0,)` where it has no input.
    """

    process: Process | Synapse
    shape_in: Shape
    key: tuple[int, int]


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

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.inputs[:1]

    @property
    def late(self) -> tuple[int, ...]:
        """Outputs that are known only at the end of a step, and that only probes may read."""
        return tuple(s for learning in self.rules for s in learning.recorded.values())

    @property
    def outputs(self) -> tuple[int, ...]:
        early = (self.output,) if self.weights is None else (self.output, self.weights)
        return (*early, *self.late)


@dataclass(frozen=True)
class Component:
    """Operators that run together: over whole blocks, or step by step where they form a loop.

    Those that are called `in_turn` form one too: they may share something beside the network.
    """

    operators: tuple[Operator, ...]
    loops: bool
    in_turn: bool = False


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording of a probe: a signal times a factor, every `every` steps."""

    probe: Probe
    signal: int
    factor: NDArray
    every: int


@dataclass(frozen=True, eq=False)
class Parameters:
    """An ensemble's parameters as built: effective gain, bias, amplitude and maximum rates.

    `gain` and `bias` have the firing-rate scale multiplied in where it acts on the gain, and
    `amplitude` is divided by it always; `max_rates` are in Hz, at an input of 1.
    """

    gain: NDArray
    bias: NDArray
    amplitude: NDArray
    max_rates: NDArray
    initial_voltage: NDArray


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled network, independent of the engine that runs it.

    `shapes` gives each signal's unbatched shape; `components` are in an order in which every
    signal exists before it is read. `input_of` and `output_of` are the signals of the network's
    objects. `learned` are the weights that change: a connection's, or an ensemble's encoders;
    `turned` are encoders over radius that were learned before.
    """

    dt: float
    seed: int
    precision: Precision
    shapes: tuple[Shape, ...]
    components: tuple[Component, ...]
    recordings: tuple[Recording, ...]
    parameters: dict[Ensemble, Parameters]
    weights: Mapping[Connection, NDArray]
    input_of: Mapping[Any, int]
    output_of: Mapping[Any, int]
    representations: dict[Ensemble, Any] = field(default_factory=dict)
    decodings: dict[Connection, Any] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    learned: dict[Connection | Ensemble, Learned] = field(default_factory=dict)
    turned: dict[Ensemble, NDArray] = field(default_factory=dict)

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """All operators in order."""
        return tuple(op for component in self.components for op in component.operators)

    def up_to(self, ensemble: Ensemble) -> Program:
        """The part of it that runs up to a population, whose output is that in the whole program.

        Nothing is recorded.
        """
        places = [
            place
            for place, component in enumerate(self.components)
            if any(ensemble in op.populations for op in component.operators)
        ]
        return replace(self, components=self.components[: max(places) + 1], recordings=())

    @cached_property
    def sources(self) -> frozenset[Node]:
        """Nodes that take no input: those with a constant output may be fed."""
        return frozenset(op.node for op in self.operators if isinstance(op, NodeSource))

    def check_fed(self, node: Node) -> None:
        """Raise `SimulationError` for a node whose values come along connections."""
        if node not in self.sources:
            raise SimulationError(
                f"{node!r} cannot be fed: connections lead to it, and it passes on their values"
            )

    @cached_property
    def period(self) -> int | None:
        """The number of steps after which all state starts again, if it is the same for all state.

        Means over windows, which carry from one to the next, do not count.
        """
        periods = {_period(op) for op in self.operators if keeps(op)}
        return periods.pop() if len(periods) == 1 else None


def keeps(op: Operator) -> bool:
    """Whether an operator has state from step to step; means over windows do not count."""
    if isinstance(op, Neurons):
        return op.neuron_type.has_voltage or bool(op.neuron_type.initial_values())
    if isinstance(op, Apply):
        function = op.node.output
        return isinstance(function, NodeFunction) and function.accumulate
    return isinstance(op, Delay | DelayedLinear | Filter | Smooth | Learned)


def _period(op: Operator) -> int | None:
    return op.restart if isinstance(op, Apply | Neurons) else None


def uniform_draws(key: tuple[int, int], step: int, index: int, shape: Shape) -> NDArray:
    """Uniform draws of one step, `shape`, from a counter-based generator (Philox, Salmon 2011).

    A function of the key (seed and object), the step and the index alone, so the same in every
    engine, block and batch.
    """
    generator = np.random.Philox(key=np.array(key, np.uint64), counter=[0, 0, index, step])
    return np.random.Generator(generator).random(shape)


def object_key(*entropy: Any) -> tuple[int, int]:
    """A generator's key from a seed and the numbers that identify an object."""
    first, second = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    return int(first), int(second)
