"""A graph of NIR as it is made, and what a reader cannot take of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.engines.reference.linear import matrix_of
from spikewright.errors import Refusal
from spikewright.exchange.nir.dialects import OTHER_DIALECT, Dialect
from spikewright.exchange.nir.maps import Map, by_channel, diagonal, squared, whole
from spikewright.exchange.nir.reading import Edge, NoForm, late, order_of
from spikewright.exchange.nir.signals import MOST_WEIGHTS, Signal, image_index
from spikewright.network import transforms as t
from spikewright.network.transforms import Shape


@dataclass(frozen=True, eq=False)
class Form:
    """A signal as `map` of what `names` send, with `bias` a channel; no map: as it is.

    `index` are the places of an object's values in the array of `shape` that comes out.
    """

    names: tuple[str, ...]
    shape: Shape
    index: NDArray
    map: Map | None
    bias: NDArray


def forms_of(signals: Sequence[Signal], unit: NDArray | float, bias: NDArray | float) -> list[Form]:
    """Signals that are summed, in one layout; the first one has the bias.

    A value of the sum counts `unit` times. Raises `NoForm` where NIR has no form but matrices
    that are too large.
    """
    natural = signals[0].index.shape
    units = np.broadcast_to(unit, natural)
    constants = [np.broadcast_to(bias, natural), *[np.zeros(natural)] * (len(signals) - 1)]
    pairs = list(zip(signals, constants, strict=True))
    made = [_by_channels(signal, units, constant) for signal, constant in pairs]
    whole_channels = [form for form in made if form is not None]
    if len(whole_channels) == len(signals) and alike(*whole_channels):
        return whole_channels
    return [as_matrix(signal, units, constant) for signal, constant in pairs]


def alike(first: Form | Signal, *others: Form | Signal) -> bool:
    """True where values are at the same places of arrays of one shape."""
    return all(o.shape == first.shape and np.array_equal(o.index, first.index) for o in others)


def in_order(form: Form) -> bool:
    """True where an array has an object's values in their order, or with its last axis first."""
    natural, count = form.index.shape, form.index.size
    orders = [np.arange(count).reshape(natural)]
    if len(natural) == len(form.shape) > 1:
        orders.append(image_index(form.shape, natural, True))
    return any(np.array_equal(form.index, order) for order in orders)


def arranged(values: NDArray | float, index: NDArray, shape: Shape) -> NDArray:
    """Values of an object as a flat array over `shape`."""
    flat = np.zeros(math.prod(shape))
    flat[index.ravel()] = np.broadcast_to(values, index.shape).ravel()
    return flat


def _by_channels(signal: Signal, units: NDArray, constant: NDArray) -> Form | None:
    """The form of a signal whose factors and constants differ by channel alone, or None."""
    if not signal.complete:
        return None
    shape, index = signal.shape, signal.index
    flat = arranged(units, index, shape)
    heights = by_channel(signal.heights(flat), shape)
    bias = by_channel(arranged(constant, index, shape), shape)
    if heights is None or bias is None:
        return None
    map = signal.map
    if map is not None:
        map = map.times(heights)
    elif np.any(heights != 1.0) or np.any(bias):
        map = diagonal(heights, shape)
    if map is not None:
        map = squared(map)
        if map is None:
            return None
    return Form(signal.names, shape, index, map, bias)


def as_matrix(signal: Signal, units: NDArray, constant: NDArray | float = 0.0) -> Form:
    """The same as one matrix to a vector: NIR has no bias and no factor by pixel."""
    source = signal.shape if signal.map is None else signal.map.shape
    count = signal.index.size * math.prod(source)
    if count > MOST_WEIGHTS:
        raise NoForm(
            "its values are no whole channels, or their scale or bias differs within a channel, "
            f"and as a matrix it has {count} weights, more than {MOST_WEIGHTS}"
        )
    full = np.eye(math.prod(source)) if signal.map is None else _matrix(signal.map)
    rows = full * signal.heights()[:, None]
    index = signal.index.ravel()
    matrix = np.where(index[:, None] >= 0, rows[index], 0.0) * units.reshape(-1, 1)
    map = squared(whole(matrix, source))
    assert map is not None  # of one window
    places = np.arange(index.size).reshape(signal.index.shape)
    bias = np.broadcast_to(constant, signal.index.shape).ravel()
    return Form(signal.names, map.output_shape, places, map, bias)


def _matrix(map: Map) -> NDArray:
    if not map.size:
        return map.kernel
    convolution = t.Convolution(map.kernel, map.stride, map.padding, map.dilation)
    return matrix_of((convolution,), map.shape)


