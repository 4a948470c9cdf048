"""The standard pipeline, one line a pass, and how a pipeline runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from spikewright._base.developing import traced
from spikewright.graph import Graph
from spikewright.passes.average_max_pools import AverageMaxPools
from spikewright.passes.base import Note, Pass, PassResult
from spikewright.passes.drop_identities import DropIdentities
from spikewright.passes.fold_batch_norm import FoldBatchNorm
from spikewright.passes.fuse_activations import FuseActivations
from spikewright.passes.merge_affine import MergeAffine

STANDARD: tuple[Pass, ...] = (
    DropIdentities(),
    FuseActivations(),
    FoldBatchNorm(),
    MergeAffine(),
)

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
            changes += _changes(graph, result)
        for note in result.notes or (Note("", "nothing to do"),):
            trace.append(
                TraceLine(
                    step.name, len(graph), len(result.graph), note.layer, note.text, note.exact
                )
            )
        graph = result.graph
        done.append(step.name)
    return graph, tuple(trace)


def _changes(before: Graph, result: PassResult) -> list[str]:
    """The numbers of nodes before and after a pass, and one line for each change."""
    notes = [f"{note.layer!r}: {note.text}" for note in result.notes]
    return [f"{len(before)} -> {len(result.graph)} nodes", *notes]
