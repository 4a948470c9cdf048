"""The float64 interpreter: the values of a graph, and the oracle of every frontend and pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import readable
from spikewright.errors import GraphError, SpikewrightError
from spikewright.graph.graph import Graph
from spikewright.graph.layers import Input, Shape


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
    return dict(values_in_order(graph, inputs, passed_on))


def values_in_order(
    graph: Graph,
    inputs: Mapping[str, ArrayLike],
    passed_on: Callable[[str, NDArray], NDArray] | None = None,
) -> Iterator[tuple[str, NDArray]]:
    """The values of `evaluate_all`, one node after the other; none is held that nothing reads."""
    arrays = checked_inputs({name: graph.shapes[name] for name in graph.inputs}, inputs)
    values = {name: value.astype(np.float64) for name, value in arrays.items()}
    batch = len(values[graph.inputs[0]]) if graph.inputs else 1
    last = {name: node.name for node in graph for name in node.inputs}
    for node in graph:
        if not isinstance(node.layer, Input):
            value = node.layer.evaluate(*(values[name] for name in node.inputs))
            if node.layer.arity == 0:
                value = np.broadcast_to(value, (batch, *value.shape[1:]))
            values[node.name] = value if passed_on is None else passed_on(node.name, value)
            del value
            for name in {name for name in node.inputs if last[name] == node.name}:
                del values[name]
        yield node.name, values[node.name] if node.name in last else values.pop(node.name)


def checked_inputs(
    shapes: Mapping[str, Shape],
    inputs: Mapping[str, ArrayLike],
    error: type[SpikewrightError] = GraphError,
) -> dict[str, NDArray]:
    """Inputs as arrays `(batch, *shape)`, of these unbatched shapes by name and of one batch size.

    Raises `error` where one is missing, unknown or of the wrong shape, or batch sizes differ.
    """
    missing, unknown = sorted(set(shapes) - set(inputs)), sorted(set(inputs) - set(shapes))
    if missing or unknown:
        raise error(f"inputs are {list(shapes)}; missing {missing}, unknown {unknown}")
    arrays = {name: np.asarray(readable(inputs[name])) for name in shapes}
    for name, value in arrays.items():
        if value.ndim == 0 or value.shape[1:] != tuple(shapes[name]):
            wanted = ", ".join(["batch", *map(str, shapes[name])])
            raise error(f"input {name!r} must be ({wanted}), got shape {value.shape}")
    sizes = {name: len(value) for name, value in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise error(f"inputs differ in their batch size: {sizes}")
    return arrays


def evaluate(graph: Graph, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray]:
    """Value of every output, by output name."""
    values = evaluate_all(graph, inputs)
    return {output: values[name] for output, name in graph.outputs.items()}
