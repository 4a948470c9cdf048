"""Rate coding: a graph becomes a network in which spikes carry values as firing rates.

* an activation that a neuron type has becomes an `Ensemble` of that type, shaped like the layer;
* linear layers become connections. One whose value only an activation reads, directly or through
  sums, connects straight into that population and adds its constant to the population's bias; any
  other becomes a junction `Node` that can be probed and connected to;
* max pooling becomes a `Node` with a function;
* an activation without neurons on an output (softmax, sigmoid, ...) is applied to what is read out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._windows import Windows, split_shape
from spikewright.errors import ConversionError, NetworkError, Refusal
from spikewright.graph import SPIKING_READY, Graph, Node
from spikewright.graph.layers import (
    Activation,
    Add,
    Concatenate,
    GlobalMaxPool,
    Input,
    MaxPool,
    Shape,
)
from spikewright.lower.choices import NeuronChoice, per_layer
from spikewright.lower.linear import linear_map, place_ranges, spatial_layout
from spikewright.lower.notes import LayerNote, population_note
from spikewright.network import Connection, Ensemble, Network, Neurons
from spikewright.network import MaxPool as MaxPoolFunction
from spikewright.network import Node as NetworkNode
from spikewright.network.network import detached
from spikewright.network.neurons import IntegrateAndFire
from spikewright.network.synapses import Synapse, as_synapse
from spikewright.network.transforms import Place, Reshape, Transform

Object = Ensemble | NetworkNode
READOUT_ACTIVATIONS = ("softmax", "sigmoid", "tanh", "softplus", "linear")
_NO_NEURONS = (
    "no neuron type has its activation",
    "Move it to the output, where it is applied to what is read out",
)
_NO_CAP = (
    "its activation needs neurons that max_spikes_per_step cannot cap",
    "Leave max_spikes_per_step out, or use ReLU here",
)
_NOT_SPATIAL = (
    "its maximum is over some axes that are not the spatial ones",
    "Reshape its input so that it is over all axes but the channels",
)


@dataclass(frozen=True)
class Options:
    """Everything a user may choose here, as `spikewright.convert` takes it."""

    neurons: NeuronChoice = field(default_factory=lambda: NeuronChoice(False))
    scale_firing_rates: object = 1.0
    synapse: object = None
    initial_voltage: object = "half"


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network, and what became of every layer.

    `layers` maps names of source layers to the ensemble or node that they became (a part of);
    `exact_values` names those whose output is exactly that object's. `readouts` are the activations
    to apply to what is read from an output.
    """

    network: Network
    layers: Mapping[str, Object]
    exact_values: frozenset[str]
    inputs: Mapping[str, NetworkNode]
    outputs: Mapping[str, Object]
    readouts: Mapping[str, Activation]
    notes: tuple[LayerNote, ...]


def lower(graph: Graph, options: Options) -> Lowered:
    """Lower a spiking-ready graph.

    Raises `ConversionError` listing every layer that has no form under these options, and every
    per-layer choice that names no layer or leaves one out.
    """
    SPIKING_READY.check(graph)
    return _Lowering(graph, options).result()


