"""Networks in whole numbers: weights of few bits, thresholds and biases on their step.

Populations are visited in the graph's order, with the units of the values that they read;
`fixed_point` has the formulas of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.channels import channel_axis
from spikewright.errors import ConversionError, Refusal
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Constant, Input, Layer, ScaleShift
from spikewright.graph.whole_weights import WEIGHTED
from spikewright.lower.populations import PopulationChoices, Roles
from spikewright.network.neurons import FixedPointIntegrateAndFire, IntegrateAndFire, NeuronType
from spikewright.quantising.arrivals import (
    Arrival,
    Edge,
    WeightUnit,
    along,
    carried,
    edges,
    given,
    one_each,
    plain_weights,
    weighs,
)
from spikewright.quantising.fixed_point import FixedPoint, few_bits, whole_start
from spikewright.quantising.settings import Quantised


@dataclass(frozen=True, eq=False)
class WholeNetwork:
    """A graph and choices whose populations compute in whole numbers; `notes` by layer."""

    roles: Roles
    choices: PopulationChoices
    notes: Mapping[str, str]


def quantise(roles: Roles, choices: PopulationChoices, settings: Quantised) -> WholeNetwork:
    """The graph with weights of few bits, and the neurons that go with it.

    `choices` hold numbers for firing-rate scales. Raises `ConversionError` for layers whose neurons
    cannot obey the chip's rules.
    """
    _check(roles, choices, settings)
    return _Quantising(roles, choices, settings).result()


def _check(roles: Roles, choices: PopulationChoices, settings: Quantised) -> None:
    """Raise where a chip's rules are asked for, and a layer has other neurons than it."""
    if not settings.rules or not choices.spiking:
        return
    refusals = [
        Refusal(
            name, roles.graph[name].source_kind or roles.graph[name].layer.kind,
            f"{type(kind).__name__} neurons have no form in whole numbers, which "
            f"{', '.join(settings.rules)} ask for",
            "Choose sw.IntegrateAndFire for it in spiking, or leave these numbers out",
        )
        for name, kind in choices.types.items()
        if type(kind) is not IntegrateAndFire
    ]  # fmt: skip
    if refusals:
        raise ConversionError(refusals)


