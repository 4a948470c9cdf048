"""The tensors of a graph of Keras that become outputs: its own, or layers by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from spikewright._base.optional import require
from spikewright.frontends.keras.reading import Reading
from spikewright.frontends.keras.registry import Value
from spikewright.frontends.keras.walking import graph_of, paths
from spikewright.frontends.outputs import pick


class End(NamedTuple):
    """A tensor that an output needs: its own, or that of the model which it is a layer inside."""

    tensor: Any
    inside: bool = False


def ends(
    graph: Any, reading: Reading, own: Mapping[str, Any], names: Sequence[str] | None
) -> dict[str, End]:
    """The tensors of outputs by name: `own`, or outputs and layers of these names.

    Raises `ReadError` for an unknown name.
    """
    outputs = {name: End(tensor) for name, tensor in own.items()}
    if names is None:
        return outputs
    layers = {call: End(node.outputs[0]) for call, node in reading.calls.items()}
    nested = {
        path: End(layers[around].tensor, inside=True)
        for path in [*paths(graph), *_inside_code(reading)]
        if (around := path.partition("/")[0]) in layers and around != path
    }
    return pick(names, {**nested, **layers, **outputs})


def nodes_of(found: Mapping[str, End], values: Sequence[Any], reading: Reading) -> dict[str, Any]:
    """The nodes of outputs by name, None for those that are unknown; `values` are the tensors'."""
    nodes: dict[str, Any] = {}
    for (name, end), value in zip(found.items(), values, strict=True):
        inside = name if name in reading.builder.shapes else None
        if end.inside:
            nodes[name] = reading.nodes.get((name, 0), inside)
        else:
            nodes[name] = value.name if isinstance(value, Value) else None
    return nodes


_DEPENDS = "Give a model of the outputs that depend on its inputs: keras.Model(inputs, outputs)"


def refuse_outputs(reading: Reading, nodes: dict[str, Any], values: Sequence[Any]) -> None:
    """Refuse outputs that are constants, or minus infinity in places: their nodes become None."""
    for (name, node), value in zip(list(nodes.items()), values, strict=True):
        if not isinstance(value, Value):
            reading.builder.refuse_output(name, "it is the same for every input", _DEPENDS)
        elif node in reading.hidden:
            reading.builder.refuse_output(name, "it is minus infinity in places")
            nodes[name] = None


def _inside_code(reading: Reading) -> Iterator[str]:
    """The paths of layers inside layers that are code."""
    for call, node in reading.calls.items():
        layer = node.operation
        if isinstance(layer, require("keras").Layer) and graph_of(layer) is None:
            yield from (f"{call}/{name}" for name in _paths(layer))


def _paths(layer: Any, around: str = "") -> Iterator[str]:
    for part in layer._flatten_layers(include_self=False, recursive=False):
        name = f"{around}/{part.name}".lstrip("/")
        yield name
        yield from _paths(part, name)
