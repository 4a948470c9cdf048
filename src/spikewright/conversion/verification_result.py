"""The result of a verification, and bounds of errors: what rounding explains.

A layer whose large terms cancel has a large error in single precision, and its source is right all
the same. So a graph is evaluated again, with a random error in every value that is passed on. The
errors stand for rounding, and are somewhat larger than a source's (Monte Carlo arithmetic, Parker
1997).

A layer's largest value says nothing about its small ones. So every value of the network that is a
sum over values of the network is compared with that sum in float64:

    |value - sum| <= (n + 2) 2^-24 (|w_1 x_1| + ... + |w_n x_n| + |bias|)

`n` is what the engines promise (`engines/compensation.py`); values are recorded in single
precision, on both sides of the sum, which the 2 is for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.formatting import format_table
from spikewright._base.markup import RichRepr, Rows
from spikewright._base.windows import split_shape
from spikewright.graph import Graph, GraphNode, evaluate_all
from spikewright.graph.integer_inputs import whole_nodes
from spikewright.graph.layers import (
    Activation,
    AdaptiveAveragePool,
    BatchNormalization,
    ConvolutionTranspose,
    Input,
    Interpolate,
    Layer,
    ParametricReLU,
    Recurrence,
)
from spikewright.graph.layers.pooling import OverAxes

OWN_SUM = "its own sum"


class Difference(NamedTuple):
    """The distance of a value of the source from another, relative to its largest magnitude.

    `compared` names the other value; "its own sum" is that of the network's values that a value is
    made of, and errors are then relative to the magnitudes of its terms. `bound` is the distance
    that rounding alone explains. `output` says that `layer` names an output of the model as it was
    called, not a layer.
    """

    layer: str
    kind: str
    compared: str
    error: float
    bound: float
    output: bool = False

    @property
    def relative_to(self) -> str:
        """The magnitude that errors are parts of."""
        return "the terms of its sum" if self.compared == OWN_SUM else "its largest value"

    @property
    def agrees(self) -> bool:
        """Whether rounding explains it; NaN is explained by nothing."""
        return self.error <= self.bound

    @property
    def severity(self) -> float:
        """The error in units of its bound."""
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound > 0 else math.inf


@dataclass(frozen=True, eq=False, repr=False)
class Verification(RichRepr, Mapping[str, float]):
    """Differences between a source and the graph that was read: print it for the verdict.

    It reads as `{layer: error}`, an error being the largest of `max|a - b| / max|a|`, where `a` is
    the source's value. `table` has every difference beside its bound. `source` names the framework
    that ran the model, and its precision; `samples` on how many samples. `scaled` are the layers
    to whose weights random inputs were scaled, feature by feature.
    """

    differences: tuple[Difference, ...]
    source: str
    samples: int
    scaled: tuple[str, ...] = ()

    @cached_property
    def _layers(self) -> dict[str, float]:
        errors: dict[str, float] = {}
        for one in self.differences:
            if not one.output and one.compared != OWN_SUM:
                errors[one.layer] = max(errors.get(one.layer, 0.0), one.error)
        return errors

    def __getitem__(self, layer: str) -> float:
        return self._layers[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def outputs(self) -> dict[str, float]:
        """`{output: error}` of the model as it was called, beside the graph that was read."""
        return {one.layer: one.error for one in self.differences if one.output}

    @property
    def worst(self) -> Difference:
        """The difference that is nearest to its bound, or farthest above it."""
        return max(self.differences, key=lambda one: one.severity)

    def __repr__(self) -> str:
        worst = self.worst
        scaled = (
            f", scaled to the weights of {', '.join(map(repr, self.scaled))}" if self.scaled else ""
        )
        return (
            f"{len(self)} layers{self._and_outputs()} agree with {self.source} on {self.samples} "
            f"samples{scaled}; nearest to its bound is {worst.layer!r}, off by {worst.error:.2g} "
            f"of {worst.relative_to} where rounding explains {worst.bound:.2g}"
        )

    def _and_outputs(self) -> str:
        count = len(self.outputs)
        return f" and {count} output{'s' * (count != 1)}" if count else ""

    @property
    def table(self) -> str:
        """Every difference, in the order of layers, as text."""
        return format_table(self._summary()[1])

    def _summary(self) -> tuple[str, Rows]:
        rows = [("layer", "kind", "compared with", "error", "bound")]
        rows += [
            (one.layer, one.kind, one.compared, f"{one.error:.2g}", f"{one.bound:.2g}")
            for one in self.differences
        ]
        return f"{self!r}.", rows

    def as_dict(self) -> dict[str, Any]:
        """The verification as plain data, ready for JSON."""
        return {
            "source": self.source,
            "samples": self.samples,
            "differences": [one._asdict() for one in self.differences],
        }


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


_RECORDED = 2  # roundings of values as they are recorded
_LEAST = 2.0**-126  # below it single precision has fewer bits


class SumError(NamedTuple):
    """The largest error of a layer's values, and its bound, as parts of the terms' magnitudes."""

    node: str
    error: float
    bound: float


def sum_errors(graph: Graph, values: Mapping[str, NDArray]) -> Iterator[SumError]:
    """Errors of the layers of a graph whose `values` `(batch, *shape)` are sums over others.

    An activation of such a sum is compared with the function of it. Layers are left out whose
    values, or those that they read, are not there.
    """
    for node in graph:
        expected = _expected(graph, node, values) if node.name in values else None
        if expected is None or expected.value.shape != values[node.name].shape:
            continue
        apart = np.abs(np.asarray(values[node.name], np.float64) - expected.value)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(apart == 0.0, 0.0, apart / expected.tolerance)
        yield SumError(node.name, float(shares.max(initial=0.0)) * expected.unit, expected.unit)


class _Expected(NamedTuple):
    """A value in float64, by how much it may differ, and that as a part of its terms."""

    value: NDArray
    tolerance: NDArray
    unit: float


def _expected(graph: Graph, node: GraphNode, values: Mapping[str, NDArray]) -> _Expected | None:
    if isinstance(node.layer, Activation | ParametricReLU):
        before = node.inputs[0]
        reads = None if before in values else _expected(graph, graph[before], values)
        return None if reads is None else _applied(node.layer, reads)
    if not (node.layer.linear and node.inputs and all(name in values for name in node.inputs)):
        return None
    read = [np.asarray(values[name], np.float64) for name in node.inputs]
    recorded = [np.abs(value) + _LEAST for value in read]
    unit = (max(1.0, _longest(graph, node)) + _RECORDED) * UNITS["float32"]
    sizes = np.abs(_absolute(node.layer).evaluate(*recorded)) + _LEAST
    return _Expected(node.layer.evaluate(*read), unit * sizes, unit)


def _applied(layer: Layer, reads: _Expected) -> _Expected:
    """An activation's value, and how far it may move where what it reads does."""
    value = layer.evaluate(reads.value)
    moved = [np.abs(layer.evaluate(reads.value + s * reads.tolerance) - value) for s in (1, -1)]
    rounded = _RECORDED * UNITS["float32"] * np.abs(value)
    return _Expected(value, np.maximum(*moved) + rounded, reads.unit)


