"""The operators of populations and of learned weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from spikewright.engines.operators import BlockShape, CalledObject, Operator, SignalShapes
from spikewright.network import Ensemble
from spikewright.network.learning import LearningRuleType
from spikewright.network.neurons import NeuronType


@dataclass(frozen=True, eq=False)
class Neurons(Operator):
    """The step of a population; `states` are further outputs, the signals of its state by name.

    After every `restart` steps (None: never) its state is reset. `begins` are the initial values of
    state variables, without the voltage, that the ensemble sets.
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
        """The initial values of state variables, without the voltage."""
        return {**self.neuron_type.initial_values(), **self.begins}

    @property
    def outputs(self) -> tuple[int, ...]:
        return (self.output, *self.states.values())

    @property
    def populations(self) -> tuple[Ensemble, ...]:
        return (self.ensemble,)

    @property
    def has_state(self) -> bool:  # type: ignore[override]
        return bool(self.neuron_type.state_names)

    @property
    def float64_state(self) -> bool:  # type: ignore[override]
        return self.neuron_type.stochastic

    def state_values(self, program: SignalShapes) -> int:
        return self.size(program) * len(self.neuron_type.state_names)

    @property
    def changes(self) -> bool:
        return self.neuron_type.spiking or bool(self.neuron_type.initial_values())

    @property
    def calls(self) -> Sequence[CalledObject]:
        return (CalledObject(self.neuron_type, ("step",), True),)

    def gives_counts(self, known: set[int]) -> bool:
        return self.neuron_type.spiking


@dataclass(frozen=True, eq=False)
class Learning:
    """A learning rule applied to learned weights.

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
    has_state = True
    float64_state = True

    def multiply_adds(self, program: SignalShapes) -> int:
        return int(self.initial.size)

    def state_values(self, program: SignalShapes) -> int:
        """Weights, applied weights, and the state of rules."""
        size = self.initial.shape[1]
        states = [one.rule.initial_state(size, program.dt) for one in self.rules]
        kept = sum(value.size for state in states for value in state.values())
        return 3 * self.initial.size + kept

    def workspace_values(self, block: BlockShape) -> int:
        kept = 4 * block.samples * self.initial.size
        return kept + block.values((*self.inputs, *self.outputs))

    @property
    def immediate_inputs(self) -> tuple[int, ...]:
        return self.inputs[:1]

    @property
    def late_outputs(self) -> tuple[int, ...]:
        return tuple(s for learning in self.rules for s in learning.recorded.values())

    @property
    def outputs(self) -> tuple[int, ...]:
        early = (self.output,) if self.weights is None else (self.output, self.weights)
        return (*early, *self.late_outputs)

    @property
    def calls(self) -> Sequence[CalledObject]:
        methods = ("delta", "initial_state")
        return [CalledObject(learning.rule, methods, True) for learning in self.rules]
