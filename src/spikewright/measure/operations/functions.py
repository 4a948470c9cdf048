"""The operations of node functions in one step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from spikewright.network import Connection, Node, NodeFunction
from spikewright.network.node_functions import MatMul, Multiply


def function_operations(
    nodes: Iterable[Node], names: Mapping[Any, str]
) -> tuple[dict[Node, int], tuple[str, ...]]:
    """Multiply-accumulates a step of each function that has a count, and the names of the others.

    A matrix product has as many as in the source, an elementwise product of k inputs k - 1 a value.
    Comparisons, exponentials, roots, quotients and Python functions have none: they are named.
    """
    counted: dict[Node, int] = {}
    others = []
    for node in nodes:
        function = node.output
        if isinstance(function, MatMul):
            inner = function.shapes[0][-2 if function.transpose_a else -1]
            counted[node] = node.size_out * inner
        elif isinstance(function, Multiply):
            counted[node] = node.size_out * (len(function.shapes) - 1)
        elif isinstance(function, NodeFunction):
            kind = type(function).__name__
            others.append(f"{kind} {names[node]!r} ({prod(node.shape_in)} values a step)")
        elif callable(function):
            others.append(f"Python function {names[node]!r} ({node.size_out} values a step)")
    return counted, tuple(others)


def not_counted(connections: Iterable[Connection]) -> tuple[str, ...]:
    """The work of connections that has no count: Python functions, own synapses, rules."""
    others = []
    for connection in connections:
        if connection.function is not None and not connection.decodes:
            size = prod(connection.sent_shape)
            others.append(f"Python function of {connection!r} ({size} values a step)")
        if connection.synapse is not None and connection.synapse.stepped:
            others.append(f"synapse {connection.synapse!r} of {connection!r}")
        for rule in connection.learning_rules:
            others.append(f"{type(rule.learning_rule_type).__name__} of {connection!r}")
    return tuple(others)
