"""Layers with neurons, layers applied to readouts, and the choices for each."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import as_numbers, refuse
from spikewright._base.schema import Positive
from spikewright.errors import ConversionError, NetworkError, Refusal
from spikewright.graph import Graph, GraphNode, Sequences
from spikewright.graph.layers import Activation, Add, Input, Layer, Lookup, ParametricReLU
from spikewright.lower.choices import ROUNDED, NeuronChoice, defaults_of
from spikewright.lower.keys import LayerKeys, by_layer, chosen_keys, kinds_of
from spikewright.lower.node_functions import held_layers, is_function, sent_as_spikes
from spikewright.network import Ensemble, Network
from spikewright.network.network import detached
from spikewright.network.neurons import NeuronType
from spikewright.network.node import shares_at_once
from spikewright.network.processes import EachStep
from spikewright.network.synapses import Synapse, as_synapse


@dataclass(frozen=True, eq=False)
class RowStepping(Sequences):
    """Sequences of which every step takes `steps` steps of the simulation, of digits own ones."""

    steps: Positive


NEVER_READ_OUT = ("relu", "relu6", "leaky_relu", ROUNDED)
"""Activations that are neurons on an output too; any other is applied to what is read out."""

_CAPPED = (
    "Leave max_spikes_per_step out, or choose a type that takes it: sw.IntegrateAndFire, "
    "sw.BipolarIntegrateAndFire, sw.SignedIntegrateAndFire, sw.RunningMeanSpiking"
)


@dataclass(frozen=True)
class Options:
    """Everything a user may choose here, as `spikewright.convert` takes it."""

    neurons: NeuronChoice = field(default_factory=lambda: NeuronChoice(False))
    scale_firing_rates: object = None
    synapse: object = None
    initial_voltage: object = None
    stepping: RowStepping | None = None


@dataclass(frozen=True)
class Roles:
    """The role of each layer of a graph, whatever the choices."""

    graph: Graph
    stepping: RowStepping | None = None

    @cached_property
    def later(self) -> Mapping[str, Sequence[str]]:
        """The inputs by which the next step of a sequence reads a node."""
        return {} if self.stepping is None else self.stepping.later(self.graph)

    @cached_property
    def readouts(self) -> Mapping[str, Activation]:
        """Activations on outputs that nothing else reads, by output name."""
        found = {}
        for output, name in self.graph.outputs.items():
            layer = self.graph[name].layer
            plain = isinstance(layer, Activation) and layer.function not in NEVER_READ_OUT
            seen = self.graph.consumers[name] or name in self.later
            if isinstance(layer, Activation) and plain and not seen:
                found[output] = layer
        return found

    @cached_property
    def read_out(self) -> frozenset[str]:
        """Names of the layers that are applied to readouts."""
        return frozenset(self.graph.outputs[output] for output in self.readouts)

    def read_from(self) -> tuple[str, ...]:
        """Names of the nodes whose values are read out, output by output."""
        return tuple(
            self.graph[name].inputs[0] if name in self.read_out else name
            for name in self.graph.outputs.values()
        )

    @cached_property
    def activations(self) -> frozenset[str]:
        """Names of the layers that are neurons themselves."""
        return frozenset(
            node.name
            for node in self.graph
            if isinstance(node.layer, Activation | ParametricReLU)
            and not is_function(node.layer)
            and node.name not in self.read_out
            and node.name not in self.held
        )

    @cached_property
    def held(self) -> frozenset[str]:
        """Names of the layers that are computed of masks, or compare whole numbers, from inputs.

        These are no values that spikes could carry: they are computed at every step.
        """
        return held_layers(self.graph) if self.stepping is None else frozenset()

    @cached_property
    def functions(self) -> frozenset[str]:
        """Names of the layers that are functions of nodes."""
        return frozenset(
            node.name
            for node in self.graph
            if (is_function(node.layer) or (_is_curve(node.layer) and node.name in self.held))
            and node.name not in self.read_out
        )

    @cached_property
    def fed(self) -> frozenset[str]:
        """Names of the layers whose values come from inputs at every step, without neurons between.

        A row of a table chosen by such a value is one too.
        """
        states = () if self.stepping is None else self.stepping.read
        found: set[str] = set()
        for node in self.graph:
            layer = node.layer
            given = isinstance(layer, Input) and node.name not in states
            moved = (layer.linear or isinstance(layer, Lookup)) and found.issuperset(node.inputs)
            plain = moved and not isinstance(layer, Input | Activation)
            if given or plain or node.name in self.held:
                found.add(node.name)
        return frozenset(found)

    @cached_property
    def populations(self) -> tuple[str, ...]:
        """Names of the layers that have neurons, in order: functions whose values spike too."""
        return tuple(
            node.name
            for node in self.graph
            if node.name in self.activations
            or (
                node.name in self.functions
                and not (isinstance(node.layer, Lookup) and node.name in self.fed)
                and node.name not in self.held
                and sent_as_spikes(self.graph, node.name, self.read_out, self.later)
            )
        )

    def absorbing(self, name: str) -> str | None:
        """The activation that a linear layer connects straight into, or None."""
        consumers = self.graph.consumers[name]
        layer = self.graph[name].layer
        if len(consumers) != 1 or self.graph.is_output(name) or not layer.linear:
            return None
        if isinstance(layer, Activation) or layer.arity == 0:
            return None
        consumer = consumers[0]
        if consumer in self.activations:
            return consumer
        if isinstance(self.graph[consumer].layer, Add):
            return self.absorbing(consumer)
        return None

    def names(self) -> dict[str, str]:
        """All source layer names of a population: its own, and those of absorbed layers."""
        names = {name: name for name in self.populations}
        for node in self.graph:
            target = self.absorbing(node.name)
            if target is not None:
                names.setdefault(node.name, target)
        for alias, resolved in self.graph.aliases.items():
            if resolved in names:
                names.setdefault(alias, names[resolved])
        for node in self.graph:
            if node.source and node.name in names:
                names.setdefault(node.source, names[node.name])
        return names

    @cached_property
    def keys(self) -> LayerKeys:
        """The names of populations: several where a layer of the source became several."""
        nodes = [self.graph[name] for name in self.populations]
        names = {name: frozenset({target}) for name, target in self.names().items()}
        for source in {node.source for node in nodes} - {""}:
            names[source] = frozenset(node.name for node in nodes if node.source == source)
        return LayerKeys(
            names,
            {node.name: kinds_of(node.layer) for node in nodes},
            frozenset(node.source for node in nodes if _is_nameless(node)),
        )


def _is_curve(layer: Layer) -> bool:
    return isinstance(layer, Activation) and layer.elementwise


def _is_nameless(node: GraphNode) -> bool:
    """Whether a node is a function in the source's code, named by its operation."""
    function = node.source_kind.removeprefix("ops.")
    is_function = function != node.source_kind or function == node.source
    return is_function and function.lower() == node.source.replace("_", "")


