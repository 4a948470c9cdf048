"""Makes one normalisation of several layers that compute it together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import IDENTITY_FREE, Graph, GraphNode
from spikewright.graph.elementwise_parts import between, evaluated, is_elementwise
from spikewright.graph.layers import (
    Divide,
    GlobalAveragePool,
    Multiply,
    Reshape,
    RMSNormalization,
    Sum,
)
from spikewright.passes.base import GraphRewriter, Note, Pass, PassResult

_GRID = np.linspace(-8.0, 8.0, 33)
_MEANS = np.concatenate([[0.0], np.logspace(-6.0, 4.0, 41)])
_CLOSE = 1e-6  # of a value: files hold constants in float32
_MOST = 4  # layers that a square is written in


@dataclass(frozen=True)
class FuseNormalizations(Pass):
    """Recognises root mean square normalisation that a file holds as its parts.

    A product of x and a function of a mean or sum of squares of x, or a quotient, through layers
    that nothing else reads, is a `RMSNormalization` where that function is `c / sqrt(m + epsilon)`,
    to 1e-6: however it was written, it is recognised by its values. As one layer it takes one
    population in place of three and a product between them.
    """

    name = "fuse normalizations"
    requires = IDENTITY_FREE
    ensures = IDENTITY_FREE

    def rewrite(self, graph: Graph) -> PassResult:
        """See the class."""
        draft, notes = GraphRewriter(graph), []
        for node in draft:
            found = next(filter(None, _readings(draft, node)), None)
            if found is not None:
                source, inner, layer = found
                draft.collapse(node.name, layer, source, inner)
                parts = ", ".join(map(repr, inner))
                text = f"is root mean square normalisation: made one of it and {parts}"
                notes.append(Note(node.name, text))
        return PassResult(draft.finish(), tuple(notes))


Found = tuple[str, list[str], RMSNormalization]


def _readings(draft: GraphRewriter, top: GraphNode) -> Iterator[Found | None]:
    """What a product or quotient is with each of its operands as the value that is normalised."""
    if isinstance(top.layer, Multiply | Divide) and len(top.inputs) == 2:
        first, second = top.inputs
        yield _recognised(draft, top, first, second)
        if isinstance(top.layer, Multiply):
            yield _recognised(draft, top, second, first)


def _recognised(draft: GraphRewriter, top: GraphNode, source: str, factor: str) -> Found | None:
    """The input of a normalisation that ends at a node, the layers between, and it; or None."""
    behind, node = [], draft[factor]
    while is_elementwise(node.layer) or isinstance(node.layer, Reshape):
        behind.append(node.name)
        node = draft[node.inputs[0]]
    mean, shape = node.layer, draft.shape(source)
    if not isinstance(mean, GlobalAveragePool | Sum) or not mean.axes:
        return None
    axes = {axis % len(shape) for axis in mean.axes}
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    chain = [top.name, *behind, node.name]
    private = all(
        [user.name for user in draft.consumers(name)] == [reader] and not draft.is_output(name)
        for reader, name in pairwise(chain)
    )
    if draft.shape(factor) != kept or not private:
        return None
    squares = between(
        draft, lambda name: [user.name for user in draft.consumers(name)], draft.is_output,
        top=node, source=source, kinds=(Multiply,), most=_MOST,
    )  # fmt: skip
    if not squares or draft.shape(node.inputs[0]) != shape:
        return None
    summed = math.prod(shape[axis] for axis in axes) if isinstance(mean, Sum) else 1
    slope = summed * _of_squares(evaluated(draft, node.inputs[0], {source: _GRID}))
    factors = _through(draft, behind, node.name)
    with np.errstate(all="ignore"):  # the quotient at a mean of zero
        divisors = factors if isinstance(top.layer, Divide) else 1.0 / factors
        layer = _normalisation(divisors, slope, mean)
    return None if layer is None else (source, [*behind, node.name, *squares], layer)


def _of_squares(found: NDArray) -> float:
    """The a of values that are `a x^2` on the grid; 0 where they are not."""
    a = float(found[-1] / _GRID[-1] ** 2)
    return a if np.all(np.abs(found - a * _GRID**2) <= _CLOSE * abs(a) * _GRID**2) else 0.0


def _through(draft: GraphRewriter, behind: list[str], mean: str) -> NDArray:
    """The values that elementwise layers, the last first, give for means."""
    known = {mean: _MEANS}
    for name in reversed(behind):
        read = draft[name]
        if isinstance(read.layer, Reshape):
            known[name] = known[read.inputs[0]]
        else:
            evaluated(draft, name, known)
    return known[behind[0] if behind else mean]


def _normalisation(
    divisor: NDArray, slope: float, mean: GlobalAveragePool | Sum
) -> RMSNormalization | None:
    """The layer that divides by this function of means; None where none does.

    The divisor of `c x / sqrt(m + epsilon)` is, squared, a line in m. `slope` is the factor by
    which what is summed exceeds the mean of squares.
    """
    line = divisor**2
    rise = (line[-1] - line[0]) / _MEANS[-1]
    fits = np.abs(line - (rise * _MEANS + line[0])) <= _CLOSE * line
    if not (slope > 0.0 and rise > 0.0 and np.all(fits) and np.all(divisor[1:] > 0.0)):
        return None
    epsilon, scale = float(line[0] / (rise * slope)), 1.0 / math.sqrt(rise * slope)
    plain = abs(scale - 1.0) <= 1e-12
    return RMSNormalization(mean.axes, epsilon, None if plain else np.array(scale))
