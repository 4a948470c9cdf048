"""The float64 interpreter: the values of a graph, and the oracle of every frontend and pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import GraphError
from spikewright.graph.graph import Graph
from spikewright.graph.layers import Input


def evaluate_all(
    graph: Graph,
    inputs: Mapping[str, ArrayLike],
    passed_on: Callable[[str, NDArray], NDArray] | None = None,
) -> dict[str, NDArray]:
    """Value of every node, `{name: (batch, *shape)}`, for inputs `{name: (batch, *shape)}`.

    `passed_on(name, value)` returns the value that a node passes on in place of its own, e.g.
    rounded.
    Raises `GraphError` when an input is missing, unknown or of the wrong shape.
    """
    unknown = sorted(set(inputs) - set(graph.inputs))
    missing = sorted(set(graph.inputs) - set(inputs))
    if unknown or missing:
        raise GraphError(f"inputs are {list(graph.inputs)}; missing {missing}, unknown {unknown}")
    values = _given(graph, inputs)
    batch = len(values[graph.inputs[0]]) if graph.inputs else 1
    for node in graph:
        if not isinstance(node.layer, Input):
            value = node.layer.evaluate(*(values[name] for name in node.inputs))
            if node.layer.arity == 0:
                value = np.broadcast_to(value, (batch, *value.shape[1:]))
            values[node.name] = value if passed_on is None else passed_on(node.name, value)
    return {node.name: values[node.name] for node in graph}


def _given(graph: Graph, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray]:
    """The inputs as float64 arrays of one batch size, checked."""
    values: dict[str, NDArray] = {}
    batches: dict[str, int] = {}
    for node in graph:
        if not isinstance(node.layer, Input):
            continue
        value = np.asarray(inputs[node.name], np.float64)
        if value.ndim == 0 or value.shape[1:] != node.layer.shape:
            raise GraphError(
                f"input {node.name!r} must have shape (batch, *{node.layer.shape}), "
                f"got {value.shape}"
            )
        batches[node.name] = len(value)
        if len(set(batches.values())) > 1:
            raise GraphError(f"inputs differ in their batch size: {batches}")
        values[node.name] = value
    return values


def evaluate(graph: Graph, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray]:
    """Value of every output, by output name."""
    values = evaluate_all(graph, inputs)
    return {output: values[name] for output, name in graph.outputs.items()}
