"""Layers where a spiking network may lose accuracy, and time means propagated through them.

Linear layers act on time means as on values, and so do the functions of running means; the only
other part is the response of each population to its mean current. So the mean of every value of a
spiking run follows from the means that its populations sent. Conversely, a network in which only
some layers spike, or spike otherwise, is computed without running it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikewright.diagnosis.mean_response import LayerNeurons, finite, layer_neurons
from spikewright.engines.parameters import build_parameters, keyed_ensembles
from spikewright.graph import Graph
from spikewright.graph.layers import Layer
from spikewright.lower import Options, lower
from spikewright.lower.node_functions import is_function
from spikewright.network import Ensemble
from spikewright.passes import STANDARD
from spikewright.passes import run as run_passes
from spikewright.passes.send_values import SendValues
from spikewright.running.protocols import ConversionLike


@dataclass(frozen=True, eq=False)
class LossyLayer:
    """A layer where the network may lose accuracy: its form in the source and in the network.

    `exact` is the layer as the source has it, `present` as the network has it; `neurons` are its
    neurons, None for a layer without, and `offset` is the amount added to their current.
    """

    name: str
    exact: Layer
    present: Layer
    neurons: LayerNeurons | None
    offset: NDArray | None = None

    def scaled(self, factor: float | NDArray) -> LossyLayer:
        """The same layer with firing rates multiplied by `factor`, which broadcasts to it."""
        return self if self.neurons is None else replace(self, neurons=self.neurons.scaled(factor))

    def source_value(self, *arriving: NDArray) -> NDArray:
        """The source's value for the means that arrive at the layer."""
        return finite(self.exact.evaluate, *arriving)

    def network_value(self, *arriving: NDArray) -> NDArray:
        """The value of the layer as the network has it, for the means that arrive."""
        return finite(self.present.evaluate, *arriving)

    def current(self, *arriving: NDArray) -> NDArray:
        """The mean current of its neurons, for the means that arrive at the layer."""
        if is_function(self.exact):  # a node computes it, neurons behind it pass it on
            value = self.network_value(*arriving)
        else:
            (value,) = arriving
        return value if self.offset is None else value + self.offset

    def passed_on(self, sent: NDArray) -> NDArray:
        """The value that reaches the layer's readers of the mean value that it sent."""
        return (
            sent
            if self.neurons is None or self.neurons.passed == 1.0
            else sent * self.neurons.passed
        )

    def reaches(self, *arriving: NDArray, disorder: NDArray | float = 0.0) -> NDArray:
        """The value that its readers get for arriving means, less the loss to arrival order."""
        if self.neurons is None:
            return self.network_value(*arriving)
        sent = self.neurons.steady(self.current(*arriving)) - disorder
        return self.passed_on(np.maximum(sent, self.neurons.lowest))

    def spikes(self, value: NDArray) -> float:
        """The number of spikes after which its readers get these mean values."""
        if self.neurons is None or self.neurons.passed == 0:
            return 0.0
        return float(self.neurons.spikes(value).sum()) / self.neurons.passed


@dataclass(frozen=True, eq=False)
class MeanPropagation:
    """The means of a conversion in a run of `steps` steps of `dt` seconds.

    `graph` computes the source's values, layer by layer under the names of the network, `biases`
    are those of its neurons; `lossy_layers` are in its order.
    """

    graph: Graph
    biases: Mapping[str, NDArray]
    lossy_layers: Mapping[str, LossyLayer]
    steps: int
    dt: float

    @classmethod
    def of(
        cls,
        conversion: ConversionLike,
        steps: int,
        dt: float,
        seed: int,
        like: MeanPropagation | None = None,
    ) -> MeanPropagation:
        """The means of a conversion; random starts are those of a run with this seed.

        `like` is that of another conversion of the same model.
        """
        send = SendValues.like(conversion.canonical)
        graph = run_passes(conversion.graph, (*STANDARD, send))[0] if like is None else like.graph
        biases = _biases(conversion.canonical) if like is None else like.biases
        connections = conversion.network.all_connections
        keys = dict(keyed_ensembles(conversion.network, seed))
        populations = conversion.populations()
        lossy_layers = {}
        for node in graph:
            name, present = node.name, conversion.canonical[node.name].layer
            if name in populations:
                ensemble = populations[name]
                start = build_parameters(ensemble, keys[ensemble]).parameters.initial_voltage
                neurons = layer_neurons(ensemble, start, steps, dt, connections)
                offset = _added(ensemble, biases[name], steps)
                added = offset if np.any(offset) else None
                lossy_layers[name] = LossyLayer(name, node.layer, present, neurons, added)
            elif type(present) is not type(node.layer):
                lossy_layers[name] = LossyLayer(name, node.layer, present, None)
        return cls(graph, biases, lossy_layers, steps, dt)

    @cached_property
    def senders(self) -> Mapping[str, Sequence[str]]:
        """For every lossy layer the populations whose spikes reach it without passing another."""
        found: dict[str, tuple[str, ...]] = {}
        behind: dict[str, tuple[str, ...]] = {}
        for node in self.graph:
            reached = tuple(dict.fromkeys(n for name in node.inputs for n in behind[name]))
            lossy = self.lossy_layers.get(node.name)
            if lossy is not None:
                found[node.name] = reached
            is_population = lossy is not None and lossy.neurons is not None
            behind[node.name] = (node.name,) if is_population else reached
        return found

    @cached_property
    def blamed(self) -> Mapping[str, Mapping[str, float]]:
        """For every lossy layer those that its loss to arrival order is due to, with their shares.

        Uneven arrival is the doing of the populations whose spikes arrive; of several, larger
        spikes do more, in proportion to the squares of their heights. It is a layer's own where
        nothing but constant input arrives, or where its neurons draw their spikes at random. Of
        digits too: it waits too little for what arrives.
        """
        return {name: self._blamed(name, lossy) for name, lossy in self.lossy_layers.items()}

    def _blamed(self, name: str, lossy: LossyLayer) -> dict[str, float]:
        if lossy.neurons is None:
            return {}
        heights = {
            sender: neurons.mean_height
            for sender in self.senders[name]
            if (neurons := self.lossy_layers[sender].neurons) is not None
            and neurons.neuron_type.spiking
        }
        if not heights or not lossy.neurons.integrates or lossy.neurons.neuron_type.sends_digits:
            return {name: 1.0}
        total = sum(height**2 for height in heights.values())
        return {sender: height**2 / total for sender, height in heights.items()}