@dataclass
class _Lowering:
    graph: Graph
    options: Options
    objects: dict[str, Object] = field(default_factory=dict)
    notes: list[LayerNote] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.readouts = {
            output: node.layer
            for output, name in self.graph.outputs.items()
            if isinstance((node := self.graph[name]).layer, Activation)
            and node.layer.function in READOUT_ACTIVATIONS
            and not self.graph.consumers[name]
        }
        read_out = {self.graph.outputs[output] for output in self.readouts}
        self.read_out = read_out
        self.populations = [
            node.name
            for node in self.graph
            if isinstance(node.layer, Activation) and node.name not in read_out
        ]
        self._resolve_choices()

    def _resolve_choices(self) -> None:
        activations = {name: self.graph[name].layer for name in self.populations}
        choice = self.options.neurons
        known = {n: a for n, a in activations.items() if isinstance(a, Activation)}
        choice.check(list(known.values()))
        types = {name: choice.neuron_type(activation) for name, activation in known.items()}
        refusals = [
            self._refusal(self.graph[n], _NO_NEURONS) for n, t in types.items() if t is None
        ]
        if choice.max_spikes_per_step is not None:
            refusals += [
                self._refusal(self.graph[n], _NO_CAP)
                for n, t in types.items()
                if t is not None and not isinstance(t, IntegrateAndFire)
            ]
        refusals += [
            self._refusal(node, _NOT_SPATIAL)
            for node in self.graph
            if isinstance(node.layer, GlobalMaxPool) and self._pool_windows(node) is None
        ]
        if refusals:
            raise ConversionError(refusals)
        self.types = {name: found for name, found in types.items() if found is not None}
        names = self._population_names()
        wanted = self.options

        def resolve(value: object, what: str, convert: Callable) -> dict:
            return per_layer(value, self.populations, names, what, convert)

        self.scales = resolve(wanted.scale_firing_rates, "scale_firing_rates", _as_scale)
        self.synapses: dict[str, Synapse | None] = resolve(
            wanted.synapse, "synapse", lambda value: as_synapse(value, "synapse")
        )
        self.starts = resolve(wanted.initial_voltage, "initial_voltage", lambda value: value)
        self._try_populations()

    def _try_populations(self) -> None:
        """Raise `ConversionError` for every population that its choices do not fit."""
        refusals = []
        for name in self.populations:
            node = self.graph[name]
            try:
                with detached(), Network():
                    self.ensemble(node, 0.0)
            except NetworkError as error:
                reason = str(error).removeprefix(f"<Ensemble {name!r}>: ")
                reason = reason.replace("rate_scale", "scale_firing_rates")
                refusals.append(self._refusal(node, (reason, "")))
        if refusals:
            raise ConversionError(refusals)

    def _population_names(self) -> dict[str, str]:
        """Every source layer name that means a population: its own, and what it has absorbed."""
        names = {name: name for name in self.populations}
        for node in self.graph:
            target = self.absorbing(node.name)
            if target is not None:
                names.setdefault(node.name, target)
        for alias in self.graph.aliases:
            resolved = self.graph.aliases[alias]
            if resolved in names:
                names.setdefault(alias, names[resolved])
        for node in self.graph:
            if node.source and node.name in names:
                names.setdefault(node.source, names[node.name])
        return names

    def absorbing(self, name: str) -> str | None:
        """The population that a linear layer connects straight into, or None."""
        consumers = self.graph.consumers[name]
        layer = self.graph[name].layer
        if len(consumers) != 1 or self.graph.is_output(name) or not layer.linear:
            return None
        if isinstance(layer, Activation | Input):
            return None
        consumer = consumers[0]
        if consumer in self.populations:
            return consumer
        if isinstance(self.graph[consumer].layer, Add):
            return self.absorbing(consumer)
        return None

    def result(self) -> Lowered:
        """Lower node by node."""
        with detached(), Network() as network:
            for node in self.graph:
                if node.name not in self.read_out and self.absorbing(node.name) is None:
                    self.objects[node.name] = self.materialise(node)
        read_from = {
            output: self.graph[name].inputs[0] if name in self.read_out else name
            for output, name in self.graph.outputs.items()
        }
        inputs = {name: self.objects[name] for name in self.graph.inputs}
        return Lowered(
            network,
            self.became(),
            frozenset(self.objects),
            {name: item for name, item in inputs.items() if isinstance(item, NetworkNode)},
            {output: self.objects[name] for output, name in read_from.items()},
            self.readouts,
            tuple(self.notes),
        )

    def became(self) -> dict[str, Object]:
        """What every layer of the source became, or became a part of, in the graph's order."""
        layers: dict[str, Object] = {}
        items: dict[str, Object] = {}
        for node in self.graph:
            target = self.absorbing(node.name) or node.name
            item = self.objects[node.inputs[0] if node.name in self.read_out else target]
            items[node.name] = item
            inner = node.source and node.source != node.name and node.source in self.graph
            if not inner or node.name in self.objects:
                layers[node.name] = item
            if node.source:
                layers.setdefault(node.source, item)
        for alias, name in self.graph.aliases.items():
            layers.setdefault(alias, items[name])
        return layers

    def materialise(self, node: Node) -> Object:
        """The object whose output is this node's value."""
        shape = self.graph.shapes[node.name]
        layer = node.layer
        if isinstance(layer, Input):
            return NetworkNode(np.zeros(shape), label=node.name)
        if isinstance(layer, Activation):
            return self.population(node)
        if isinstance(layer, MaxPool | GlobalMaxPool):
            return self.max_pool(node, shape)
        return self.junction(node.name, shape, *self.expand(node))

    def ensemble(self, node: Node, bias: ArrayLike) -> Ensemble:
        """An activation's neurons under the choices made for them."""
        return Ensemble(
            self.graph.shapes[node.name],
            neuron_type=self.types[node.name],
            gain=1.0,
            bias=bias,
            rate_scale=self.scales[node.name],
            initial_voltage=self.starts[node.name],
            label=node.name,
        )

    def population(self, node: Node) -> Ensemble:
        """An activation's neurons, with the constants of what leads into them as bias."""
        sources, bias = self.arriving(node.inputs[0])
        ensemble = self.ensemble(node, 0.0 if bias is None else bias)
        self.connect(sources, ensemble.neurons)
        self.notes.append(population_note(node.name, ensemble))
        return ensemble

    def junction(
        self, name: str, shape: Shape, sources: Sequence[Source], bias: NDArray | None
    ) -> NetworkNode:
        """A node that passes on what arrives, and a constant one for the constants."""
        junction = NetworkNode(size_in=shape, label=name)
        self.connect(sources, junction)
        if bias is not None and np.any(bias):
            constant = NetworkNode(np.broadcast_to(bias, shape), label=f"{name}.bias")
            Connection(constant, junction, synapse=None)
        return junction

    def arriving(self, name: str) -> tuple[list[Source], NDArray | None]:
        """What leads to a reader of the value `name`: existing objects, transforms, a constant."""
        if self.absorbing(name) is None:
            return [(name, None)], None
        return self.expand(self.graph[name])

    def expand(self, node: Node) -> tuple[list[Source], NDArray | None]:
        """A linear layer in terms of existing objects."""
        layer = node.layer
        if isinstance(layer, Add):
            parts = [self.arriving(name) for name in node.inputs]
            biases = [bias for _, bias in parts if bias is not None]
            shape = self.graph.shapes[node.name]
            total = sum((np.broadcast_to(b, shape) for b in biases), start=np.zeros(shape))
            return [s for sources, _ in parts for s in sources], total if biases else None
        if isinstance(layer, Concatenate):
            return self._placed(node, layer), None
        (name,) = node.inputs
        transform, bias = linear_map(layer, self.graph.shapes[name])
        return [(name, transform)], bias

    def _placed(self, node: Node, layer: Concatenate) -> list[Source]:
        shape = self.graph.shapes[node.name]
        axis = layer.axis % len(shape)
        sources: list[Source] = []
        start = 0
        for name in node.inputs:
            part = self.graph.shapes[name]
            sources.append((name, Place(place_ranges(part, axis, start), shape)))
            start += part[axis]
        return sources

    def connect(self, sources: Sequence[Source], post: Neurons | NetworkNode) -> None:
        """Connections from existing objects; what leaves a population passes its synapse."""
        for name, transform in sources:
            pre = self.objects[name]
            synapse = self.synapses.get(name)
            end = pre.neurons if isinstance(pre, Ensemble) else pre
            Connection(end, post, synapse=synapse, transform=transform)

    def max_pool(self, node: Node, shape: Shape) -> NetworkNode:
        """Max pooling as a node: of running sums where the network spikes."""
        (name,) = node.inputs
        shape_in = self.graph.shapes[name]
        found = self._pool_windows(node)
        if found is None:
            raise TypeError(f"{node.name!r} should have been refused")
        windows, last = found
        spiking = self.options.neurons.is_spiking
        function = MaxPoolFunction(windows, last, accumulate=spiking)
        keeps = function.output_shape(shape_in) == shape
        label = node.name if keeps else f"{node.name}.windows"
        pool = NetworkNode(function, size_in=shape_in, label=label)
        self.connect([(name, None)], pool)
        if spiking:
            text = (
                "passes on the increase of the largest running sum, so its mean is the maximum of "
                "the inputs' means"
            )
            self.notes.append(LayerNote(node.name, text, "convergent"))
        else:
            text = "maximum of its inputs at every step"
            self.notes.append(LayerNote(node.name, text, "exact"))
        if keeps:
            return pool
        junction = NetworkNode(size_in=shape, label=node.name)
        Connection(pool, junction, synapse=None, transform=Reshape(shape))
        return junction

    def _pool_windows(self, node: Node) -> tuple[Windows, bool] | None:
        """Windows of a maximum and whether channels are last; None where its axes are neither."""
        layer = node.layer
        if isinstance(layer, MaxPool):
            return layer.windows, layer.channels_last
        if not isinstance(layer, GlobalMaxPool):
            raise TypeError(f"{layer.kind} is no maximum")
        shape = self.graph.shapes[node.inputs[0]]
        last = spatial_layout(layer.axes, len(shape))
        if last is None:
            return None
        extent, _ = split_shape(shape, last)
        rank = len(extent)
        return Windows(extent, extent, ((0, 0),) * rank, (1,) * rank), last

    def _refusal(self, node: Node, why: tuple[str, str]) -> Refusal:
        return Refusal(node.source or node.name, node.source_kind or node.layer.kind, *why)


Source = tuple[str, Transform | None]  # an existing object's name, and the transform from it


def _as_scale(value: object) -> NDArray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise NetworkError(f"{value!r} is not a number, an array or a dict of them")
    return array.astype(np.float64)
