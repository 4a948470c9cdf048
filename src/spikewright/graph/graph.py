"""The analog network: named layers in an order in which every value exists before it is used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.codec import ADDED
from spikewright._base.formatting import layer_label
from spikewright._base.samples import InputTree
from spikewright.errors import GraphError, printable
from spikewright.graph.layers import (
    Broadcast,
    Concatenate,
    Crop,
    Identity,
    Input,
    Layer,
    Lookup,
    Permute,
    Reshape,
    Shape,
    Slice,
    Take,
    Tile,
)
from spikewright.graph.layers.base import require

_MOST = 2**48  # values of a sample: the limit of addresses


@dataclass(frozen=True, eq=False)
class GraphNode:
    """A layer under a name, with the names of the values it reads.

    `source` is the name of the source model's layer that this node belongs to; where it equals
    `name`, the node's value is that layer's output. `source_kind` is the source's word for it.
    `frozen` names arrays of the layer that the source does not train.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...] = ()
    source: str = ""
    source_kind: str = ""
    frozen: tuple[str, ...] = field(default=(), metadata=ADDED)


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """Immutable; `nodes` are in topological order, `outputs` maps output names to node names.

    `aliases` maps the name of a layer that a pass removed to the node that it became part of. That
    node's value need not be the layer's: of a convolution folded into the batch normalisation
    after it, only the normalised value is left.
    Raises `GraphError` when a name is missing or used twice, or shapes do not fit.
    """

    nodes: tuple[GraphNode, ...]
    outputs: Mapping[str, str]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} layers>"

    def with_arrays(self, arrays: Mapping[tuple[str, str], NDArray]) -> Graph:
        """The graph with other arrays, by the node's name and the field of its layer."""
        changed: dict[str, dict[str, Any]] = {}
        for (name, entry), array in arrays.items():
            changed.setdefault(name, {})[entry] = array
        layers = {name: replace(self[name].layer, **new) for name, new in changed.items()}  # type: ignore[type-var]
        nodes = (replace(n, layer=layers[n.name]) if n.name in layers else n for n in self.nodes)
        return Graph(tuple(nodes), self.outputs, self.aliases)

    @property
    def frozen(self) -> frozenset[tuple[str, str]]:
        """Arrays that the source does not train, by the node's name and the field of its layer."""
        return frozenset((node.name, name) for node in self.nodes for name in node.frozen)

    def with_frozen(self, arrays: Iterable[tuple[str, str]]) -> Graph:
        """The graph in which these arrays are frozen too."""
        found: dict[str, dict[str, None]] = {node.name: {} for node in self.nodes}
        for name, entry in sorted(self.frozen | set(arrays)):
            found[name][entry] = None
        nodes = (replace(node, frozen=tuple(found[node.name])) for node in self.nodes)
        return Graph(tuple(nodes), self.outputs, self.aliases)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for node in self.nodes:
            if node.name in seen:
                raise GraphError(f"two layers are named {node.name!r}")
            missing = [name for name in node.inputs if name not in seen]
            if missing:
                raise GraphError(
                    f"layer {node.name!r} reads {missing}, which no earlier layer makes"
                )
            arity = node.layer.arity
            if (arity is None and not node.inputs) or (
                arity is not None and len(node.inputs) != arity
            ):
                raise GraphError(
                    f"layer {node.name!r} ({node.layer.kind}) has {len(node.inputs)} inputs, "
                    f"it takes {'one or more' if arity is None else arity}"
                )
            seen.add(node.name)
        lost = [name for name in self.outputs.values() if name not in seen]
        if lost or not self.outputs:
            raise GraphError(f"outputs {lost} are not made by any layer" if lost else "no outputs")
        stray = [f"{a!r} -> {b!r}" for a, b in self.aliases.items() if a in seen or b not in seen]
        if stray:
            raise GraphError(f"aliases must lead from a removed layer to a node: {stray}")
        self.shapes  # noqa: B018  (raises when shapes do not fit)

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        return self

    def __iter__(self) -> Iterator[GraphNode]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, name: str) -> GraphNode:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, GraphNode]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input nodes, in order."""
        return tuple(node.name for node in self.nodes if isinstance(node.layer, Input))

    @cached_property
    def structure(self) -> InputTree:
        """The forms in which all inputs may be given together."""
        layers = {name: self[name].layer for name in self.inputs}
        places = {n: layer.place or (n,) for n, layer in layers.items() if isinstance(layer, Input)}
        ranks = {name: len(self.shapes[name]) for name in places}
        return InputTree(places, ranks, rows=row_bounds(self.nodes, self.shapes))

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Unbatched shape of every node's value."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            try:
                shape = node.layer.output_shape(*(shapes[n] for n in node.inputs))
                require(math.prod(shape) <= _MOST, f"no array can be of shape {shape}")
            except GraphError as error:
                raise GraphError(f"layer {node.name!r}: {error}") from None
            shapes[node.name] = shape
        return shapes

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the nodes that read each value, one entry per use."""
        uses: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                uses[name].append(node.name)
        return {name: tuple(users) for name, users in uses.items()}

    def is_output(self, name: str) -> bool:
        """Whether this node's value is an output of the graph."""
        return name in self.outputs.values()


