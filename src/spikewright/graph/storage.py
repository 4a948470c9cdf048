"""Graphs in files (see `spikewright._base.storage` for the format and its guarantees)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spikewright._base import storage as _storage
from spikewright._base.schema import check_types
from spikewright.errors import GraphError, listed
from spikewright.graph.graph import Graph, GraphNode
from spikewright.graph.layers import LAYERS, PythonCall, Recurrence
from spikewright.graph.layers.recurrence import Cell, CellPart

_CELLS = {"Recurrence": Recurrence, "Cell": Cell, "Part": CellPart}


def to_manifest(graph: Graph, encoder: _storage.ManifestEncoder) -> dict[str, Any]:
    """Plain data for a graph; its arrays are collected in the encoder.

    Raises `GraphError` naming the layers that are Python code.
    """
    refusal = why_no_file(graph)
    if refusal is not None:
        raise GraphError(refusal)
    return described(graph, graph.nodes, encoder)


def described(
    graph: Graph, nodes: Iterable[GraphNode], encoder: _storage.ManifestEncoder
) -> dict[str, Any]:
    """Plain data for a graph that has these nodes."""
    return {
        "nodes": [encoder.encode(node) for node in nodes],
        "outputs": dict(graph.outputs),
        "aliases": dict(graph.aliases),
    }


def why_no_file(graph: Graph) -> str | None:
    """A sentence that names layers of Python code, which no file holds; None if there are none."""
    calling = [repr(node.name) for node in graph if isinstance(node.layer, PythonCall)]
    if not calling:
        return None
    many = "layers" if len(calling) > 1 else "layer"
    return (
        f'{many} {listed(calling)} (fallback="python"): a file is data, and Python code of the '
        "source is none. Keep the source model, and convert it again."
    )


def from_manifest(content: Any, arrays: dict[str, NDArray], place: str | Path) -> Graph:
    """The graph that `to_manifest` wrote; raises `DamagedFileError` naming `place`."""
    decoder = _storage.ManifestDecoder(arrays, {**LAYERS, **_CELLS, "Node": GraphNode})
    with _storage.describing("a graph", place):
        nodes = tuple(decoder.decode(entry) for entry in content["nodes"])
        for node in nodes:
            if not isinstance(node, GraphNode):
                raise TypeError("an entry is not a node")
            check_types(node)
            _check(node.layer)
        return Graph(nodes, _names(content["outputs"]), _names(content["aliases"]))


def _check(layer: Any) -> None:
    """Raise `TypeError` for a field of a layer, or of a cell's parts, that is not of its type."""
    check_types(layer)
    if isinstance(layer, Recurrence):
        check_types(layer.cell)
        for part in layer.cell.parts:
            check_types(part)
            _check(part.layer)


def _names(value: Any) -> dict[str, str]:
    if not all(isinstance(name, str) for name in value.values()):
        raise TypeError("names of layers must be text")
    return dict(value)


def save(graph: Graph, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the graph to one file, atomically.

    An older graph is replaced, any other file only with `overwrite`. Raises `GraphError` for layers
    of Python code, and `ExistingFileError` for a file that is not replaced.
    """
    encoder = _storage.ManifestEncoder()
    manifest = to_manifest(graph, encoder)
    _storage.write(path, "graph", manifest, encoder.arrays, overwrite=overwrite)


def load(path: str | Path) -> Graph:
    """Read a graph; raises `MissingFileError` or `DamagedFileError`."""
    content, arrays = _storage.read(path, "graph")
    return from_manifest(content, arrays, path)
