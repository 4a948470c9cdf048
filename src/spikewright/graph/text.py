"""A graph as text: one line a layer, for people and for golden tests."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from spikewright.errors import printable
from spikewright.graph.graph import Graph, Node


def _field(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"[{','.join(map(str, value.shape))}]"
    if isinstance(value, tuple) and any(isinstance(item, np.ndarray) for item in value):
        return f"({', '.join(map(_field, value))})"
    return repr(value)


def describe(node: Node) -> str:
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
