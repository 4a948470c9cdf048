"""Bounds of the error that rounding alone explains: measured, on random rounding of every value.

A layer whose large terms cancel has a large error in single precision, and its source is right all
the same. So a graph is evaluated again, with a random error in every value that is passed on. The
errors stand for rounding, and are somewhat larger than a source's (Monte Carlo arithmetic, Parker
1997).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.layers import Input, Interpolate, Recurrence
from spikewright.graph.layers.pooling import OverAxes
from spikewright.graph.lookups import whole_nodes

UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""The largest relative error of rounding a number to the nearest, by precision."""

_SMALLEST = {"float16": 2.0**-25}  # what rounding a number below 2^-14 may do
_ROUNDINGS = 8  # that a source may do where this does one
_AT_ONCE = 2**20
_RUNS = 3  # in one alone, a layer of few values might by chance be right


def relative_error(source: NDArray, found: NDArray) -> float:
    """`max|a - b| / max|a|`, the latter of finite values; equal infinities are nothing apart.

    Infinite where shapes differ, NaN where one of them is.
    """
    a, b = np.asarray(source, np.float64), np.asarray(found, np.float64)
    if a.shape != b.shape:
        return math.inf
    with np.errstate(invalid="ignore"):
        apart = np.where(a == b, 0.0, np.abs(a - b)).max(initial=0.0)
    largest = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    return float(apart / largest) if largest > 0 else float(apart)


def rounding_bounds(
    graph: Graph, inputs: Mapping[str, NDArray], exact: Mapping[str, NDArray], precision: str
) -> dict[str, float]:
    """For every node the largest change under random rounding, as a part of its largest value.

    `exact` are the values of all nodes for these inputs. A bound is infinite where a number may
    become none. Masks, and what is computed of whole numbers without rounding, stay as they are.
    """
    sizes, smallest = _sizes(graph, precision), _ROUNDINGS * _SMALLEST.get(precision, 0.0)
    numbers = {*whole_nodes(graph), *_unrounded(graph, exact, precision)}
    bounds = dict.fromkeys(exact, 0.0)
    for run in range(_RUNS):
        rng = np.random.default_rng(run)

        def rounded(name: str, value: NDArray, rng: np.random.Generator = rng) -> NDArray:
            return value if name in numbers else _rounded(value, sizes[name], smallest, rng)

        fed = {name: rounded(name, np.asarray(value)) for name, value in inputs.items()}
        for name, value in evaluate_all(graph, fed, rounded).items():
            change = relative_error(exact[name], value)
            bounds[name] = max(bounds[name], math.inf if math.isnan(change) else change)
    return bounds


def _unrounded(graph: Graph, exact: Mapping[str, NDArray], precision: str) -> Iterator[str]:
    """Nodes that a source computes without rounding, and that enter no sum which it rounds.

    A result that the precision holds is not rounded where the operands are not. So whole numbers
    stay whole, comparisons truth values, and a mask is 0 or the number for minus infinity: errors
    of that number would be larger than all that it is added to.
    """
    held = set[str]()
    for node in graph:
        value = exact[node.name]
        whole = not isinstance(node.layer, Input) or bool((np.rint(value) == value).all())
        numbers = (value, *node.layer.arrays().values())
        if whole and held.issuperset(node.inputs) and all(_is_held(n, precision) for n in numbers):
            held.add(node.name)
    for name in held:
        readers = [graph[reader] for reader in graph.consumers[name]]
        if all(one.name in held or terms_of(graph, one) <= 1 for one in readers):
            yield name


def _is_held(value: NDArray, precision: str) -> bool:
    """Whether all values are numbers of a precision, or infinite; some are looked at together."""
    flat = value.reshape(-1)
    for start in range(0, flat.size, _AT_ONCE):
        fraction, _ = np.frexp(flat[start : start + _AT_ONCE])
        scaled = fraction / UNITS[precision]
        if not (np.rint(scaled) == scaled).all():
            return False
    return True


def _rounded(value: NDArray, size: float, smallest: float, rng: np.random.Generator) -> NDArray:
    """A value with random errors of up to this size, relative to it; zeros stay zeros."""
    error = rng.random(value.shape)
    error *= 2
    error -= 1
    if smallest:
        return value + error * (size * np.abs(value) + smallest * (value != 0))
    error *= size
    error += 1
    error *= value
    return error


def _sizes(graph: Graph, precision: str) -> dict[str, float]:
    """The largest relative error of each node's value: its own, and that of sums which it enters.

    A sum of n terms, added one after the other, is rounded n times. That is like errors of its
    terms that are sqrt(n) times as large. Half precisions are added up in single precision.
    """
    unit, unit_of_sums = UNITS[precision], min(UNITS[precision], UNITS["float32"])
    terms = {node.name: terms_of(graph, node) for node in graph}
    longest = {name: max([1.0, *(terms[reader] for reader in readers)])
               for name, readers in graph.consumers.items()}  # fmt: skip
    return {name: _ROUNDINGS * (unit + unit_of_sums * math.sqrt(n)) for name, n in longest.items()}


def terms_of(graph: Graph, node: GraphNode) -> float:
    """The number of terms that are added up for a value of this node, or its equivalent."""
    layer, shapes = node.layer, [graph.shapes[name] for name in node.inputs]
    if isinstance(layer, Recurrence):
        return max((array.shape[-1] for array in layer.arrays().values() if array.ndim), default=1)
    if isinstance(layer, Interpolate):  # its weights are differences of rounded coordinates
        return (4.0 * max(shapes[0])) ** 2
    if isinstance(layer, OverAxes):
        terms = math.prod(shapes[0])
    else:
        terms = layer.multiply_accumulates(*shapes)
    return terms / max(1, math.prod(graph.shapes[node.name]))
