"""Rate coding: a graph becomes a network in which spikes carry values as firing rates.

* an activation becomes an `Ensemble` of neurons with its response, shaped like the layer;
* linear layers become connections. One whose value only an activation reads, directly or through
  sums, connects straight into that population and adds its constant to the population's bias; any
  other becomes a junction `Node` that can be probed and connected to;
* a layer whose values depend on several (maxima, products, softmax, normalisations) becomes a
  `Node` with a function, and where weights or neurons read it a population that carries its value;
* an activation on an output (softmax, sigmoid, ...) is applied to the readout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.debugging import traced
from spikewright.errors import Refusal
from spikewright.graph import SPIKING_READY, Graph, GraphNode
from spikewright.graph.layers import (
    Activation,
    Add,
    Concatenate,
    Constant,
    Input,
    Layer,
    ParametricReLU,
    Recurrence,
    Shape,
)
from spikewright.graph.ranges import ValueRange, ranges
from spikewright.lower.choices import STEP
from spikewright.lower.guarantees import (
    LayerGuarantee,
    behind_function,
    function_guarantee,
    linear_guarantee,
    population_guarantee,
)
from spikewright.lower.linear import has_map, limited, linear_map
from spikewright.lower.lowered import Lowered, Object
from spikewright.lower.node_functions import FunctionPlan, is_function, plan
from spikewright.lower.populations import (
    Options,
    PopulationChoices,
    Roles,
    check,
    refusal,
    resolve,
)
from spikewright.network import Connection, Ensemble, Network, NeuronsView, NodeFunction
from spikewright.network import Node as NetworkNode
from spikewright.network.network import detached
from spikewright.network.node_functions import PythonCall
from spikewright.network.synapses import WindowMean
from spikewright.network.transforms import Chain, Place, Reshape, Transform

_OTHERS = (Activation, Add, Concatenate, Constant, Input, ParametricReLU)


def has_form(layer: Layer) -> bool:
    """Whether lowering has a form for a layer of this kind."""
    return isinstance(layer, _OTHERS) or has_map(layer) or is_function(layer)


def without_form(graph: Graph, but: type[Layer] | tuple[()] = ()) -> list[Refusal]:
    """A refusal for every layer without a form: those of a user's own class.

    Layers of the class `but` are accepted.
    """
    return [
        refusal(node, _why(node.layer))
        for node in graph
        if not (has_form(node.layer) or isinstance(node.layer, but))
    ]


def _why(layer: Layer) -> tuple[str, str]:
    """The reason why a layer has no form, and the next move."""
    if isinstance(layer, Recurrence):
        return "it runs along a sequence", "Give sequence_step, in steps of the simulation"
    return (
        f"nothing in a network is known to compute {layer.kind}",
        "Compose it of layers of spikewright.graph.layers",
    )


Source = tuple[str, Transform | None]  # an existing object's name, and the transform from it


def lower(graph: Graph, options: Options) -> Lowered:
    """Lower a spiking-ready graph.

    Raises `ConversionError` listing every layer that has no form under these options, and every key
    of a per-layer choice that means no layer.
    """
    SPIKING_READY.check(graph)
    roles = Roles(graph, options.stepping)
    return lowered(roles, resolve(roles, options))


def lowered(roles: Roles, choices: PopulationChoices) -> Lowered:
    """Lower a spiking-ready graph, under choices for each of its layers; raises as `lower` does."""
    check(roles, choices)
    with traced("lower") as changes:
        made = _Lowering(roles, choices).result()
        changes.append([f"{len(roles.graph)} layers"])
        changes.append(f"{guarantee.layer!r}: {guarantee.text}" for guarantee in made.guarantees)
    return made


@dataclass
class _Lowering:
    roles: Roles
    choices: PopulationChoices
    objects: dict[str, Object] = field(default_factory=dict)
    guarantees: list[LayerGuarantee] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.graph, self.stepping = self.roles.graph, self.roles.stepping
        self.ranges = ranges(self.graph)

    def result(self) -> Lowered:
        """Lower node by node."""
        roles = self.roles
        with detached(), Network() as network:
            for node in self.graph:
                if node.name in roles.read_out:
                    self.guarantees.append(
                        LayerGuarantee(node.name, "applied to what is read out", "exact")
                    )
                elif (part_of := roles.absorbing(node.name)) is not None:
                    self.guarantees.append(linear_guarantee(node.name, part_of))
                else:
                    self.objects[node.name] = self.materialise(node)
            self.carry()
            outputs = self.read_from()
        states = self.stepping
        inputs = {
            name: self.objects[name]
            for name in self.graph.inputs
            if states is None or name not in states.read
        }
        return Lowered(
            network=network,
            layers=self.became(),
            exact_values=frozenset(self.objects),
            inputs={name: item for name, item in inputs.items() if isinstance(item, NetworkNode)},
            outputs=outputs,
            readouts=roles.readouts,
            guarantees=tuple(self.guarantees),
            stepping=states,
            graph=self.graph,
        )

    def read_from(self) -> dict[str, Object]:
        """The source of each output; spikes of a population pass its synapse here too."""
        filtered: dict[str, NetworkNode] = {}
        outputs: dict[str, Object] = {}
        for output, last in self.graph.outputs.items():
            if self.stepping is not None and output in self.stepping.made:
                continue
            name = self.graph[last].inputs[0] if last in self.roles.read_out else last
            if self.choices.synapses.get(name) is None:
                outputs[output] = self.objects[name]
                continue
            if name not in filtered:
                filtered[name] = self.junction(
                    f"{name}.output", self.graph.shapes[name], [(name, None)], None
                )
            outputs[output] = filtered[name]
        return outputs

    def carry(self) -> None:
        """Connections from one step of a sequence to the next: the mean of the sent values.

        Digits come as they are, delayed by a row, and a state that is there at first as all that is
        held does.
        """
        if self.stepping is None:
            return
        for state in self.stepping.carried:
            made = self.objects[self.graph.outputs[state.made]]
            read = self.objects[state.read]
            assert isinstance(read, NetworkNode)  # what an input becomes
            end = made.neurons if isinstance(made, Ensemble) else made
            if self.choices.once:
                Connection(end, read, synapse=None, delay=STEP)  # `set_times` finds the steps
                if np.any(state.initial):
                    begins = self.constant(f"{state.read}.initial", state.initial, read.shape_in)
                    begins.restart_every = None
                    Connection(begins, read, synapse=None)
                continue
            initial = tuple(np.ravel(state.initial).tolist()) if np.any(state.initial) else ()
            Connection(end, read, synapse=WindowMean(self.stepping.steps, initial))

    def became(self) -> dict[str, Object]:
        """The object that every layer of the source became (a part of), in the graph's order."""
        layers: dict[str, Object] = {}
        items: dict[str, Object] = {}
        for node in self.graph:
            target = self.roles.absorbing(node.name) or node.name
            read_out = node.name in self.roles.read_out
            item = self.objects[node.inputs[0] if read_out else target]
            items[node.name] = item
            inner = node.source and node.source != node.name and node.source in self.graph
            if not inner or node.name in self.objects:
                layers[node.name] = item
            if node.source:
                layers.setdefault(node.source, item)
        for alias, name in self.graph.aliases.items():
            layers.setdefault(alias, items[name])
        return layers

    def materialise(self, node: GraphNode) -> Object:
        """The object whose output is this node's value."""
        shape = self.graph.shapes[node.name]
        layer = node.layer
        if isinstance(layer, Input) and self.stepping and node.name in self.stepping.read:
            return self.state(node.name, shape)
        if isinstance(layer, Input):
            return self.given(node.name, np.zeros(shape), shape, None)
        if isinstance(layer, Constant):
            return self.constant(node.name, layer.value, shape)
        if node.name in self.roles.activations:
            return self.population(node)
        if node.name in self.roles.functions:
            return self.function(node, shape)
        self.guarantees.append(linear_guarantee(node.name))
        return self.junction(node.name, shape, *self.expand(node))

    def state(self, name: str, shape: Shape) -> NetworkNode:
        """What a layer sent in the step of the sequence before."""
        digits, every = self.choices.once, self.choices.restart_every
        text = f"mean over the {every} steps of the sequence's step before, held"
        if digits:
            text = "digits of the sequence's step before, as they come"
        self.guarantees.append(LayerGuarantee(name, text, "exact", text))
        return NetworkNode(size_in=shape, label=name, restart_every=every if digits else None)

    def constant(self, label: str, value: ArrayLike, shape: Shape) -> NetworkNode:
        """A node that sends a value of this shape at every step."""
        return self.given(label, limited(np.broadcast_to(value, shape)), None, shape)

    def given(
        self, label: str, value: NDArray, size_in: Shape | None, size_out: Shape | None
    ) -> NetworkNode:
        """A node that sends what is given, as the code of the network takes it."""
        choices = self.choices
        at_once, once = choices.at_once, choices.once
        every = choices.restart_every if once else None
        return NetworkNode(
            value, size_in, size_out, label, restart_every=every, at_once=at_once, once=once
        )

    def population(self, node: GraphNode) -> Ensemble:
        """An activation's neurons, with the constants of their inputs as bias."""
        sources, bias = self.arriving(node.inputs[0])
        ensemble = self.choices.ensemble(self.graph, node.name, 0.0 if bias is None else bias)
        self.connect(sources, ensemble.neurons)
        self.guarantees.append(
            self.population_guarantee(node, ensemble, self.ranges[node.inputs[0]])
        )
        return ensemble

    def function(self, node: GraphNode, shape: Shape) -> Object:
        """A node with a function: of running means where the network spikes."""
        shapes = tuple(self.graph.shapes[name] for name in node.inputs)
        once, held = self.choices.once, node.name in self.roles.held
        accumulate = once or (self.choices.spiking and not held)
        planned = plan(node.layer, shapes, accumulate, fed=node.name in self.roles.fed, once=once)
        spikes = node.name in self.roles.populations
        alone = not (spikes or planned.after or planned.shift is not None)
        label = node.name if alone else f"{node.name}.function"
        computed = self.computing(node, planned, shapes, label)
        if alone:
            self.guarantees.append(function_guarantee(node.name, planned.function, once))
            return computed
        after = Chain(planned.after) if planned.after else None
        if not spikes:
            self.guarantees.append(function_guarantee(node.name, planned.function, once))
            return self.follower(node.name, shape, computed, after, planned.shift)
        bias = 0.0 if planned.shift is None else planned.shift
        ensemble = self.choices.ensemble(self.graph, node.name, bias)
        Connection(computed, ensemble.neurons, synapse=None, transform=after)
        if isinstance(planned.function, PythonCall):
            self.guarantees.append(function_guarantee(node.name, planned.function, once))
        behind = behind_function(planned.function, once)
        self.guarantees.append(
            self.population_guarantee(node, ensemble, self.ranges[node.name], behind)
        )
        return ensemble

    def population_guarantee(
        self, node: GraphNode, ensemble: Ensemble, reach: ValueRange, behind: str = ""
    ) -> LayerGuarantee:
        """The guarantee of a node with neurons; `reach` are the values that they stand for."""
        synapse = self.choices.synapses[node.name]
        return population_guarantee(node.name, node.layer, ensemble, synapse, reach, behind)

    def computing(
        self, node: GraphNode, planned: FunctionPlan, shapes: tuple[Shape, ...], label: str
    ) -> NetworkNode:
        """The computing node, its inputs connected; several are flattened, one after the other."""
        several = hasattr(planned.function, "shapes")
        if not several:
            shape_in = (
                shapes[0] if planned.before is None else planned.before.output_shape(shapes[0])
            )
            computed = self.node(planned.function, shape_in, label)
            self.connect([(node.inputs[0], planned.before)], computed)
            return computed
        total = sum(map(math.prod, shapes))
        computed = self.node(planned.function, (total,), label)
        start = 0
        for name, shape in zip(node.inputs, shapes, strict=True):
            size = math.prod(shape)
            place = Place(((start, start + size, 1),), (total,))
            self.connect([(name, Chain((Reshape((size,)), place)))], computed)
            start += size
        return computed

    def node(self, function: NodeFunction, shape: Shape, label: str) -> NetworkNode:
        """A node with a function."""
        once = self.choices.once
        return NetworkNode(
            function,
            size_in=shape,
            label=label,
            restart_every=self.choices.restart_every,
            at_once=self.choices.at_once if once else 1,
            once=once,
        )

    def follower(
        self,
        name: str,
        shape: Shape,
        source: NetworkNode,
        transform: Transform | None,
        bias: NDArray | None,
    ) -> NetworkNode:
        """A junction behind one node."""
        junction = self.junction(name, shape, [], bias)
        Connection(source, junction, synapse=None, transform=transform)
        return junction

    def junction(
        self, name: str, shape: Shape, sources: Sequence[Source], bias: NDArray | None
    ) -> NetworkNode:
        """A node that passes on its input, and a constant one for the constants."""
        junction = NetworkNode(size_in=shape, label=name)
        self.connect(sources, junction)
        if bias is not None and np.any(bias):
            Connection(self.constant(f"{name}.bias", bias, shape), junction, synapse=None)
        return junction

    def arriving(self, name: str) -> tuple[list[Source], NDArray | None]:
        """Sources of a reader of the value `name`: existing objects, transforms, a constant."""
        if self.roles.absorbing(name) is None:
            return [(name, None)], None
        return self.expand(self.graph[name])

    def expand(self, node: GraphNode) -> tuple[list[Source], NDArray | None]:
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

    def _placed(self, node: GraphNode, layer: Concatenate) -> list[Source]:
        shape = self.graph.shapes[node.name]
        axis = layer.axis % len(shape)
        sources: list[Source] = []
        start = 0
        for name in node.inputs:
            ranges = [(0, n, 1) for n in self.graph.shapes[name]]
            ranges[axis] = (start, start + ranges[axis][1], 1)
            sources.append((name, Place(tuple(ranges), shape)))
            start = ranges[axis][1]
        return sources

    def connect(self, sources: Sequence[Source], post: NeuronsView | NetworkNode) -> None:
        """Connections from existing objects; those from a population have its synapse."""
        for name, transform in sources:
            pre = self.objects[name]
            synapse = self.choices.synapses.get(name)
            end = pre.neurons if isinstance(pre, Ensemble) else pre
            Connection(end, post, synapse=synapse, transform=transform)