def prune(nodes: Iterable[GraphNode], outputs: Mapping[str, str]) -> tuple[GraphNode, ...]:
    """The nodes that the outputs depend on, and every input, in order."""
    ordered = tuple(nodes)
    needed = leading_to(ordered, outputs.values())
    return tuple(n for n in ordered if n.name in needed or isinstance(n.layer, Input))


def leading_to(nodes: Iterable[GraphNode], names: Iterable[str]) -> set[str]:
    """The names of the nodes that others are computed of, and of these themselves."""
    found = set(names)
    for node in reversed(tuple(nodes)):
        if node.name in found:
            found.update(node.inputs)
    return found


def unique_name(wanted: str, taken: Iterable[str] | Mapping[str, object]) -> str:
    """`wanted`, or `wanted_1`, `wanted_2`, ... if that is taken.

    Numbers are halved between, so that a thousand layers of one name are no million looks.
    """
    names = taken if isinstance(taken, Mapping | Set) else set(taken)
    if wanted not in names:
        return wanted
    below, free = 0, 1
    while f"{wanted}_{free}" in names:
        below, free = free, 2 * free
    while free - below > 1:
        middle = (below + free) // 2
        below, free = (middle, free) if f"{wanted}_{middle}" in names else (below, middle)
    return f"{wanted}_{free}"


def check_finite(nodes: Sequence[GraphNode]) -> None:
    """Raise `GraphError` naming the first layer whose parameters hold NaN or infinity."""
    for node in nodes:
        for field_name, value in node.layer.arrays().items():
            bad = int(value.size - np.isfinite(value).sum())
            if bad:
                name = layer_label(node.name, node.source_kind)
                raise GraphError(
                    f"layer {name!r} ({node.layer.kind}): {bad} of {value.size} values of its "
                    f"{field_name} are NaN or infinite. Train or load the model again."
                )


def _field(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"[{','.join(map(str, value.shape))}]"
    if isinstance(value, tuple) and any(isinstance(item, np.ndarray) for item in value):
        return f"({', '.join(map(_field, value))})"
    return repr(value)


def describe(node: GraphNode) -> str:
    """`Kind(field=value, ...)`, arrays as their shapes, fields that are None left out."""
    entries = [
        f"{f.name}={_field(value)}"
        for f in fields(node.layer)  # type: ignore[arg-type]
        if (value := getattr(node.layer, f.name)) is not None
    ]
    return f"{node.layer.kind}({', '.join(entries)})"


def to_text(graph: Graph) -> str:
    """One line a node: `name: [shape] = Kind(...) <- inputs`, then the outputs."""
    lines = []
    for node in graph:
        shape = ",".join(map(str, graph.shapes[node.name]))
        reads = f" <- {', '.join(node.inputs)}" if node.inputs else ""
        lines.append(f"{node.name}: [{shape}] = {describe(node)}{reads}")
    lines += [f"output {name} = {node}" for name, node in graph.outputs.items()]
    return printable("\n".join(lines))


MOVES = (Broadcast, Concatenate, Crop, Identity, Permute, Reshape, Slice, Take, Tile)
"""Layers whose values are those of their inputs, elsewhere."""


def row_bounds(nodes: Sequence[GraphNode], shapes: Mapping[str, Shape]) -> dict[str, NDArray]:
    """The number of rows that each value of an input is looked up in, `{input: (*shape) or ()}`.

    Infinity for values by which no row is looked up, or only after a change; inputs without any
    bound are left out. Values of several tables have the smallest number of rows.
    """
    leading = _leading(nodes)
    places, numbers, bounds = dict[str, NDArray](), dict[str, NDArray](), np.full(0, np.inf)
    for node in nodes:
        layer = node.layer
        if isinstance(layer, Lookup) and node.inputs[0] in numbers:
            found = numbers[node.inputs[0]].astype(np.int64)
            bounds[found] = np.minimum(bounds[found], len(layer.table))
        elif node.name not in leading:
            continue
        elif isinstance(layer, Input):
            shape = shapes[node.name]
            first, count = len(bounds), math.prod(shape)
            places[node.name] = np.arange(first, first + count).reshape(shape)
            numbers[node.name] = places[node.name][None].astype(np.float64)
            bounds = np.append(bounds, np.full(count, np.inf))
        elif all(name in numbers for name in node.inputs):
            numbers[node.name] = layer.evaluate(*(numbers[name] for name in node.inputs))
    each = {name: bounds[place] for name, place in places.items()}
    return {name: _short(found) for name, found in each.items() if np.any(np.isfinite(found))}


def _leading(nodes: Sequence[GraphNode]) -> set[str]:
    """Inputs, and nodes that move their values, from which a table is reached."""
    found: set[str] = set()
    for node in reversed(nodes):
        moved = isinstance(node.layer, MOVES) and node.name in found
        if moved or isinstance(node.layer, Lookup):
            found.update(node.inputs)
    return {n.name for n in nodes if n.name in found and isinstance(n.layer, (*MOVES, Input))}


def _short(bounds: NDArray) -> NDArray:
    """One bound without axes where all are the same: it holds for sequences of any length."""
    return np.asarray(bounds.flat[0]) if np.all(bounds == bounds.flat[0]) else np.asarray(bounds)
