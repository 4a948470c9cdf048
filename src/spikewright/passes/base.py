"""The base class of passes, which checks their contract, and the graph that they change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from spikewright._base.debugging import checking
from spikewright.errors import GraphError, PassError
from spikewright.graph import Graph, GraphNode, Stage, check_finite, evaluate_all
from spikewright.graph.integer_inputs import random_inputs
from spikewright.graph.layers import Layer, Shape

_ROUNDED = 1e-6  # of the largest value along the way: constants may be rounded to single precision


@dataclass(frozen=True)
class Note:
    """A change of one layer by a pass, and whether the graph still computes the same values."""

    layer: str
    text: str
    exact: bool = True


@dataclass(frozen=True, eq=False)
class PassResult:
    """The rewritten graph, and one note per change (none: the pass found nothing to do)."""

    graph: Graph
    notes: tuple[Note, ...] = ()


class Pass(ABC):
    """A named rewrite of a graph of stage `requires` into a graph of stage `ensures`.

    Subclasses are final: they set the three class variables and implement `rewrite`. Calling a
    pass checks its contract:

    * the stages hold on entry and on exit,
    * inputs and outputs keep their names, order and shapes,
    * every layer's name is still a node or an alias,
    * the graph that came in is untouched: `rewrite` sees its arrays read-only,
    * under SPIKEWRIGHT_CHECK=1, on random samples: values have the shapes that the graph says, and
      where every note is exact the outputs are as before.
    """

    name: ClassVar[str]
    requires: ClassVar[Stage]
    ensures: ClassVar[Stage]

    @abstractmethod
    def rewrite(self, graph: Graph) -> PassResult:
        """The rewritten graph and notes of the changes; the given graph must not be changed."""

    @final
    def __call__(self, graph: Graph, after: Sequence[str] = ()) -> PassResult:
        """Rewrite under the contract; `after` names the passes that ran before, for the message.

        Raises `PassError` when the rewrite fails or breaks the contract.
        """
        try:
            self.requires.check(graph)
            result = self.rewrite(_read_only(graph))
            self.ensures.check(result.graph)
            _check_interface(graph, result.graph)
            _check_names(graph, result.graph)
            if checking():
                _check_values(graph, result)
        except Exception as error:
            history = f"after {', '.join(map(repr, after))}" if after else "the first pass"
            raise PassError(f"pass {self.name!r} ({history}): {error}") from error
        return result


def _read_only(graph: Graph) -> Graph:
    """The same graph over views of its arrays that cannot be written through."""
    return Graph(tuple(map(_frozen, graph)), dict(graph.outputs), dict(graph.aliases))


def _frozen(node: GraphNode) -> GraphNode:
    if not node.layer.arrays():
        return node
    entries = fields(node.layer)  # type: ignore[arg-type]
    views = {entry.name: _view(getattr(node.layer, entry.name)) for entry in entries}
    return replace(node, layer=replace(node.layer, **views))  # type: ignore[type-var]


def _view(value: Any) -> Any:
    """A field's value, its arrays (alone or in a tuple) as views that cannot be written through."""
    if isinstance(value, tuple):
        return tuple(map(_view, value))
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.flags.writeable = False
    return view


def _check_interface(before: Graph, after: Graph) -> None:
    """Raise `GraphError` where inputs or outputs changed their names, order or shapes."""
    for what, old, new in (
        ("inputs", _input_shapes(before), _input_shapes(after)),
        ("outputs", _output_shapes(before), _output_shapes(after)),
    ):
        if old != new:
            raise GraphError(f"the {what} were {old} and became {new}; a pass must keep them")


def _input_shapes(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, graph.shapes[name]) for name in graph.inputs]


def _output_shapes(graph: Graph) -> list[tuple[str, tuple[int, ...]]]:
    return [(output, graph.shapes[name]) for output, name in graph.outputs.items()]


def _check_names(before: Graph, after: Graph) -> None:
    """Raise `GraphError` where a name of the graph before leads nowhere in the graph after."""
    names = [*(node.name for node in before), *before.aliases]
    lost = sorted({name for name in names if name not in after and name not in after.aliases})
    if lost:
        raise GraphError(
            f"the names {lost} are neither nodes nor aliases any more; "
            "a pass must say in Graph.aliases the node that a removed layer became part of"
        )


