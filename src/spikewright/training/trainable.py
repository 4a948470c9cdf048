"""The arrays of a graph that may be trained: names, those that layers share, and frozen ones.

Of frozen layers weights and biases stay as they are; thresholds and starts may move.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikewright._base.formatting import label_to_name
from spikewright.errors import TrainingError, listed
from spikewright.frontends import ModelReader
from spikewright.frontends.provenance import ArrayKey, Provenance, parameters_of
from spikewright.graph import Graph, layers
from spikewright.graph.layers import Layer
from spikewright.lower import keys_of_nodes

Group = Literal["weights", "biases"]
GROUPS: tuple[Group, ...] = get_args(Group)
_INDEX_BITS = 40  # of a code: the number of a value in its parameter

_NORMALISED: Mapping[str, Group] = {"scale": "weights", "shift": "biases"}
TRAINED: Mapping[type[Layer], Mapping[str, Group]] = MappingProxyType(
    {
        layers.Affine: {"weight": "weights", "bias": "biases"},
        layers.Convolution: {"weight": "weights", "bias": "biases"},
        layers.ConvolutionTranspose: {"weight": "weights", "bias": "biases"},
        layers.BatchNormalization: {"gamma": "weights", "beta": "biases"},
        layers.LayerNormalization: _NORMALISED,
        layers.GroupNormalization: _NORMALISED,
        layers.RMSNormalization: _NORMALISED,
        layers.ParametricReLU: {"slope": "weights"},
        layers.Lookup: {"table": "weights"},
    }
)
"""The arrays that may be trained, by kind of layer and field, with their group.

