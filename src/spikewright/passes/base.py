"""The base class of passes: rewrites of a graph under a contract, which it checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from spikewright._base.developing import checking
from spikewright.errors import GraphError, PassError
from spikewright.graph import Graph, GraphNode, Stage, check_finite, evaluate_all
from spikewright.graph.lookups import random_inputs

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