@dataclass
class Building:
    """The nodes and edges so far, and the names of nodes whose weights were rounded."""

    dialect: Dialect
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    rounded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nir = require("nir")

    def add(self, name: str, node: Any, sources: Iterable[str]) -> str:
        """A node under a name of its own.

        Files list nodes in the order of their names, and some readers need that of the graph.
        """
        kind = type(node).__name__
        if kind in self.dialect.lacks:
            raise NoForm(f"{self.dialect.name} reads no {kind} as NIR says it", OTHER_DIALECT)
        name = re.sub(r"[^0-9A-Za-z_]", "_", name)
        if not isinstance(node, self.nir.Input | self.nir.Output):
            name = f"n{len(self.nodes):04}_{name}"
        if name in self.nodes:
            name = f"{name}_{len(self.nodes)}"
        self.nodes[name] = node
        self.lead(sources, name)
        return name

    def lead(self, sources: Iterable[str], name: str) -> None:
        """Edges to a node."""
        self.edges += [(source, name) for source in sources]

    def sent(self, name: str, form: Form) -> tuple[str, ...]:
        """The nodes that send a form: one with its weights and bias, where it needs one."""
        if form.map is None:
            return form.names
        return (self.affine(name, form.map, form.bias, form.names),)

    def affine(self, name: str, map: Map, bias: NDArray, sources: Iterable[str]) -> str:
        """A node with weights and a bias."""
        weight, offset = single(map.kernel), single(bias)
        if not map.size:
            node = self.nir.Affine(weight=weight, bias=offset)
        else:
            kind = self.nir.Conv2d if len(map.size) == 2 else self.nir.Conv1d
            pads = tuple(before for before, _ in map.padding)
            shape, stride, padding, dilation = (
                values if len(values) > 1 else values[0]
                for values in (map.shape[1:], map.stride, pads, map.dilation)
            )
            node = kind(
                shape,
                weight,
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=1,
                bias=offset,
            )
        added = self.add(name, node, sources)
        if not (_holds(weight, map.kernel) and _holds(offset, bias)):
            self.rounded.append(added)
        return added


def single(values: NDArray) -> NDArray:
    """An array in single precision, as readers compute."""
    return values.astype(np.float32)


def _holds(made: NDArray, values: NDArray) -> bool:
    """True for an array of the same values but for the rounding of doubles on the way."""
    return np.allclose(made, values, rtol=1e-14, atol=0.0)


def limits_of(made: Building, edges: Sequence[Edge], closing: Collection[Edge]) -> list[Refusal]:
    """The refusals of a graph whose `edges` are in the order of the file.

    `closing` are the edges that wait one step.
    """
    found = [*_loops(made, closing)]
    if made.dialect.chain:
        found += _branches(made)
    if made.dialect.walks:
        found += _walk(made, edges, closing)
    return found


def _kinds(made: Building) -> dict[str, str]:
    return {name: type(node).__name__ for name, node in made.nodes.items()}


def _loops(made: Building, closing: Collection[Edge]) -> Iterator[Refusal]:
    """Loops that a reader would cut elsewhere, so that another edge waits."""
    kinds = _kinds(made)
    _, back = order_of(kinds, made.edges)
    wrong = {post for _, post in back ^ set(closing) if kinds[post] != "Delay"}
    for name in sorted(wrong):
        yield Refusal(
            made.nodes[name].metadata.get("layer", name),
            kinds[name],
            "it is part of a loop that waits at another place than where readers cut it",
            "Let every loop wait where it leads back to its first neurons",
        )


def _branches(made: Building) -> Iterator[Refusal]:
    """The nodes that a reader of chains would leave out."""
    ends = Counter(end for edge in made.edges for end in enumerate(edge))
    several = sorted({name for (_, name), count in ends.items() if count > 1})
    why = f"{made.dialect.name} reads chains, and it has several edges on one side"
    for name in several:
        yield Refusal(name, _kinds(made)[name], why, OTHER_DIALECT)


def _walk(made: Building, edges: Sequence[Edge], closing: Collection[Edge]) -> Iterator[Refusal]:
    """Edges that a reader which walks the graph would read too late, or drop."""
    nodes, dialect = made.nodes, made.dialect
    first = next(n for n, node in nodes.items() if isinstance(node, made.nir.Input))
    for edge in late(nodes, edges, first):
        if edge not in closing:
            why = f"it joins another branch, and {dialect.name} computes that one before it"
            advice = "Give the layers that meet one scale, so that the edge needs no weights"
        elif not dialect.loops:
            why = f"it closes a loop, and {dialect.name} drops such edges"
            advice = OTHER_DIALECT
        else:
            continue
        yield Refusal(edge[0], type(nodes[edge[0]]).__name__, why, advice)
