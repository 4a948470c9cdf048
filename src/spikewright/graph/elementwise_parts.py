"""Parts of a graph that are one function of one number: elementwise layers, read by no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.graph import GraphNode
from spikewright.graph.layers import Activation, Layer, ScaleShift

Readers = Callable[[str], list[str]]
"""The names of the nodes that read a value."""


class Nodes(Protocol):
    """Nodes by name."""

    def __getitem__(self, name: str, /) -> GraphNode: ...


def is_scalar(layer: Layer) -> bool:
    """Whether a layer is `a x + b` with numbers a and b."""
    return isinstance(layer, ScaleShift) and all(a.size == 1 for a in layer.arrays().values())


def is_elementwise(layer: Layer, *kinds: type[Layer]) -> bool:
    """Whether a layer is a function of numbers without arrays: a curve, or one of some kinds."""
    curve = isinstance(layer, Activation) and layer.elementwise
    return curve or isinstance(layer, kinds) or is_scalar(layer)


def below(nodes: Nodes, top: GraphNode, kinds: tuple[type[Layer], ...], most: int) -> Iterator[str]:
    """Values that a node is computed from by so many elementwise layers, nearest first."""
    seen, front = {top.name}, list(top.inputs)
    while front and len(seen) <= most:
        name = front.pop(0)
        if name not in seen:
            seen.add(name)
            yield name
            if is_elementwise(nodes[name].layer, *kinds):
                front += nodes[name].inputs


def between(
    nodes: Nodes,
    readers: Readers,
    is_output: Callable[[str], bool],
    top: GraphNode,
    source: str,
    kinds: tuple[type[Layer], ...],
    most: int,
) -> list[str] | None:
    """The layers from `source` to `top`, at most so many, if they depend on nothing else.

    None where a layer is not elementwise, or something beside these reads one.
    """
    inner: list[str] = []
    front = [name for name in top.inputs if name != source]
    while front:
        name = front.pop()
        if name in inner:
            continue
        node = nodes[name]
        if not is_elementwise(node.layer, *kinds) or is_output(name) or len(inner) == most:
            return None
        inner.append(name)
        front += [read for read in node.inputs if read != source]
    known = {top.name, *inner}
    private = all(user in known for name in inner for user in readers(name))
    return inner if private else None


def evaluated(nodes: Nodes, name: str, known: dict[str, NDArray]) -> NDArray:
    """A node's values `(n,)` where those of some nodes are known, which are added to."""
    if name not in known:
        node = nodes[name]
        values = [evaluated(nodes, read, known) for read in node.inputs]
        layer = _without_axes(node.layer) if isinstance(node.layer, ScaleShift) else node.layer
        with np.errstate(all="ignore"):  # a logarithm, say, of a closed gate's zero
            known[name] = layer.evaluate(*values)
    return known[name]


def _without_axes(layer: ScaleShift) -> ScaleShift:
    parts = (None if part is None else part.reshape(()) for part in (layer.scale, layer.shift))
    return ScaleShift(*parts)
