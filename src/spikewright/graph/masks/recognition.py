"""Masks of padding among the values of a graph, recognised by what they do.

A value of one number a position is a mask where zero or one hides: an input of whole numbers, one
that is called a mask, or a comparison. With the number that hides at some positions, what other
inputs hold there reaches other positions less far than with the other one. So it is found out
which of them stands for padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import layers as g
from spikewright.graph.graph import Graph
from spikewright.graph.integer_inputs import FEW, random_inputs, whole_inputs
from spikewright.graph.interpreter import evaluate_all
from spikewright.graph.masks.positions import MaskPlace, Span, places

_NEAR = 1e-9  # of the largest of a value's entries, or of 1: they differ by rounding
_MOST = 8  # comparisons that are looked at

_LOGICAL = (g.GlobalMaxPool, g.Maximum, g.Minimum, g.Multiply)
_SAYING_THE_SAME = (g.Identity, g.Permute, g.Reshape)

Halves = tuple[slice, slice]


@dataclass(frozen=True)
class Mask:
    """A mask of padding: a node, the number in it that hides, and the inputs that it hides.

    `axes` are the axes of positions in these inputs, by name. `start` is the number of positions of
    masks before it. `reached` names nodes that depend on padding although they are not hidden;
    `used` are the halves of the sequence of which single positions are read out, such as a class
    token, so that they always count.
    """

    node: str
    hides: float
    axes: Mapping[str, int]
    length: int
    start: int = 0
    reached: tuple[str, ...] = ()
    used: tuple[int, ...] = ()

    @property
    def halves(self) -> Halves:
        """The two halves of its positions."""
        middle = self.length // 2
        return slice(0, middle), slice(middle, self.length)

    def real(self, values: NDArray) -> NDArray:
        """The positions that are not hidden, `(batch, positions)`, of the node's values."""
        real: NDArray = values.reshape(len(values), self.length) != self.hides
        return real

    def values(self, real: NDArray, shape: g.Shape) -> NDArray:
        """The node's values `(batch, *shape)` where these positions are real."""
        return np.where(real, 1.0 - self.hides, self.hides).reshape(len(real), *shape)


def recognised(graph: Graph) -> tuple[Mask, ...]:
    """The masks of padding of a graph, each with inputs of its own."""
    found: list[Mask] = []
    taken: set[str] = set()
    for candidate in _candidates(graph):
        if candidate.node in taken:
            continue
        axes = {n: axis for n, axis in candidate.axes.items() if n not in taken}
        mask = _recognised(graph, replace(candidate, axes=_hidden(graph, candidate, axes)))
        if mask is not None:
            start = sum(known.length for known in found)
            found.append(replace(mask, start=start))
            taken |= {mask.node, *mask.axes}
    return tuple(found)


def places_of(graph: Graph, masks: Iterable[Mask]) -> dict[str, MaskPlace]:
    """The place of every node's value under these masks."""
    given: dict[str, MaskPlace] = {}
    for mask in masks:
        for name, axis in mask.axes.items():
            given[name] = MaskPlace((Span.along(graph.shapes[name], axis, mask.start),))
        shape = graph.shapes[mask.node]
        spans = (Span.along(shape, shape.index(mask.length), mask.start),)
        both = np.repeat([[True], [False]], mask.length, axis=1)
        given[mask.node] = MaskPlace(spans, False, mask.values(both, shape))
    return places(graph, given)


def _candidates(graph: Graph) -> Iterator[Mask]:
    """Inputs, and comparisons, that have one number for each position of other inputs."""
    comparisons = _comparisons(graph)
    rows = whole_inputs(graph)
    inputs = [name for name in graph.inputs if "mask" in name.lower() or rows.get(name) == FEW]
    for name in (*sorted(inputs, key=lambda n: "mask" not in n.lower()), *comparisons[:_MOST]):
        shape = graph.shapes[name]
        length = max(shape, default=1)
        if length < 2 or sum(n != 1 for n in shape) != 1:
            continue
        axes = {
            other: graph.shapes[other].index(length)
            for other in graph.inputs
            if other != name and length in graph.shapes[other]
        }
        if name in graph.inputs or _each_alone(graph, name, axes):
            yield Mask(name, 0.0, axes, length)


def _comparisons(graph: Graph) -> list[str]:
    """Nodes whose values are zero or one, the first of those that say the same."""
    truths: set[str] = set()
    found = []
    for node in graph:
        layer, known = node.layer, bool(node.inputs) and truths.issuperset(node.inputs)
        if _is_step(layer) or (known and isinstance(layer, _LOGICAL)):
            found.append(node.name)
            truths.add(node.name)
        elif known and isinstance(layer, _SAYING_THE_SAME):
            truths.add(node.name)
    return found


