"""A network as chips see it: layers of neurons, and the paths of weights that lead to them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ChipError
from spikewright.measure.operations.patterns import weighs
from spikewright.network import Connection, Ensemble, MaxPool, Network, Node
from spikewright.network.neurons import NeuronType
from spikewright.network.processes import EachStep, Process
from spikewright.network.transforms import Shape, SumPool, Transform
from spikewright.network.view import NeuronsView

Stage = Transform | MaxPool
Item = NeuronsView | Node


@dataclass(frozen=True, eq=False)
class Path:
    """The way from the values of a layer, an input or a function to a layer's neurons.

    `shape` is that of the origin's values. A synapse lies on a `filtered` one.
    """

    origin: str
    shape: Shape
    stages: tuple[Stage, ...]
    filtered: bool = False

    @cached_property
    def weights(self) -> tuple[Transform, ...]:
        """The stages as linear maps: a maximum reads what a sum over its windows reads."""
        return tuple(
            SumPool(stage.windows, channels_last=stage.channels_last)
            if isinstance(stage, MaxPool)
            else stage
            for stage in self.stages
        )


@dataclass(frozen=True, eq=False)
class ChipLayer:
    """Neurons of one population, or a readout, whose sums only the host reads (no neuron type).

    `noise` is a process that adds to the neurons' currents.
    """

    name: str
    shape: Shape
    neuron_type: NeuronType | None
    paths: tuple[Path, ...]
    noise: Process | None = None

    @property
    def neurons(self) -> int:
        """The number of its neurons."""
        return int(np.prod(self.shape))

    @property
    def sends_digits(self) -> bool:
        """True for a layer whose neurons send signed digits."""
        return self.neuron_type is not None and self.neuron_type.sends_digits

    @property
    def step_biases(self) -> NDArray | None:
        """The biases that each of the first steps has of its own, `(steps, ...)`, if it has any."""
        return self.noise.values if isinstance(self.noise, EachStep) else None


@dataclass(frozen=True, eq=False)
class ChipNetwork:
    """The layers of a network in order, the shapes of its inputs, and functions between layers."""

    inputs: Mapping[str, Shape]
    layers: tuple[ChipLayer, ...]
    functions: tuple[str, ...]

    @cached_property
    def _readers(self) -> Mapping[str, list[ChipLayer]]:
        found: dict[str, list[ChipLayer]] = {}
        for layer in self.layers:
            for origin in dict.fromkeys(path.origin for path in layer.paths):
                found.setdefault(origin, []).append(layer)
        return found

    def readers(self, name: str) -> list[ChipLayer]:
        """The layers that read a layer or an input."""
        return self._readers.get(name, [])

    @cached_property
    def last(self) -> frozenset[str]:
        """Names of the layers that no layer reads."""
        return frozenset(la.name for la in self.layers if la.name not in self._readers)

    @property
    def hidden(self) -> list[ChipLayer]:
        """The layers that others read."""
        return [layer for layer in self.layers if layer.name not in self.last]


def layers_of(network: Network, inputs: Collection[Node] | None = None) -> ChipNetwork:
    """The layers of a network of neurons and weights, named by the labels of their objects.

    Constant nodes are inputs unless `inputs` says which ones are; the others are biases. Raises
    `ChipError` for what no chip holds: populations that represent a vector, functions of
    connections and weights that learn.
    """
    return _Reader(network, inputs).read()


class _Reader:
    def __init__(self, network: Network, inputs: Collection[Node] | None) -> None:
        self._given = inputs
        self._ensembles, self._nodes = network.all_ensembles, network.all_nodes
        self._names = {
            **_named("population", self._ensembles, set()),
            **_named("node", self._nodes, {e.label for e in self._ensembles}),
        }
        self._arriving: dict[Item, list[Connection]] = {}
        self._sending: set[Item] = set()
        for ensemble in self._ensembles:
            _refuse_vector(ensemble, self.name(ensemble))
        for connection in network.all_connections:
            _refuse_dynamics(connection)
            self._arriving.setdefault(connection.post_obj, []).append(connection)  # type: ignore
            self._sending.add(connection.pre_obj)  # type: ignore[arg-type]

    def read(self) -> ChipNetwork:
        layers = [
            ChipLayer(self.name(e), e.shape, e.neuron_type, tuple(self._paths(e.neurons)), e.noise)
            for e in self._ensembles
        ]
        for node in self._nodes:
            paths = tuple(self._paths(node)) if self._ends(node) else ()
            if any(weighs(part) for path in paths for part in path.weights):
                layers.append(ChipLayer(self.name(node), node.shape_in, None, paths))
        functions = [self.name(node) for node in self._nodes if _computes(node)]
        read = {path.origin for layer in layers for path in layer.paths}
        return ChipNetwork(
            {self.name(n): n.shape_out for n in self._nodes if self._feeds(n)},
            tuple(layers),
            tuple(name for name in functions if name in read),
        )

    def name(self, item: Ensemble | Node) -> str:
        """The label of an item, or its place among its kind; no two have one name."""
        return self._names[item]

    def _ends(self, node: Node) -> bool:
        """True for a node at which paths end: nothing on the chip reads it, or it computes."""
        return _computes(node) or (node.output is None and node not in self._sending)

    def _feeds(self, node: Node) -> bool:
        """True for an input."""
        if self._arriving.get(node) or node.output is None or isinstance(node.output, MaxPool):
            return False
        return self._given is None or node in self._given

    def _paths(self, item: Item, way: _Way | None = None) -> Iterator[Path]:
        """All ways that lead to an item, through junctions and maxima."""
        way = way or _Way()
        for connection in self._arriving.get(item, ()):
            longer = _Way(
                (*connection.chain(), *way.stages),
                way.filtered or connection.synapse is not None,
                (*way.through, item),
            )
            pre = connection.pre_obj
            if isinstance(pre, NeuronsView):
                yield Path(self.name(pre.ensemble), pre.shape, longer.stages, longer.filtered)
            elif isinstance(pre, Node):
                yield from self._through(pre, longer)

    def _through(self, node: Node, way: _Way) -> Iterator[Path]:
        """All ways through a node."""
        if node in way.through:
            raise ChipError(f"{node!r} leads to itself without neurons between: no chip holds that")
        if isinstance(node.output, MaxPool):
            yield from self._paths(node, replace(way, stages=(node.output, *way.stages)))
        elif self._feeds(node) or _computes(node):
            yield Path(self.name(node), node.shape_out, way.stages, way.filtered)
        else:
            yield from self._paths(node, way)


@dataclass(frozen=True)
class _Way:
    """The part of a path that was walked, from its end: stages, and what it has gone through."""

    stages: tuple[Stage, ...] = ()
    filtered: bool = False
    through: tuple[Item, ...] = ()


def _named(
    kind: str, items: Sequence[Ensemble | Node], taken: set[str | None]
) -> dict[Ensemble | Node, str]:
    """Names of items of a kind: their labels where these are not taken, and their places."""
    names: dict[Ensemble | Node, str] = {}
    for place, item in enumerate(items, 1):
        label, here = item.label, f"{kind} {place}"
        names[item] = here if not label else f"{label} ({here})" if label in taken else label
        taken.add(label)
    return names


def _computes(node: Node) -> bool:
    """True for a function of values that arrive, other than a maximum of spikes."""
    plain = node.output is None or isinstance(node.output, np.ndarray | MaxPool)
    return not plain and node.size_in > 0


def _refuse_vector(ensemble: Ensemble, name: str) -> None:
    if ensemble.represents:
        raise ChipError(
            f"population {name!r} represents a vector: chips hold neurons and weights. Connect "
            "its neurons, or solve for full weights (see Simulator.full_weights)"
        )


def _refuse_dynamics(connection: Connection) -> None:
    if connection.learning_rules:
        raise ChipError(
            f"{connection!r} learns: weights on a chip are taken to stay. Save what was learned, "
            "and ask about that"
        )
    if connection.function is not None:
        raise ChipError(
            f"{connection!r} computes a function: chips hold neurons and weights. Make it weights"
        )