Others are constants of the model: factors, matrices of resizing, statistics of normalisation.
"""


def trained_arrays(graph: Graph) -> dict[ArrayKey, Group]:
    """The arrays of a graph that may be trained by their kind of layer, with their group."""
    return {
        (node.name, field): group
        for node in graph
        for field, group in TRAINED.get(type(node.layer), {}).items()
        if field in node.layer.arrays()
    }


def with_shared(graph: Graph, origins: Mapping[ArrayKey, Provenance]) -> Graph:
    """The same graph, in which arrays of the same numbers of a parameter are one array.

    So they are trained as one, and written back as one.
    """
    known: dict[object, NDArray] = {}
    changed: dict[ArrayKey, NDArray] = {}
    for node in graph:
        for field, array in node.layer.arrays().items():
            origin = origins.get((node.name, field))
            if origin is not None:
                first = known.setdefault(_key(origin), array)
                if first is not array and np.array_equal(first, array):
                    changed[node.name, field] = first
    return graph.with_arrays(changed)


def memory_of(array: NDArray) -> object:
    """A key: arrays that are the same values of memory have the same one."""
    found = array.__array_interface__
    return found["data"][0], array.shape, array.strides, array.dtype


def with_sharing(places: Iterable[ArrayKey], graph: Graph) -> set[ArrayKey]:
    """Arrays, and all those of other layers that are the same values of memory."""
    every = {
        (node.name, field): memory_of(array)
        for node in graph
        for field, array in node.layer.arrays().items()
    }
    memories = {every[place] for place in places if place in every}
    return {place for place, memory in every.items() if memory in memories}


def in_other_orders(origins: Mapping[ArrayKey, Provenance]) -> set[ArrayKey]:
    """Arrays with a number of a parameter that stands elsewhere too, in another order.

    A weight and its transpose are two such arrays. Trained apart they could not both go back.
    """
    places: dict[object, list[ArrayKey]] = {}
    for place, origin in origins.items():
        places.setdefault(_key(origin), []).append(place)
    firsts = [origins[some[0]] for some in places.values()]
    codes = [(o.which.astype(np.int64) << _INDEX_BITS | o.index).reshape(-1) for o in firsts]
    flat = np.concatenate([np.zeros(0, np.int64), *codes])
    owner = np.repeat(np.arange(len(codes)), [len(code) for code in codes])
    _, number, times = np.unique(flat, return_inverse=True, return_counts=True)
    several = set(owner[times[number] > 1].tolist())
    return {place for i, some in enumerate(places.values()) if i in several for place in some}


def _key(origin: Provenance) -> object:
    """A key: arrays of the same numbers of a parameter, in the same order, have the same one."""
    names = tuple(origin.held)
    return names, origin.which.tobytes(), origin.index.tobytes(), origin.index.shape


@dataclass(frozen=True, eq=False)
class NamedParameters:
    """All parameters of a source by name, and the place of their values in arrays of a graph."""

    graph: Graph
    arrays: Mapping[str, NDArray]
    origins: Mapping[ArrayKey, Provenance]

    @cached_property
    def reached(self) -> frozenset[str]:
        """Names of the parameters that arrays of the graph hold."""
        return frozenset(name for origin in self.origins.values() for name in origin.held)

    def trained(self, fixed: Container[str], frozen: Container[ArrayKey]) -> frozenset[str]:
        """Names of those that may be trained by their kind of layer.

        Arrays of nodes in `fixed` are not trained, nor is what `frozen` arrays hold.
        """
        held = {n for place, o in self.origins.items() if place in frozen for n in o.held}
        return frozenset(
            name
            for place in trained_arrays(self.graph)
            if place in self.origins and place[0] not in fixed
            for name in self.origins[place].held
            if name not in held
        )


def named(graph: Graph, reading: ModelReader | None) -> NamedParameters:
    """The parameters of a model from which `graph` was read, with the values in it, or its own.

    The model may have other weights by now. Those of a graph alone go by node and field,
    "dense.weight". Raises `TrainingError` where the model has other layers by now.
    """
    if reading is None:
        return _of_graph(graph)
    arrays = parameters_of(str(reading.framework)).parameters(reading.model)
    origins = reading.origins(_of_one_form(reading().graph, graph))
    for (node, field), origin in origins.items():
        origin.written(graph[node].layer.arrays()[field], arrays)
    return NamedParameters(graph, arrays, origins)


def _of_one_form(found: Graph, wanted: Graph) -> Graph:
    """A graph whose layers are those of another, whatever their weights; raises `TrainingError`."""
    if _form(found) != _form(wanted):
        raise TrainingError(
            "the model has other layers than it had when it was converted: convert it again"
        )
    return found


def _form(graph: Graph) -> list[tuple]:
    shapes = graph.shapes
    return [(n.name, n.layer.kind, n.inputs, shapes[n.name]) for n in graph]


def _of_graph(graph: Graph) -> NamedParameters:
    """Arrays that may be trained; one that several layers share has the name of the first."""
    arrays: dict[str, NDArray] = {}
    origins: dict[ArrayKey, Provenance] = {}
    known: dict[int, str] = {}
    for node, field in trained_arrays(graph):
        array = graph[node].layer.arrays()[field]
        own = label_to_name(node) if graph[node].source == node else node  # as the model has it
        name = known.setdefault(id(array), f"{own}.{field}")
        arrays[name] = array
        index = np.arange(array.size).reshape(array.shape)
        origins[node, field] = Provenance([name], np.zeros_like(index), index)
    return NamedParameters(graph, arrays, origins)


def arrays_of(graph: Graph, names: Sequence[str] | None) -> set[ArrayKey] | None:
    """The arrays of layers, each by its own name or that of the model or module around it.

    None without names. Raises `TrainingError` for a name of no layer.
    """
    if names is None:
        return None
    keys = keys_of_nodes(graph, [node.name for node in graph], "layer")
    found: set[ArrayKey] = set()
    for name in names:
        nodes = keys.named(name) | keys.inside(name) or keys.alike(name)
        if not nodes:
            raise TrainingError(f"frozen: the model has no layer {name!r}. {keys.unknown(name)}")
        found.update((node, entry) for node in nodes for entry in graph[node].layer.arrays())
    return found


def frozen_arrays(graph: Graph, given: Collection[ArrayKey]) -> frozenset[ArrayKey]:
    """Of given arrays those that could be trained, and all that are the same values.

    An array that several layers share is frozen with any of them.
    """
    return frozenset(with_sharing(given, graph) & trained_arrays(graph).keys())


def frozen_layers(graph: Graph, frozen: Collection[ArrayKey]) -> dict[str, tuple[str, ...]]:
    """The source's layers with frozen arrays, and the names of these."""
    found: dict[str, dict[str, None]] = {}
    for node, entry in trained_arrays(graph):
        if (node, entry) in frozen:
            found.setdefault(graph[node].source or node, {})[entry] = None
    return {layer: tuple(entries) for layer, entries in found.items()}


def in_words(layers: Mapping[str, Sequence[str]]) -> str:
    """Layers and their frozen arrays, in words: of many the first."""
    return listed([f"{layer} ({', '.join(arrays)})" for layer, arrays in layers.items()])