@dataclass
class _Quantising:
    roles: Roles
    choices: PopulationChoices
    settings: Quantised
    units: dict[str, WeightUnit] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    inserted: dict[Edge, Layer] = field(default_factory=dict)
    types: dict[str, NeuronType] = field(default_factory=dict)
    starts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def result(self) -> WholeNetwork:
        for node in self.nodes.values():
            self.visit(node)
        made = _rebuilt(self.roles.graph, self.nodes, self.layers, self.inserted)
        types, starts = self.choices.types, self.choices.starts
        choices = replace(
            self.choices, types={**types, **self.types}, starts={**starts, **self.starts}
        )
        return WholeNetwork(replace(self.roles, graph=made), choices, self.notes)

    @cached_property
    def nodes(self) -> Mapping[str, GraphNode]:
        """The graph's nodes, normalisations as scales and shifts."""
        graph = self.roles.graph
        return {node.name: plain_weights(node, len(graph.shapes[node.name])) for node in graph}

    @cached_property
    def parts(self) -> set[str | None]:
        """Layers with weights that are part of a population in whole numbers."""
        populations = filter(self.is_whole, self.choices.types)
        return {layer for name in populations for _, layer in edges(self.roles, name)}

    def visit(self, node: GraphNode) -> None:
        """Find the unit of a node, after those that it reads; round weights on the way."""
        name, shape = node.name, self.roles.graph.shapes[node.name]
        if name in self.choices.scales and self.choices.spiking:
            if self.is_whole(name):
                self.population(name)
            height = self.choices.types[name].amplitude * self.theta(name)
            self.units[name] = WeightUnit(np.broadcast_to(height, shape), True)
        elif isinstance(node.layer, Input | Constant) or name in self.choices.scales:
            self.units[name] = given(shape)
        elif isinstance(node.layer, (*WEIGHTED, ScaleShift)):
            self.units[name] = given(shape)
            if name not in self.parts:
                self.layers[name] = self.alone(node)
                bits, per = self.settings.bits, self.settings.per
                self.notes[name] = f"weights of {bits} bits, a step each {per}"
        else:
            self.units[name] = carried(node, [self.units[n] for n in node.inputs], shape)

    def is_whole(self, name: str) -> bool:
        """True for a population that is to compute in whole numbers."""
        return self.choices.spiking and type(self.choices.types[name]) is IntegrateAndFire

    def theta(self, name: str) -> NDArray:
        """The thresholds of a population, as values."""
        return 1.0 / (self.choices.scales[name] * self.settings.dt)

    def alone(self, node: GraphNode) -> Layer:
        """A layer that no population in whole numbers reads: only its weights are rounded."""
        axis = channel_axis(self.roles.graph, node.name)
        if not weighs(self.roles.graph, node):
            return _elementwise(node.layer, self.settings)
        arrival = self.arrival((node.name, 0), node.name, axis)
        weights = few_bits(arrival.weights, self.settings)
        return arrival.layer(
            weights, arrival.bias, one_each(self.roles.graph.shapes[node.name], axis)
        )

    def population(self, name: str) -> None:
        """Weights, biases and threshold of one population as whole numbers."""
        shape, axis = self.roles.graph.shapes[name], channel_axis(self.roles.graph, name)
        theta = along(np.broadcast_to(self.theta(name), shape), axis)
        arriving = [self.arrival(edge, layer, axis) for edge, layer in edges(self.roles, name)]
        all_whole = all(a.whole for a in arriving)
        arriving = [a for a in arriving if a.node is not None or a.whole]
        fixed = FixedPoint.of(
            [a.in_spikes(theta) for a in arriving if a.whole],
            [a.in_spikes(theta) for a in arriving if not a.whole],
            [a.bias_in_spikes(theta) for a in arriving],
            self.settings,
        )
        for arrival in arriving:
            layer = arrival.rounded(fixed, theta, one_each(shape, axis))
            if arrival.node is None:
                self.inserted[arrival.edge] = layer
            else:
                self.layers[arrival.node.name] = layer
        threshold = fixed.threshold
        spread = threshold.reshape(one_each(shape, axis) if len(threshold) > 1 else ())
        self.types[name] = self.neurons(name, spread)
        self.starts[name] = whole_start(self.choices.starts[name], spread)
        self.notes[name] = self.note(threshold, all_whole)

    def arrival(self, edge: Edge, layer: str | None, axis: int | None) -> Arrival:
        """The sum that arrives at an edge, through a layer with weights or without."""
        reader, place = edge
        read = (
            self.roles.graph[reader].inputs[place] if layer is None else self.nodes[layer].inputs[0]
        )
        node = None if layer is None else self.nodes[layer]
        return Arrival(node, edge, self.units[read], axis)

    def note(self, threshold: NDArray, whole_numbers: bool) -> str:
        """The form of a population's parameters, in words."""
        least, largest = int(threshold.min()), int(threshold.max())
        shown = f"{least}" if least == largest else f"{least}..{largest}"
        weights = f"weights of {self.settings.bits} bits, a step each {self.settings.per}"
        rounds = "" if whole_numbers else "; values from outside are rounded"
        chip = f" under the bits of {self.settings.chip}" if self.settings.chip else ""
        return f"computes in whole numbers{chip}: {weights}, threshold {shown}{rounds}"

    def neurons(self, name: str, threshold: NDArray) -> NeuronType:
        """The neurons of a population in whole numbers, within the chip's bounds."""
        before, chip = self.choices.types[name], self.settings
        assert isinstance(before, IntegrateAndFire)
        read = chip.output_spikes if name in self.roles.read_from() else None
        caps = [cap for cap in (before.max_spikes_per_step, chip.spikes, read) if cap is not None]
        floors = [f for f in (before.voltage_floor, chip.voltage_floor) if f is not None]
        return FixedPointIntegrateAndFire(
            threshold=threshold,
            amplitude=before.amplitude,
            voltage_floor=min(floors, default=None),
            max_spikes_per_step=min(caps, default=None),
            state_bits=chip.state_bits,
            decay=chip.decay,
            reset=chip.reset,
        )


def _elementwise(layer: Layer, settings: Quantised) -> Layer:
    """A factor for each value, on one step."""
    if not isinstance(layer, ScaleShift) or layer.scale is None:
        return layer
    flat = np.asarray(layer.scale, np.float64).reshape(1, -1)
    one_step = replace(settings, per="layer")
    return replace(layer, scale=few_bits(flat, one_step).reshape(layer.scale.shape))


def _rebuilt(
    graph: Graph,
    nodes: Mapping[str, GraphNode],
    layers: Mapping[str, Layer],
    inserted: Mapping[Edge, Layer],
) -> Graph:
    """The graph with other layers, and layers of one weight a channel between some of its nodes."""
    made: list[GraphNode] = []
    for node in nodes.values():
        inputs = list(node.inputs)
        for place, name in enumerate(node.inputs):
            layer = inserted.get((node.name, place))
            if layer is not None:
                inputs[place] = f"{node.name}.weight{place}"
                made.append(GraphNode(inputs[place], layer, (name,), node.name, node.source_kind))
        layer = layers.get(node.name, node.layer)
        made.append(replace(node, layer=layer, inputs=tuple(inputs)))
    return Graph(tuple(made), graph.outputs, graph.aliases)
