"""A network's objects as records, which files hold, and the classes that may be in them.

A firing-rate scale is a field of its own, beside unscaled parameters. Objects go by their numbers
among all nodes, ensembles, connections and probes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from numpy.typing import NDArray

from spikewright._base.codec import ADDED
from spikewright._base.schema import Natural
from spikewright._base.windows import Windows
from spikewright.network.distributions import DISTRIBUTIONS, Distribution
from spikewright.network.functions import FUNCTIONS, NodeFunction
from spikewright.network.learning import LEARNING_RULES, LearningRuleType
from spikewright.network.neurons import NEURON_TYPES, Direct, NeuronType
from spikewright.network.pointwise import POINTWISE, Pointwise
from spikewright.network.processes import PROCESSES, Process
from spikewright.network.shapes import Shape
from spikewright.network.solvers import SOLVERS, Solver
from spikewright.network.synapses import SYNAPSES, Synapse
from spikewright.network.transforms import TRANSFORMS, Transform

REGISTRIES = (
    NEURON_TYPES, {"Direct": Direct, "Windows": Windows}, DISTRIBUTIONS, PROCESSES, SYNAPSES,
    FUNCTIONS, LEARNING_RULES, SOLVERS, POINTWISE, TRANSFORMS,
)  # fmt: skip
"""The classes that may be in the file of a network, with what is registered later."""

Drawn = NDArray | Distribution
Rates = Drawn | tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class NodeEntry:
    """A node; `shape` is that of its input."""

    label: str | None
    shape: Shape
    shape_out: Shape = ()
    output: NDArray | NodeFunction | Process | None
    restart_every: int | None = None
    at_once: float = 1
    once: bool = field(default=False, metadata=ADDED)


@dataclass(frozen=True, kw_only=True)
class EnsembleEntry:
    """An ensemble; `dimensions` is None where it represents nothing."""

    label: str | None
    shape: Shape
    dimensions: int | None
    seed: int | None
    restart_every: int | None = None
    neuron_type: NeuronType
    initial_voltage: str | Drawn | None
    initial_state: Mapping[str, Drawn] = field(default_factory=dict)
    rate_scale: NDArray | float = 1.0
    gain: Drawn | None = None
    bias: Drawn | None = None
    max_rates: Rates = (200.0, 400.0)
    intercepts: Rates = (-1.0, 0.9)
    encoders: Drawn | None = None
    eval_points: Drawn | None = None
    noise: Process | None = None
    radius: float = 1.0
    n_eval_points: int | None = None
    normalize_encoders: bool = True


@dataclass(frozen=True)
class ObjectEnd:
    """A node, a connection or an ensemble's neurons; an ensemble itself is its `vector`.

    An ensemble alone means its neurons, as in files from before there were vectors.
    """

    object: Natural
    vector: bool = field(default=False, metadata=ADDED)


@dataclass(frozen=True)
class SliceEntry:
    """A slice in a key: where it starts, stops, and its step."""

    slice: tuple[int | None, int | None, int | None]


@dataclass(frozen=True)
class PartEnd:
    """A part of an object; in its key "..." is an ellipsis."""

    part: End
    key: tuple[int | str | SliceEntry | NDArray | None, ...]


@dataclass(frozen=True)
class RuleEnd:
    """A learning rule, by its connection and its key there."""

    rule_of: Natural
    rule: int | str | None


End = ObjectEnd | PartEnd | RuleEnd


@dataclass(frozen=True)
class RulesEntry:
    """Learning rules of a connection: a `single` one, or several `kinds` with or without names."""

    names: tuple[str, ...] | None = field(default=None, metadata=ADDED)
    kinds: tuple[LearningRuleType, ...] | None = field(default=None, metadata=ADDED)
    single: LearningRuleType | None = field(default=None, metadata=ADDED)


@dataclass(frozen=True, kw_only=True)
class ConnectionEntry:
    """A connection; in files from before there were decoders it has no solver."""

    label: str | None
    pre: End
    post: End
    synapse: Synapse | None
    delay: float | NDArray = 0.0
    transform: Transform | None
    function: NDArray | Pointwise | None = None
    solver: Solver | None = None
    eval_points: Drawn | None = None
    scale_eval_points: bool = True
    seed: int | None = None
    learned: Mapping[str, NDArray] | None = field(default=None, metadata=ADDED)
    rules: RulesEntry | None = field(default=None, metadata=ADDED)


@dataclass(frozen=True, kw_only=True)
class ProbeEntry:
    """A probe."""

    label: str | None
    target: End
    solver: Solver | None = None
    attr: str
    sample_every: float | None
    synapse: Synapse | None


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """A network, with those inside it."""

    label: str | None
    seed: int | None
    dt: float | None = field(default=None, metadata=ADDED)
    nodes: tuple[NodeEntry, ...]
    ensembles: tuple[EnsembleEntry, ...]
    connections: tuple[ConnectionEntry, ...]
    probes: tuple[ProbeEntry, ...]
    networks: tuple[NetworkEntry, ...]
