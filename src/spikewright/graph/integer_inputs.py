"""Integer inputs: rows of a table are looked up by them, or the model declares them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.graph import MOVES, Graph
from spikewright.graph.layers import Input, Lookup

FEW = 2
"""That many whole numbers are drawn where no table says how many there are: those of masks."""


def whole_inputs(graph: Graph) -> dict[str, int]:
    """The bound below which whole numbers are drawn for inputs that are to hold them, by input.

    How many rows the smallest table has that they are looked up in; a few where there is none.
    """
    bounds = whole_nodes(graph)
    return {name: bounds[name] for name in graph.inputs if name in bounds}


def whole_nodes(graph: Graph) -> dict[str, int]:
    """The same for every node that holds whole numbers, inputs moved about among them."""
    found: dict[str, int] = {}
    for node in reversed([*graph]):
        rows = found.get(node.name) if isinstance(node.layer, MOVES) else None
        if isinstance(node.layer, Lookup):
            rows = len(node.layer.table)
        if isinstance(node.layer, Input) and node.layer.whole:
            found.setdefault(node.name, FEW)
        if rows is not None:
            for name in node.inputs:
                found[name] = min(rows, found.get(name, rows))
    return found


def random_inputs(graph: Graph, seed: int, batch: int = 2) -> dict[str, NDArray]:
    """Seeded normal input for every input of a graph: no symmetry for an error to hide in.

    Of single precision, in float64; whole numbers where inputs are to be whole.
    """
    rng, bounds = np.random.default_rng(seed), whole_inputs(graph)
    found = {}
    for name in graph.inputs:
        shape = (batch, *graph.shapes[name])
        normal = name not in bounds
        value = rng.standard_normal(shape) if normal else random_rows(rng, bounds[name], shape)
        found[name] = value.astype(np.float32).astype(np.float64)
    return found


def random_rows(rng: np.random.Generator, rows: int, shape: tuple[int, ...]) -> NDArray:
    """Numbers of rows, float64."""
    return rng.integers(0, rows, shape).astype(np.float64)
