"""The nodes of an ONNX graph that its outputs need, and their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from spikewright.graph import unique_name


def needed_nodes(graph: Any) -> list[Any]:
    """The nodes that the model's outputs depend on, in order."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(captured(node))
            needed.discard("")  # an input that is not given
    return kept[::-1]


def captured(node: Any) -> set[str]:
    """Names that the node's subgraphs read from outside."""
    names: set[str] = set()
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            names.update(value.name for value in graph.output)
            for inner in graph.node:
                names.update(inner.input, captured(inner))
    return names


def labels_of(nodes: Sequence[Any], inputs: Iterable[str]) -> list[str]:
    """A unique name per ONNX node: its own, or its first output's."""
    taken: dict[str, object] = dict.fromkeys(inputs)
    labels = []
    for node in nodes:
        wanted = node.name or next(name for name in node.output if name)
        labels.append(unique_name(wanted, taken))
        taken[labels[-1]] = None
    return labels
