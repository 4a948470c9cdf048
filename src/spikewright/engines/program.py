"""A network compiled for a step: signals, and operators that work on blocks of time steps.

The program decides *what* is computed: operators, their order, the weights' grid, thresholds,
spike heights, random draws. Engines decide how.

Signals of spiking neurons are counts; their height `amplitude / (s dt)` is a factor of the operator
that reads them, so that sums over spikes are sums of small integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.grid import Precision
from spikewright.network import Connection, Ensemble, Node, NodeFunction, Probe
from spikewright.network.neurons import NeuronType
from spikewright.network.processes import Process
from spikewright.network.synapses import DiscreteFilter
from spikewright.network.transforms import Shape, Transform


@dataclass(frozen=True, eq=False)
class Operator:
    """Computes the signal `output` from the signals `inputs`; `label` names it in the plan."""

    label: str
    inputs: tuple[int, ...]
    output: int

    @property
    def stateless(self) -> bool:
        """Whether its output follows from its present input alone, whatever its node holds."""
        return False

    @property
    def outputs(self) -> tuple[int, ...]:
        """All signals that the operator makes."""
        return (self.output,)

    @property
    def populations(self) -> tuple[Ensemble, ...]:
        """The populations that it steps."""
        return ()


@dataclass(frozen=True, eq=False)
class Source(Operator):
    """A node without input: a constant, a function of time, or what the run feeds."""

    node: Node


@dataclass(frozen=True, eq=False)
class Linear(Operator):
    """`y = factor * transform(x)`; weights are on the program's grid."""

    transform: Transform
    factor: float = 1.0

    @property
    def stateless(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Filter(Operator):
    """A synapse: filters its input and passes it on one step later."""

    filter: DiscreteFilter


@dataclass(frozen=True, eq=False)
class Average(Operator):
    """A synapse: the mean of every `steps` steps, passed on in the `steps` steps after them.

    In the first window it passes on `initial`, which broadcasts to the signal.
    """

    steps: int
    initial: NDArray


@dataclass(frozen=True, eq=False)
class Sum(Operator):
    """`y = gain * (x_1 + x_2 + ...) + bias`, in the order of the inputs."""

    gain: NDArray | None = None
    bias: NDArray | None = None

    @property
    def stateless(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Apply(Operator):
    """A node's function of its input; `restart` is None or the period of its running means."""

    node: Node
    restart: int | None = None


@dataclass(frozen=True, eq=False)
class Generate(Operator):
    """A process, with one input or none; `key` fixes its random numbers.

    `shape_in` is `(0,)` where it has no input.
    """

    process: Process
    shape_in: Shape
    key: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Neurons(Operator):
    """A population's step; `voltage`, where it is not None, is a second output signal.

    After every `restart` steps (None: never) its state is as it was at the start.
    """

    ensemble: Ensemble
    neuron_type: NeuronType
    threshold: NDArray
    initial_voltage: NDArray
    key: tuple[int, int]
    voltage: int | None = None
    restart: int | None = None

    @property
    def outputs(self) -> tuple[int, ...]:
        return (self.output,) if self.voltage is None else (self.output, self.voltage)

    @property
    def populations(self) -> tuple[Ensemble, ...]:
        return (self.ensemble,)


@dataclass(frozen=True)
class Component:
    """Operators that run together: over whole blocks, or step by step where they form a loop."""

    operators: tuple[Operator, ...]
    loops: bool


@dataclass(frozen=True, eq=False)
class Recording:
    """What a probe records: a signal times a factor, every `every` steps."""

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
    """Everything an engine needs, and nothing about how.

    `shapes` gives each signal's unbatched shape; `components` are in an order in which every
    signal exists before it is read.
    """

    dt: float
    seed: int
    precision: Precision
    shapes: tuple[Shape, ...]
    components: tuple[Component, ...]
    recordings: tuple[Recording, ...]
    parameters: dict[Ensemble, Parameters]
    weights: dict[Connection, NDArray]
    representations: dict[Ensemble, Any] = field(default_factory=dict)
    decodings: dict[Connection, Any] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """All operators in order."""
        return tuple(op for component in self.components for op in component.operators)

    @cached_property
    def period(self) -> int | None:
        """After how many steps all state starts again, if that is the same for all of it.

        Means over windows, which carry from one to the next, do not count.
        """
        periods = {_period(op) for op in self.operators if keeps(op)}
        return periods.pop() if len(periods) == 1 else None


def keeps(op: Operator) -> bool:
    """Whether an operator keeps something from step to step, means over windows left out."""
    if isinstance(op, Neurons):
        return op.neuron_type.has_voltage or bool(op.neuron_type.initial_state())
    if isinstance(op, Apply):
        function = op.node.output
        return isinstance(function, NodeFunction) and function.accumulate
    return isinstance(op, Filter)


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
    """A generator's key from a seed and what identifies an object."""
    first, second = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    return int(first), int(second)
