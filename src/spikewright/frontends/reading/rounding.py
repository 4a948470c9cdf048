"""Activations that round to multiples of a step, recognised by their values however written.

A clip-floor-shift activation (QCFS, Bu et al. 2022) is a few elementwise operations around a
`floor` or `round`: in a straight line, with bounds before or after it, or as `x` plus a detached
difference. Readers add a `Rounds` for the rounding alone, which is no layer of a network. Then the
operations around it are evaluated as one function of one value, and become one activation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.reading.steps import NotSteps, Steps, steps_of
from spikewright.graph import Node, unique_name
from spikewright.graph.layers import (
    Activation,
    Add,
    Identity,
    Layer,
    Maximum,
    Minimum,
    Multiply,
    ScaleShift,
    Shape,
)

_MOST = 16  # operations that an activation is written in
_FUNCTIONS = {"floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc}


@dataclass(frozen=True)
class Rounds(Layer):
    """`floor`, `ceil`, `round` (of halves to even) or `trunc`, until it is known to which steps."""

    function: str

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def evaluate(self, *values: NDArray) -> NDArray:
        rounded: NDArray = _FUNCTIONS[self.function](values[0])
        return rounded


@dataclass(frozen=True)
class _Part:
    """A part of a graph: operations from one value to another, which nothing else reads."""

    top: str
    source: str
    inner: frozenset[str]


def with_rounded(
    nodes: Sequence[Node], outputs: Mapping[str, str]
) -> tuple[list[Node], dict[str, str]]:
    """The nodes with rounded activations as layers of their own.

    Also returns each rounding that is no such activation, by name, with the reason.
    """
    made, failed = list(nodes), {}
    for node in nodes:
        search = _Search(made, frozenset(outputs.values()))
        if isinstance(node.layer, Rounds) and node.name in search.nodes:
            try:
                made = search.replaced(node.name)
            except NotSteps as why:
                failed[node.name] = str(why)
    return made, failed


class _Search:
    """A graph's nodes by name, in order, and the readers of each."""

    def __init__(self, nodes: Sequence[Node], ends: frozenset[str]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.ends = ends
        self.readers: dict[str, list[str]] = {node.name: [] for node in nodes}
        for node in nodes:
            for read in dict.fromkeys(node.inputs):
                self.readers[read].append(node.name)

    def replaced(self, name: str) -> list[Node]:
        """The nodes with the widest activation around a rounding in its place.

        One that is not followed by a factor is preferred. Raises `NotSteps` where there is none.
        """
        found: list[tuple[_Part, Steps]] = []
        reasons: list[NotSteps] = []
        for part in self._parts(name):
            try:
                found.append((part, steps_of(self._function(part))))
            except NotSteps as why:
                reasons.append(why)
            if found and found[-1][1].factor == 1.0:
                return self._with(*found[-1])
        if not found:
            raise next(iter(reasons), NotSteps("it reads more than one value, or others read it"))
        return self._with(*found[0])

    def _parts(self, name: str) -> Iterator[_Part]:
        """The parts around a node, wide ones first."""
        for top in reversed(list(self._above(name))):
            sources = reversed(list(self._below(top, name)))
            yield from (part for source in sources if (part := self._between(source, top, name)))

    def _above(self, name: str) -> Iterator[str]:
        """A node and the operations behind it, nearest first."""
        found, front = {name}, [name]
        while front and len(found) <= _MOST:
            name = front.pop(0)
            yield name
            if name not in self.ends:
                for reader in self.readers[name]:
                    if reader not in found and _is_operation(self.nodes[reader].layer):
                        found.add(reader)
                        front.append(reader)

    def _below(self, top: str, name: str) -> Iterator[str]:
        """Values that a node is computed from by operations, nearest first."""
        found, front = {top}, list(self.nodes[top].inputs)
        while front and len(found) <= _MOST:
            read = front.pop(0)
            if read not in found:
                found.add(read)
                if read != name:
                    yield read
                if _is_operation(self.nodes[read].layer):
                    front += self.nodes[read].inputs

    def _between(self, source: str, top: str, through: str) -> _Part | None:
        """The part from a value to another, if it is one, and goes through a node."""
        inner: set[str] = set()
        front = [top]
        while front:
            name = front.pop()
            if name == source or name in inner:
                continue
            if not _is_operation(self.nodes[name].layer) or len(inner) > _MOST:
                return None
            inner.add(name)
            front += self.nodes[name].inputs
        seen = (reader for name in inner - {top} for reader in self.readers[name])
        private = inner.issuperset(seen) and not self.ends & (inner - {top})
        whole = through in inner and bool(self.nodes[top].inputs)
        return _Part(top, source, frozenset(inner)) if private and whole else None

    def _function(self, part: _Part) -> Callable[[NDArray], NDArray]:
        """A part as a function of one number."""
        order = [node for name, node in self.nodes.items() if name in part.inner]

        def function(x: NDArray) -> NDArray:
            values = {part.source: x}
            for node in order:
                given = (values[read] for read in node.inputs)
                values[node.name] = _scalar(node.layer).evaluate(*given)
            return values[part.top]

        return function

    def _with(self, part: _Part, steps: Steps) -> list[Node]:
        """The nodes with an activation in the place of a part, and a factor behind it if any."""
        top = self.nodes[part.top]
        made = [replace(top, layer=steps.activation(), inputs=(part.source,))]
        if steps.factor != 1.0:
            name = unique_name(f"{top.name}/rounded", self.nodes)
            scale = ScaleShift(scale=np.array(steps.factor))
            made = [replace(made[0], name=name), replace(top, layer=scale, inputs=(name,))]
        kept = []
        for name, node in self.nodes.items():
            if name not in part.inner:
                kept.append(node)
            elif name == part.top:
                kept += made
        return kept


def _is_operation(layer: Layer) -> bool:
    """True for an elementwise layer without arrays, or with arrays of one number."""
    if isinstance(layer, ScaleShift):
        return all(array.size == 1 for array in layer.arrays().values())
    if isinstance(layer, Activation):
        return layer.elementwise
    return isinstance(layer, Rounds | Add | Multiply | Minimum | Maximum | Identity)


def _scalar(layer: Layer) -> Layer:
    """A layer for values without axes."""
    if not isinstance(layer, ScaleShift):
        return layer
    return ScaleShift(*(None if a is None else a.reshape(()) for a in (layer.scale, layer.shift)))