def _absolute(layer: Layer) -> Any:
    """A linear layer with the magnitudes of its weights, so that its terms have one sign."""
    held = {f.name: getattr(layer, f.name) for f in fields(layer)}  # type: ignore[arg-type]
    sizes = {name: _magnitudes(value) for name, value in held.items()}
    if isinstance(layer, BatchNormalization):
        sizes["mean"] = -sizes["mean"]  # it is taken away
    return replace(layer, **sizes)  # type: ignore[type-var]


def _magnitudes(value: Any) -> Any:
    """The magnitudes of an array of numbers, or of a tuple of such arrays; else the value."""
    if isinstance(value, tuple):
        return tuple(map(_magnitudes, value))
    return np.abs(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def _longest(graph: Graph, node: GraphNode) -> float:
    """The number of terms of a layer's longest sum, as the network makes it."""
    layer = node.layer
    if isinstance(layer, ConvolutionTranspose):
        return float(layer.weight.size // layer.weight.shape[1])
    if isinstance(layer, AdaptiveAveragePool):  # windows differ by one
        spatial, _ = split_shape(graph.shapes[node.inputs[0]], layer.channels_last)
        return float(prod(i // o + 2 for i, o in zip(spatial, layer.output, strict=True)))
    return terms_of(graph, node)
