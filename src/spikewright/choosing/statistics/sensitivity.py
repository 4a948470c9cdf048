"""The effect of an error in a layer's values on the outputs, and the fan-out of its spikes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import Graph, Node, evaluate_all, prune
from spikewright.graph.layers import Affine, Convolution, ConvolutionTranspose, Input

_SIZE = 0.05  # of the layer's root mean square: small beside its values, large beside rounding
_DRAWS = 4
_WEIGHTS = (Affine, Convolution, ConvolutionTranspose)


def sensitivities(
    graph: Graph, names: Sequence[str], examples: Mapping[str, NDArray], outputs: Sequence[str]
) -> dict[str, float]:
    """Squared change of the outputs, summed, per variance of independent errors in a layer.

    Every value of a layer that is not zero is moved up or down by a small amount, at random (the
    draws are seeded), and back; half the difference of the outputs is the effect of an error to
    first order. The mean over examples `{input name: (n, *shape)}` and draws is taken.
    """
    values = evaluate_all(graph, examples)
    found = {}
    for index, name in enumerate(names):
        value = values[name]
        active = value != 0
        count = int(active.sum())
        size = _SIZE * math.sqrt(float(np.square(value).sum()) / count) if count else 0.0
        if size == 0.0:
            found[name] = 0.0
            continue
        after = _behind(graph, name, outputs)
        rng = np.random.default_rng([0, index])
        total = 0.0
        for _ in range(_DRAWS):
            error = size * active * rng.choice([-1.0, 1.0], value.shape)
            up, down = (_moved(after, values, name, value + e, outputs) for e in (error, -error))
            total += sum(float(np.square((u - d) / 2).sum()) for u, d in zip(up, down, strict=True))
        found[name] = total / (_DRAWS * len(value) * size**2)
    return found


def _behind(graph: Graph, name: str, outputs: Sequence[str]) -> Graph:
    """The part of a graph that depends on a layer; all values read from elsewhere are inputs."""
    behind = {name}
    for node in graph:
        if behind.intersection(node.inputs):
            behind.add(node.name)
    reached = {output: output for output in outputs if output in behind}
    inner = behind - {name}
    read = {source for node in graph if node.name in inner for source in node.inputs} - inner
    nodes = [
        node if node.name in inner else Node(node.name, Input(graph.shapes[node.name]))
        for node in graph
        if node.name in inner | read | {name}
    ]
    return Graph(prune(nodes, reached), reached or {name: name})


def _moved(
    after: Graph,
    values: Mapping[str, NDArray],
    name: str,
    value: NDArray,
    outputs: Sequence[str],
) -> list[NDArray]:
    """The outputs where one layer has another value."""
    inputs = {key: value if key == name else values[key] for key in after.inputs}
    found = evaluate_all(after, inputs)
    return [found[output] for output in outputs if output in found]


def fan_out(graph: Graph, name: str) -> float:
    """The number of weights that a spike of a layer meets, on average over its neurons.

    These are the weights of the next dense layers and convolutions, through sums, pooling and moves
    in between.
    """
    waiting, seen, total = list(graph.consumers[name]), set[str](), 0.0
    while waiting:
        node = graph[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        shapes = [graph.shapes[source] for source in node.inputs]
        if isinstance(node.layer, _WEIGHTS):
            total += node.layer.multiply_accumulates(*shapes) / max(1, math.prod(shapes[0]))
        elif node.layer.linear or node.layer.kind in ("MaxPool", "GlobalMaxPool"):
            waiting += graph.consumers[node.name]
    return total
