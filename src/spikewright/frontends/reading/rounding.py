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

from spikewright.graph import GraphNode, unique_name
from spikewright.graph.elementwise_parts import below, between, evaluated, is_elementwise
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


_KINDS = (Rounds, Add, Multiply, Minimum, Maximum, Identity)


@dataclass(frozen=True)
class _Part:
    """A part of a graph: operations from one value to another, which nothing else reads."""

    top: str
    source: str
    inner: frozenset[str]


def with_rounded(
    nodes: Sequence[GraphNode], outputs: Mapping[str, str]
) -> tuple[list[GraphNode], dict[str, str]]:
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

    def __init__(self, nodes: Sequence[GraphNode], ends: frozenset[str]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.ends = ends
        self.readers: dict[str, list[str]] = {node.name: [] for node in nodes}
        for node in nodes:
            for read in dict.fromkeys(node.inputs):
                self.readers[read].append(node.name)

    def replaced(self, name: str) -> list[GraphNode]:
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
            read = list(below(self.nodes, self.nodes[top], _KINDS, _MOST))
            sources = (source for source in reversed(read) if source != name)
            yield from (part for source in sources if (part := self._between(source, top, name)))

    def _above(self, name: str) -> Iterator[str]:
        """A node and the operations behind it, nearest first."""
        found, front = {name}, [name]
        while front and len(found) <= _MOST:
            name = front.pop(0)
            yield name
            if name not in self.ends:
                for reader in self.readers[name]:
                    if reader not in found and is_elementwise(self.nodes[reader].layer, *_KINDS):
                        found.add(reader)
                        front.append(reader)

    def _between(self, source: str, top: str, through: str) -> _Part | None:
        """The part from a value to another, if it is one, and goes through a node."""
        node = self.nodes[top]
        if not node.inputs or source == top:
            return None
        readers, is_output = self.readers.__getitem__, self.ends.__contains__
        found = between(
            self.nodes, readers, is_output, top=node, source=source, kinds=_KINDS, most=_MOST
        )
        inner = frozenset((top, *(found or ())))
        return None if found is None or through not in inner else _Part(top, source, inner)

    def _function(self, part: _Part) -> Callable[[NDArray], NDArray]:
        """A part as a function of one number."""
        return lambda x: evaluated(self.nodes, part.top, {part.source: x})

    def _with(self, part: _Part, steps: Steps) -> list[GraphNode]:
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


Function = Callable[[NDArray], NDArray]

_CLOSE = 1e-5  # of the height of all steps, or of a step's width: constants may be float32
_SIZES = np.geomspace(1e-6, 1e6, 241)
_FAR = np.concatenate([-_SIZES[::-1], [0.0], _SIZES])
_HALVINGS = 80
_MOST_LEVELS = 65_535
_STARTS = (0.0, 0.5, 1.0)


class NotSteps(Exception):
    """Raised for a function that is no such steps; the message says what it does instead."""


@dataclass(frozen=True)
class Steps:
    """`factor width min(max(floor(x / width + start), 0), levels)`."""

    width: float
    start: float
    levels: int
    factor: float

    def activation(self) -> Activation:
        """The layer that it is, apart from its factor."""
        parameters = {
            "threshold": float(self.width * self.levels),
            "levels": float(self.levels),
            "start": float(self.start),
        }
        return Activation("rounded_relu", parameters)


def steps_of(function: Function) -> Steps:
    """The steps of a function; raises `NotSteps`.

    The first and the last step are found by bisection, all others have to lie between them at
    equal distances.
    """
    values = _values(function, _FAR)
    total = values[-1]
    _require_bounds(values)
    first, above = _edge(function, values, _CLOSE * total)
    last, _ = _edge(function, values, (1.0 - _CLOSE) * total)
    height = float(function(np.array([above]))[0])
    if not total <= _MOST_LEVELS * height:
        raise NotSteps("it does not rise in steps")
    levels = round(total / height)
    width = _width(first, last, levels, height)
    if abs(height / width - 1.0) < _CLOSE:
        width = height = total / levels
    start = 1.0 - first / width
    start = next((known for known in _STARTS if abs(start - known) < _CLOSE), start)
    if not 0.0 <= start <= 1.0:
        raise NotSteps(f"its first step is at {first:.3g}, and its steps are {width:.3g} wide")
    found = Steps(width, start, levels, height / width)
    _require_equal(function, found, total)
    return found


def _values(function: Function, x: NDArray) -> NDArray:
    with np.errstate(all="ignore"):
        values = function(x)
    if not np.isfinite(values).all():
        raise NotSteps("it is not finite everywhere")
    return values


def _require_bounds(values: NDArray) -> None:
    """Raise `NotSteps` unless values rise from zero, over negative input, to a bound."""
    low, total = values[0], values[-1]
    if total <= 0 or values[-2] < total * (1.0 - _CLOSE):
        raise NotSteps("it has no upper bound")
    if abs(low) > _CLOSE * total or abs(values[1]) > _CLOSE * total:
        raise NotSteps("it is not zero for negative values")
    if np.diff(values).min() < -_CLOSE * total:
        raise NotSteps("it falls")


def _edge(function: Function, values: NDArray, level: float) -> tuple[float, float]:
    """The numbers next to each other between which a function, known far and near, passes `level`.

    `values` are those at `_FAR`.
    """
    index = int(np.argmax(values > level))
    low, high = float(_FAR[index - 1]), float(_FAR[index])
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if function(np.array([middle]))[0] > level:
            high = middle
        else:
            low = middle
    return low, high


def _width(first: float, last: float, levels: int, height: float) -> float:
    """The width of a step; that of a single one is its height, where the start then is a share."""
    if levels > 1:
        width = (last - first) / (levels - 1)
    else:
        width = height if 0.0 <= first <= height else 2.0 * abs(first)
    if width <= 0:
        raise NotSteps("it does not rise in steps of one width")
    return width


def _require_equal(function: Function, steps: Steps, total: float) -> None:
    """Raise `NotSteps` where a function has other values, around each edge and between them."""
    numbers = np.arange(1, steps.levels + 1)
    edges = steps.width * (numbers - steps.start)
    beside = 1e-3 * steps.width
    wanted = steps.factor * steps.width * numbers
    pairs = (
        (edges - beside, wanted - steps.factor * steps.width),
        (edges + beside, wanted),
        (edges + 0.5 * steps.width, wanted),
        (edges + (1.0 - 1e-3) * steps.width, wanted),
    )
    if any(np.abs(function(x) - y).max() > _CLOSE * total for x, y in pairs):
        raise NotSteps("its steps are not all of one width and height")
    at_zero = np.abs(edges) < _CLOSE * steps.width
    if at_zero.any() and function(np.zeros(1))[0] < wanted[at_zero][0] * (1.0 - _CLOSE):
        raise NotSteps("at zero itself it has not risen yet, and a spike would be sent")