def _added(ensemble: Ensemble, bias: NDArray, steps: int) -> NDArray:
    """The sum of corrections of a layer's bias, a mean over the steps."""
    return np.asarray(np.asarray(ensemble.bias) - bias + ensemble.mean_step_bias(steps))


def _biases(graph: Graph) -> dict[str, NDArray]:
    """The bias of every layer with neurons, before anything was added to it."""
    layers = lower(graph, Options()).layers
    return {
        name: np.asarray(item.bias) for name, item in layers.items() if isinstance(item, Ensemble)
    }


Values = Mapping[str, NDArray]
Send = Callable[[LossyLayer, tuple[NDArray, ...]], NDArray]
"""The mean that the readers of a layer get, for the means `(batch, *shape)` that arrive at it."""


def propagate(
    plan: MeanPropagation, source: Values, send: Send, where: Container[str]
) -> dict[str, NDArray]:
    """The mean of every layer's value, as its readers get it, `{name: (batch, *shape)}`.

    Layers in `where` give what `send` returns, all others what the source does; `source` are its
    values, which hold wherever nothing upstream has changed.
    """
    values = dict(source)
    changed: set[str] = set()
    for node in plan.graph:
        lossy = plan.lossy_layers.get(node.name) if node.name in where else None
        if lossy is None and changed.isdisjoint(node.inputs):
            continue
        inputs = tuple(values[name] for name in node.inputs)
        values[node.name] = (
            finite(node.layer.evaluate, *inputs) if lossy is None else send(lossy, inputs)
        )
        changed.add(node.name)
    return values


def network_means(plan: MeanPropagation, source: Values, disorder: Values) -> dict[str, NDArray]:
    """The means of the network; `disorder` is lost to arrival order."""

    def send(lossy: LossyLayer, arriving: tuple[NDArray, ...]) -> NDArray:
        return lossy.reaches(*arriving, disorder=disorder.get(lossy.name, 0.0))

    return propagate(plan, source, send, plan.lossy_layers)


def single_layer_means(
    plan: MeanPropagation,
    source: Values,
    disorder: Values,
    name: str,
    factor: float | NDArray = 1.0,
) -> dict[str, NDArray]:
    """The means where one layer alone is as the network has it, and all else as the source.

    Its neurons' rates are multiplied by `factor`, a number or an array that broadcasts to the
    layer. The effect of its spikes' arrival order on later populations is counted as a loss that
    this layer causes; it falls with their height.
    """
    lossy = plan.lossy_layers[name].scaled(factor)
    shares = {other: of[name] for other, of in plan.blamed.items() if name in of}
    old, new = plan.lossy_layers[name].neurons, lossy.neurons
    height = 1.0 if old is None or new is None else new.mean_height / old.mean_height

    def send(found: LossyLayer, arriving: tuple[NDArray, ...]) -> NDArray:
        lost = disorder.get(found.name, 0.0) * (shares.get(found.name, 0.0) * height)
        if found.name == name:
            return lossy.reaches(*arriving, disorder=lost)
        lowest = -np.inf if found.neurons is None else found.neurons.lowest
        return np.maximum(found.source_value(*arriving) - lost, lowest)

    return propagate(plan, source, send, {name, *shares})


def outputs_of(plan: MeanPropagation, values: Values) -> dict[str, NDArray]:
    """The values of the outputs, by output name."""
    return {output: values[name] for output, name in plan.graph.outputs.items()}
