"""Graphs in files (see `spikewright._base.codec` for the format and its guarantees)."""

from __future__ import annotations

from pathlib import Path

from spikewright._base.codec import Format, saved_name
from spikewright.errors import GraphError, listed
from spikewright.graph.graph import Graph, GraphNode
from spikewright.graph.layers import LAYERS, PythonCall, Recurrence
from spikewright.graph.layers.recurrence import Cell, CellPart

REGISTRIES = (LAYERS, {saved_name(kind): kind for kind in (GraphNode, Recurrence, Cell, CellPart)})
"""The classes that may be in the file of a graph."""

FORMAT = Format("graph", Graph, REGISTRIES)


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


def save(graph: Graph, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the graph to one file, atomically.

    An older graph is replaced, any other file only with `overwrite`. Raises `GraphError` for layers
    of Python code, and `ExistingFileError` for a file that is not replaced.
    """
    if refusal := why_no_file(graph):
        raise GraphError(refusal)
    FORMAT.write(path, graph, overwrite=overwrite)


def load(path: str | Path) -> Graph:
    """Read a graph; raises `MissingFileError` or `DamagedFileError`."""
    return FORMAT.read(path)
