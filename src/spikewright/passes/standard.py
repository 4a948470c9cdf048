"""The standard pipeline, one line a pass, how a pipeline runs, and the forms of max pooling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from spikewright._base.debugging import traced
from spikewright.graph import IDENTITY_FREE, Graph, GraphNode
from spikewright.graph.layers import AveragePool, GlobalAveragePool, GlobalMaxPool, Layer, MaxPool
from spikewright.passes.base import Note, Pass, PassResult
from spikewright.passes.drop_identities import DropIdentities
from spikewright.passes.folding import FoldBatchNorm, MergeAffine
from spikewright.passes.fuse_activations import FuseActivations
from spikewright.passes.fuse_normalizations import FuseNormalizations


def _average(layer: Layer) -> Layer | None:
    if isinstance(layer, GlobalMaxPool):
        return GlobalAveragePool(layer.axes, layer.keepdims)
    if isinstance(layer, MaxPool) and set(layer.dilation) == {1}:
        return AveragePool(
            layer.size,
            layer.stride,
            layer.padding,
            ceil_mode=layer.ceil_mode,
            channels_last=layer.channels_last,
        )
    return None


@dataclass(frozen=True)
class AverageMaxPools(Pass):
    """Every undilated maximum over windows or axes becomes the average; outputs change."""

    name = "average max pools"
    requires = IDENTITY_FREE
    ensures = IDENTITY_FREE

    def rewrite(self, graph: Graph) -> PassResult:
        nodes: list[GraphNode] = []
        notes = []
        for node in graph:
            average = _average(node.layer)
            if average is None:
                nodes.append(node)
                continue
            nodes.append(replace(node, layer=average))
            notes.append(Note(node.name, "average pooling in place of max pooling", exact=False))
        return PassResult(Graph(tuple(nodes), graph.outputs, graph.aliases), tuple(notes))


UNFOLDED: tuple[Pass, ...] = (DropIdentities(), FuseActivations(), FuseNormalizations())
"""The passes that leave weights and batch normalisations as they are."""
STANDARD: tuple[Pass, ...] = (*UNFOLDED, FoldBatchNorm(), MergeAffine())

MaxPoolForm = Literal["gate", "average"]
MAX_POOL_FORMS: Mapping[MaxPoolForm, tuple[Pass, ...]] = MappingProxyType(
    {"gate": (), "average": (AverageMaxPools(),)}
)
"""The passes behind the standard ones for each form of max pooling; the first is the default."""


@dataclass(frozen=True)
class TraceLine:
    """One change that a pass made, and the number of nodes before and after the whole pass."""

    pass_name: str
    nodes_before: int
    nodes_after: int
    layer: str
    text: str
    exact: bool

    def __str__(self) -> str:
        place = f" {self.layer!r}" if self.layer else ""
        kind = "" if self.exact else " (approximated)"
        nodes = f"{self.nodes_before} -> {self.nodes_after} nodes"
        return f"{self.pass_name} [{nodes}]{place}: {self.text}{kind}"


def run(graph: Graph, passes: Sequence[Pass] = STANDARD) -> tuple[Graph, tuple[TraceLine, ...]]:
    """Apply the passes in order; returns the graph and the changes of each.

    A pass that finds nothing to do leaves one line that says so. Raises `PassError` naming the
    pass that failed and those that ran before it.
    """
    trace: list[TraceLine] = []
    done: list[str] = []
    for step in passes:
        with traced(f"pass {step.name}") as changes:
            result = step(graph, after=done)
            changes.append(_changes(graph, result))
        for note in result.notes or (Note("", "nothing to do"),):
            trace.append(
                TraceLine(
                    step.name, len(graph), len(result.graph), note.layer, note.text, note.exact
                )
            )
        graph = result.graph
        done.append(step.name)
    return graph, tuple(trace)


def _changes(before: Graph, result: PassResult) -> Iterator[str]:
    """The numbers of nodes before and after a pass, and one line for each change."""
    yield f"{len(before)} -> {len(result.graph)} nodes"
    for note in result.notes:
        yield f"{note.layer!r}: {note.text}"