@dataclass(frozen=True)
class PopulationChoices:
    """One value of each choice for each layer with neurons."""

    types: Mapping[str, NeuronType]
    scales: Mapping[str, NDArray]
    synapses: Mapping[str, Synapse | None]
    starts: Mapping[str, Any]
    spiking: bool
    restart_every: int | None = None

    @cached_property
    def at_once(self) -> int:
        """The number of steps whose input and biases come at once: those with heights of spikes."""
        return steps_at_once(self.types.values())

    @property
    def once(self) -> bool:
        """Whether input and biases come once: those of layers that start one after the other."""
        return any(kind.sends_digits for kind in self.types.values())

    def ensemble(self, graph: Graph, name: str, bias: ArrayLike) -> Ensemble:
        """A layer's neurons under the choices made for them."""
        made = Ensemble(
            graph.shapes[name],
            None,
            neuron_type=self.types[name],
            gain=1.0,
            bias=0.0 if self.once else bias,
            rate_scale=self.scales[name],
            initial_voltage=self.starts[name],
            restart_every=self.restart_every,
            label=name,
        )
        if self.once:
            made.noise = EachStep(np.asarray(bias, np.float64)[None] * self.at_once)
        elif self.at_once > 1:
            made.noise = EachStep(moved_ahead(np.asarray(made.bias), self.at_once))
        return made


def steps_at_once(kinds: Iterable[NeuronType]) -> int:
    """The number of steps whose input comes at once: those in which spikes have heights."""
    return max((len(kind.spike_heights) for kind in kinds), default=0) or 1