def _check_values(before: Graph, result: PassResult) -> None:
    """Raise `GraphError` where the graph after a pass computes other values than it should."""
    after = result.graph
    check_finite(after.nodes)
    inputs = random_inputs(before, seed=0)
    with np.errstate(all="ignore"):
        old, new = evaluate_all(before, inputs), evaluate_all(after, inputs)
    for name, value in new.items():
        if value.shape[1:] != tuple(after.shapes[name]):
            raise GraphError(
                f"layer {name!r} computes values of shape {value.shape[1:]}; "
                f"the graph says {after.shapes[name]}"
            )
    if all(note.exact for note in result.notes):
        scale = max(map(_largest, old.values()))
        for output, name in before.outputs.items():
            _check_same(output, old[name], new[after.outputs[output]], scale)


def _largest(value: NDArray) -> float:
    """The largest finite magnitude."""
    return float(np.abs(value[np.isfinite(value)]).max(initial=0.0))


def _check_same(output: str, before: NDArray, after: NDArray, scale: float) -> None:
    """Raise `GraphError` for an output that differs by more than rounding."""
    if not np.allclose(after, before, rtol=0.0, atol=_ROUNDED * scale, equal_nan=True):
        most = float(np.nanmax(np.abs(after - before)))
        raise GraphError(
            f"output {output!r} differs by {most:.3g} on random samples, of values up to "
            f"{scale:.3g}, though every note of the pass says that it is exact"
        )


class GraphRewriter:
    """A mutable copy of a graph.

    Nodes keep their order, and a node that stays keeps its name, its value and hence its shape.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes = {node.name: node for node in graph}
        self._outputs = dict(graph.outputs)
        self._uses = {name: list(users) for name, users in graph.consumers.items()}
        self._became: dict[str, str] = {}

    def __iter__(self) -> Iterator[GraphNode]:
        """The nodes that are there when their turn comes, as they are then."""
        for name in tuple(self._nodes):
            if name in self._nodes:
                yield self._nodes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> GraphNode:
        return self._nodes[name]

    def shape(self, name: str) -> Shape:
        """Unbatched shape of a node's value."""
        return self._graph.shapes[name]

    def consumers(self, name: str) -> list[GraphNode]:
        """The nodes that read a value, each once."""
        return [self._nodes[user] for user in dict.fromkeys(self._uses[name])]

    def is_output(self, name: str) -> bool:
        """Whether a node's value is an output."""
        return name in self._outputs.values()

    def private_producer(self, node: GraphNode) -> GraphNode | None:
        """The node that a node of one input reads, if nothing else sees its value."""
        (name,) = node.inputs
        alone = len(self._uses[name]) == 1 and not self.is_output(name)
        return self._nodes[name] if alone else None

    def set_layer(self, name: str, layer: Layer) -> None:
        """Give a node another layer; its inputs stay."""
        self._nodes[name] = replace(self._nodes[name], layer=layer)

    def drop(self, name: str, into: str) -> None:
        """Remove a node of one input: whoever read it reads its input. It became part of `into`."""
        node = self._nodes.pop(name)
        (source,) = node.inputs
        users = self._uses.pop(name)
        for user in set(users):
            old = self._nodes[user]
            inputs = tuple(source if read == name else read for read in old.inputs)
            self._nodes[user] = replace(old, inputs=inputs)
        self._uses[source].remove(name)
        self._uses[source] += users
        self._outputs = {
            output: source if made_by == name else made_by
            for output, made_by in self._outputs.items()
        }
        self._became[name] = into

    def collapse(self, name: str, layer: Layer, source: str, inner: Sequence[str]) -> None:
        """Replace the computation of a node from `source` by one layer.

        `inner` are the nodes between, which nothing else reads; they become part of the node.
        """
        for gone in (name, *inner):
            for read in self._nodes[gone].inputs:
                self._uses[read].remove(gone)
        for gone in inner:
            del self._nodes[gone], self._uses[gone]
            self._became[gone] = name
        self._nodes[name] = replace(self._nodes[name], layer=layer, inputs=(source,))
        self._uses[source].append(name)

    def finish(self) -> Graph:
        """The graph as it is now.

        Aliases of removed nodes lead to the nodes that replaced them. A source layer without a
        node of its name leads to the last node that was read from it.
        """
        aliases = {name: self._left_of(target) for name, target in self._graph.aliases.items()}
        aliases |= {name: self._left_of(target) for name, target in self._became.items()}
        for node in self._graph:
            unnamed = node.source and node.source not in self._graph
            if unnamed and node.source not in self._graph.aliases:
                aliases[node.source] = self._left_of(node.name)
        return Graph(tuple(self._nodes.values()), self._outputs, aliases)

    def _left_of(self, name: str) -> str:
        while name in self._became:
            name = self._became[name]
        return name
