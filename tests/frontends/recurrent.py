"""Helpers of the tests of sequences: random cells, and graphs that run them along one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.source import GraphBuilder
from spikewright.frontends.unrolling import (
    CellProduct,
    GRUCell,
    LSTMCell,
    SimpleCell,
    UnrolledCell,
    keeping_recurrence,
    stack,
    unroll,
)
from spikewright.graph import Graph
from spikewright.graph.layers import Activation, Affine, Layer

TIME, INPUTS, UNITS = 6, 3, 8


def function(name: str) -> tuple[tuple[str, Layer], ...]:
    """An activation as cells take it."""
    return (("", Activation(name)),)


def cell_of(kind: str, seed: int = 0) -> UnrolledCell:
    """A random cell of a kind, which forgets."""
    rng = np.random.default_rng(seed)

    def linear(n: int) -> CellProduct:
        return CellProduct(
            rng.normal(size=(n, INPUTS)) / np.sqrt(INPUTS),
            0.8 * rng.normal(size=(n, UNITS)) / np.sqrt(UNITS),
            0.3 * rng.normal(size=n),
        )

    sigmoid, tanh = function("sigmoid"), function("tanh")
    if kind in ("tanh", "relu"):
        return SimpleCell(linear(UNITS), function(kind))
    if kind.startswith("gru"):
        after = kind.endswith("after")
        inner = 0.3 * rng.normal(size=UNITS) if after else None
        return GRUCell(linear(2 * UNITS), linear(UNITS), sigmoid, tanh, after, inner)
    seen = 0.3 * rng.normal(size=(3, UNITS)) if kind.endswith("peepholes") else None
    return LSTMCell(linear(3 * UNITS), linear(UNITS), sigmoid, tanh, tanh, seen)


def graph_of(cell: UnrolledCell, time: int = TIME, kept: bool = True) -> Graph:
    """A cell over a sequence: all of its outputs, and weights behind the last."""
    builder = GraphBuilder()

    def add(layer: Layer, *inputs: str, part: str = "") -> str:
        name = builder.add(f"rnn/{part}" if part else "rnn", layer, *inputs, source="rnn")
        assert name is not None
        return name

    def both() -> tuple[str, str]:
        made = unroll(add, cell, builder.input("x", (time, INPUTS)), time)
        return stack(add, made.outputs, (UNITS,)), made.outputs[-1]

    if kept:
        with keeping_recurrence():
            whole, last = both()
    else:
        whole, last = both()
    weight = np.random.default_rng(9).normal(size=(5, UNITS)) / np.sqrt(UNITS)
    return builder.build({"all": whole, "end": builder.add("end", Affine(weight), last)})


def samples(batch: int = 4, time: int = TIME, inputs: int = INPUTS, seed: int = 1) -> NDArray:
    """Random sequences."""
    return np.random.default_rng(seed).normal(size=(batch, time, inputs))


def error(found: NDArray, wanted: NDArray) -> float:
    """Relative, over everything."""
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
