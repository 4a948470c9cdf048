"""Inputs that are whole numbers, because rows of a table are looked up by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.graph import Graph
from spikewright.graph.layers import (
    Broadcast,
    Concatenate,
    Crop,
    Identity,
    Lookup,
    Permute,
    Reshape,
    Slice,
    Take,
    Tile,
)

_MOVES = (Broadcast, Concatenate, Crop, Identity, Permute, Reshape, Slice, Take, Tile)


def numbers_of_rows(graph: Graph) -> dict[str, int]:
    """How many rows the smallest table has that an input's values are looked up in, by input."""
    rows = nodes_of_numbers(graph)
    return {name: rows[name] for name in graph.inputs if name in rows}


def nodes_of_numbers(graph: Graph) -> dict[str, int]:
    """The same for every node whose values are numbers of rows, inputs moved about among them."""
    found: dict[str, int] = {}
    for node in reversed([*graph]):
        rows = found.get(node.name) if isinstance(node.layer, _MOVES) else None
        if isinstance(node.layer, Lookup):
            rows = len(node.layer.table)
        if rows is not None:
            for name in node.inputs:
                found[name] = min(rows, found.get(name, rows))
    return found


def random_inputs(graph: Graph, seed: int, batch: int = 2) -> dict[str, NDArray]:
    """Seeded normal input for every input of a graph: no symmetry for an error to hide in.

    Of single precision, in float64; where rows are looked up, numbers of rows.
    """
    rng, rows = np.random.default_rng(seed), numbers_of_rows(graph)
    found = {}
    for name in graph.inputs:
        shape = (batch, *graph.shapes[name])
        normal = name not in rows
        value = rng.standard_normal(shape) if normal else random_rows(rng, rows[name], shape)
        found[name] = value.astype(np.float32).astype(np.float64)
    return found


def random_rows(rng: np.random.Generator, rows: int, shape: tuple[int, ...]) -> NDArray:
    """Numbers of rows, float64."""
    return rng.integers(0, rows, shape).astype(np.float64)
