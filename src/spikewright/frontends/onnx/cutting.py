"""A model cut down to the outputs that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from spikewright.frontends.onnx.inputs import input_names
from spikewright.frontends.onnx.needed import captured, labels_of, needed_nodes
from spikewright.frontends.outputs import pick


def cut(proto: Any, names: Sequence[str] | None) -> dict[str, str]:
    """The ONNX value of each output, by its name; nodes get the names that layers have.

    With `names`, of outputs, nodes or values, everything that they do not need is removed from the
    model in place, inputs included.
    """
    graph = proto.graph
    nodes = needed_nodes(graph)
    for node, label in zip(nodes, labels_of(nodes, input_names(proto)), strict=True):
        node.name = label
    own = {value.name: value.name for value in graph.output}
    if names is None:
        return own
    values = {value: value for node in nodes for value in node.output if value}
    layers = {node.name: next(value for value in node.output if value) for node in nodes}
    outputs = pick(names, {**values, **layers, **own})
    _keep(graph, dict.fromkeys(outputs.values()))
    return outputs


def _keep(graph: Any, values: Collection[str]) -> None:
    """Leave these outputs, and the nodes and inputs that they need."""
    types = {value.name: value.type for value in (*graph.value_info, *graph.output)}
    del graph.output[:]
    for name in values:
        output = graph.output.add(name=name)
        if name in types:
            output.type.CopyFrom(types[name])
    nodes = needed_nodes(graph)
    made = {node.name for node in nodes}
    read = {name for node in nodes for name in (*node.input, *captured(node))} | set(values)
    _leave(graph.node, lambda node: node.name in made)
    _leave(graph.input, lambda value: value.name in read)


def _leave(items: Any, kept: Callable[[Any], bool]) -> None:
    """Remove the entries of a repeated field that are not kept."""
    for index in reversed(range(len(items))):
        if not kept(items[index]):
            del items[index]
