"""The analog network: layers with weights and shapes, no time.

Frontends produce a `Graph`, passes rewrite it, `evaluate` computes its values.
"""

from spikewright.graph.grammar import (
    CANONICAL,
    IDENTITY_FREE,
    IMPORTED,
    SENT,
    SPIKING_READY,
    STAGES,
    Stage,
)
from spikewright.graph.graph import (
    Graph,
    GraphNode,
    check_finite,
    leading_to,
    prune,
    to_text,
    unique_name,
)
from spikewright.graph.interpreter import checked_inputs, evaluate, evaluate_all, values_in_order
from spikewright.graph.sequences import RecurrentState, Sequences
from spikewright.graph.storage import load, save

__all__ = [
    "CANONICAL",
    "IDENTITY_FREE",
    "IMPORTED",
    "SENT",
    "SPIKING_READY",
    "STAGES",
    "Graph",
    "GraphNode",
    "RecurrentState",
    "Sequences",
    "Stage",
    "check_finite",
    "checked_inputs",
    "evaluate",
    "evaluate_all",
    "leading_to",
    "load",
    "prune",
    "save",
    "to_text",
    "unique_name",
    "values_in_order",
]
