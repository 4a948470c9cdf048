"""The arrays of a graph under the names of its source's parameters."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikewright._base.layer_names import bare_name
from spikewright.errors import TrainingError
from spikewright.frontends import Reading
from spikewright.frontends.origins import Origin, Place, parameters_of
from spikewright.graph import Graph, Node
from spikewright.training.trainable import trained_arrays


@dataclass(frozen=True, eq=False)
class NamedParameters:
    """All parameters of a source by name, and the place of their values in arrays of a graph."""

    graph: Graph
    arrays: Mapping[str, NDArray]
    origins: Mapping[Place, Origin]

    @cached_property
    def reached(self) -> frozenset[str]:
        """Names of the parameters that arrays of the graph hold."""
        return frozenset(name for origin in self.origins.values() for name in origin.held)

    def trained(self, fixed: Container[str], frozen: Container[Place]) -> frozenset[str]:
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


def named(graph: Graph, reading: Reading | None) -> NamedParameters:
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


def _own_name(node: Node) -> str:
    """The name of a node's layer as the model has it: numbers without the kind behind them."""
    return bare_name(node.name) if node.source == node.name else node.name


def _of_graph(graph: Graph) -> NamedParameters:
    """Arrays that may be trained; one that several layers share has the name of the first."""
    arrays: dict[str, NDArray] = {}
    origins: dict[Place, Origin] = {}
    known: dict[int, str] = {}
    for node, field in trained_arrays(graph):
        array = graph[node].layer.arrays()[field]
        name = known.setdefault(id(array), f"{_own_name(graph[node])}.{field}")
        arrays[name] = array
        index = np.arange(array.size).reshape(array.shape)
        origins[node, field] = Origin([name], np.zeros_like(index), index)
    return NamedParameters(graph, arrays, origins)
