"""The layers that each stage of the line may hold.

==============  ================================================================================
stage           grammar
==============  ================================================================================
IMPORTED        every registered layer, and PythonCall: the layers that a frontend may produce
IDENTITY_FREE   imported, and neither Identity nor the activation `linear`
CANONICAL       identity-free, and no BatchNormalization: the result of the standard passes
SPIKING_READY   canonical, and the activation `linear`: neurons that send a value as it is
==============  ================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spikewright.errors import GraphError
from spikewright.graph.graph import Graph, GraphNode
from spikewright.graph.layers import LAYERS, Activation, BatchNormalization, Identity, PythonCall

SENT = Activation("linear")
"""Neurons that send a value as it is: what the activation means in a spiking-ready graph."""
Rule = Callable[[Graph, GraphNode], str | None]


@dataclass(frozen=True)
class Stage:
    """A named grammar: rules that return the fault of a node, or None."""

    name: str
    rules: tuple[Rule, ...]

    def problems(self, graph: Graph) -> list[tuple[GraphNode, str]]:
        """Every node that this stage does not allow, with its fault."""
        return [
            (node, problem)
            for node in graph
            for rule in self.rules
            if (problem := rule(graph, node)) is not None
        ]

    def check(self, graph: Graph) -> None:
        """Raise `GraphError` listing every node that this stage does not allow."""
        problems = [
            f"layer {node.name!r} ({node.layer.kind}): {problem}"
            for node, problem in self.problems(graph)
        ]
        if problems:
            raise GraphError(f"the graph is not {self.name}:\n  - " + "\n  - ".join(problems))


def _registered(graph: Graph, node: GraphNode) -> str | None:
    if LAYERS.get(node.layer.kind) is type(node.layer) or isinstance(node.layer, PythonCall):
        return None
    return "its kind is not registered"


def _forbid(kind: type, why: str) -> Rule:
    def rule(graph: Graph, node: GraphNode) -> str | None:
        return why if isinstance(node.layer, kind) else None

    return rule


def _no_linear_activation(graph: Graph, node: GraphNode) -> str | None:
    layer = node.layer
    if isinstance(layer, Activation) and layer.function == "linear":
        return "identities must have been dropped"
    return None


IMPORTED = Stage("imported", (_registered,))
IDENTITY_FREE = Stage(
    "identity-free",
    (
        *IMPORTED.rules,
        _forbid(Identity, "identities must have been dropped"),
        _no_linear_activation,
    ),
)
CANONICAL = Stage(
    "canonical",
    (
        *IDENTITY_FREE.rules,
        _forbid(BatchNormalization, "batch normalisation must have been folded"),
    ),
)
SPIKING_READY = Stage(
    "spiking-ready", tuple(rule for rule in CANONICAL.rules if rule is not _no_linear_activation)
)

STAGES = (IMPORTED, IDENTITY_FREE, CANONICAL, SPIKING_READY)