def moved_ahead(bias: NDArray, steps: int) -> NDArray:
    """Biases `(steps, *shape)` that make those of so many steps come in the first of them."""
    moved = shares_at_once(steps, 0, steps) - 1.0
    return moved.reshape(-1, *(1,) * bias.ndim) * bias


def resolve(
    roles: Roles, options: Options, scale: Callable[[object], Any] | None = None
) -> PopulationChoices:
    """The choices for every population; `scale` makes a layer's from what was given for it.

    Raises `ConversionError` for neurons that cannot be capped, and for every key of a per-layer
    choice that means no layer.
    """
    graph, choice = roles.graph, options.neurons
    layers = {name: graph[name].layer for name in roles.populations}
    keys = (
        chosen_keys(choice.spiking, roles.keys, "spiking", operator.eq)
        if isinstance(choice.spiking, Mapping)
        else {}
    )
    types = _types(graph, choice, layers, keys)
    digits = any(kind.sends_digits for kind in types.values())
    if options.stepping is not None and steps_at_once(types.values()) > 1 and not digits:
        raise refuse(
            "sequence_step",
            "spikes have heights in the first steps of a run alone, and every step of a sequence "
            "is a start",
            "Choose neurons without spike_heights",
        )

    def each(value: object, what: str, convert: Callable) -> dict:
        return by_layer(value, roles.keys, what, convert)

    def or_own(value: object, what: str, convert: Callable, field: str) -> dict:
        given = each(value, what, lambda item: None if item is None else convert(item))
        return {
            name: convert(getattr(defaults_of(layers[name]), field)) if item is None else item
            for name, item in given.items()
        }

    return PopulationChoices(
        types,
        or_own(options.scale_firing_rates, "scale_firing_rates", scale or as_scale, "scale"),
        each(options.synapse, "synapse", _synapse),
        or_own(options.initial_voltage, "initial_voltage", lambda value: value, "start"),
        choice.is_spiking,
        None if options.stepping is None else options.stepping.steps,
    )


def _synapse(value: object) -> Synapse | None:
    """A synapse that filters all values of a layer alike; raises `ConversionError` for others."""
    found = as_synapse(value, "synapse")
    if found is not None and not found.commutes:
        raise refuse(
            "synapse",
            f"{found!r} is not one linear filter for all values of a layer, so that means of "
            "spikes are others behind it",
            "Give a time constant, or a synapse such as sw.Alpha(0.01)",
        )
    return found


def _types(
    graph: Graph, choice: NeuronChoice, layers: Mapping[str, Layer], keys: Mapping[str, Any]
) -> dict[str, NeuronType]:
    """The neuron type of every layer; raises `ConversionError` where one cannot be capped."""
    types, refusals = {}, []
    for name, layer in layers.items():
        try:
            types[name] = choice.neuron_type(layer, keys.get(name))
        except NetworkError as error:
            refusals.append(refusal(graph[name], (str(error), _CAPPED)))
    if refusals:
        raise ConversionError(refusals)
    return types


def check(roles: Roles, choices: PopulationChoices) -> None:
    """Raise `ConversionError` for all populations that do not accept their choices."""
    refusals = []
    for name in roles.populations:
        try:
            with detached(), Network():
                choices.ensemble(roles.graph, name, 0.0)
        except NetworkError as error:
            reason = str(error).removeprefix(f"<Ensemble {name!r}>: ")
            reason = reason.replace("rate_scale", "scale_firing_rates")
            refusals.append(refusal(roles.graph[name], (reason, "")))
    if refusals:
        raise ConversionError(refusals)


def refusal(node: GraphNode, why: tuple[str, str]) -> Refusal:
    """A refusal of a layer in the source's words: the reason, and the next move."""
    return Refusal(node.source or node.name, node.source_kind or node.layer.kind, *why)


def as_scale(value: object) -> NDArray:
    """A firing-rate scale as an array; raises `NetworkError` for anything but numbers."""
    try:
        return as_numbers(value)
    except (TypeError, ValueError) as error:
        reason = f"{value!r} is not a number, an array or a dict of them"
        study = hasattr(value, "best") or hasattr(type(value), "arguments")
        if study:  # its result, or one of its points
            move = "Give all that it chose: sw.convert(model, **result.best.arguments)"
            raise NetworkError(f"{reason}. {move}") from None
        raise NetworkError(f"{reason}: {error}") from None