def _is_step(layer: g.Layer) -> bool:
    """Whether a layer's values are zero or one."""
    if not isinstance(layer, g.Activation) or layer.function != "threshold":
        return False
    given = {"value": 0.0, "negative_slope": 0.0, "maximum": np.inf, **layer.parameters}
    ends = given["value"], given["negative_slope"], given["maximum"]
    return ends == (0.0, 0.0, 1.0) and given["threshold"] >= 1.0


def _each_alone(graph: Graph, name: str, axes: Mapping[str, int]) -> bool:
    """Whether each number of a comparison is made of the inputs' values at its position alone."""
    given = {n: MaskPlace((Span.along(graph.shapes[n], axis, 0),)) for n, axis in axes.items()}
    spans = places(graph, given, name)[name].spans
    return len(spans) == 1 and bool(np.all(spans[0].first == spans[0].last)) and spans[0].varies


def _hidden(graph: Graph, candidate: Mask, axes: Mapping[str, int]) -> Mapping[str, int]:
    """The inputs that a candidate hides, of those that have its positions."""
    if len(axes) < 2:
        return axes
    each = ({name: axis} for name, axis in axes.items())
    hidden = [one for one in each if _recognised(graph, replace(candidate, axes=one))]
    return {name: axis for one in hidden for name, axis in one.items()}


def _recognised(graph: Graph, candidate: Mask) -> Mask | None:
    """A candidate as a mask, with the number that hides; None where neither does more."""
    if not candidate.axes:
        return None
    found = []
    for hides in (0.0, 1.0):
        mask = replace(candidate, hides=hides)
        where = places_of(graph, [mask])
        reached = [_reached(graph, mask, where, half) for half in mask.halves]
        found.append((mask, where, reached))
    found.sort(key=lambda item: sum(map(len, item[2])))
    (mask, where, reached), (_, _, others) = found
    if sum(map(len, reached)) >= sum(map(len, others)):
        return None
    used = tuple(i for i, names in enumerate(reached) if any(names.values()))
    lost = {n for names in reached for n, hidden in names.items() if not hidden}
    return replace(mask, used=used, reached=tuple(n.name for n in graph if n.name in lost))


def counted(spans: Iterable[Span], real: NDArray) -> NDArray:
    """Whether entries count, `(batch, ...)`, where positions `(batch, positions)` are real."""
    found: NDArray = np.ones((len(real), 1), bool)[:, 0]
    for span in spans:
        each = span.real(real)
        found = each & found.reshape(*found.shape, *(1,) * (each.ndim - found.ndim))
    return found


def varies(place: MaskPlace) -> bool:
    """Whether entries of a value belong to different positions."""
    return any(span.varies for span in place.spans)


def _reached(
    graph: Graph, mask: Mask, where: Mapping[str, MaskPlace], half: slice
) -> dict[str, bool]:
    """Nodes outside that change with what hidden positions of inputs hold.

    True for an output that is padding as a whole.
    """
    real = np.ones((2, mask.length), bool)
    real[:, half] = False
    inputs, others = random_inputs(graph, 0, 1), random_inputs(graph, 1, 1)
    for name, value in inputs.items():
        inputs[name] = np.repeat(value, 2, axis=0)
        if name in mask.axes:
            hidden: Any = (*(slice(None),) * mask.axes[name], half)
            inputs[name][1][hidden] = others[name][0][hidden]
    forced = mask.values(real, graph.shapes[mask.node])
    if mask.node in inputs:
        inputs[mask.node] = forced
    with np.errstate(all="ignore"):
        values = evaluate_all(graph, inputs, lambda n, v: forced if n == mask.node else v)
    found = {}
    for name, value in values.items():
        counts = counted(where[name].spans, real[:1])
        single = not varies(where[name]) and not counts.any()
        if single and graph.is_output(name):
            counts = np.ones_like(counts)
        if _differ(value[0], value[1], np.broadcast_to(counts[0], value.shape[1:])):
            found[name] = single
    return found


def _differ(a: NDArray, b: NDArray, counts: NDArray) -> bool:
    """Whether two samples' values differ by more than rounding at some entries that count."""
    size = max(1.0, float(np.abs(a).max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        same = (np.abs(a - b) <= _NEAR * size) | (a == b) | (np.isnan(a) & np.isnan(b))
    return not bool(np.all(same | ~counts))
