"""Rows of constant tables by whole numbers: embeddings of tokens, one-hot vectors."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Signal, Unreadable
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Lookup, Permute


def _numbers(node: OnnxNode, index: int) -> Signal:
    """The signal of whole numbers that rows are counted by; raises `Unreadable` for others."""
    value, view = node.inputs[index], node.view(index)
    if not (isinstance(value, Signal) and value.whole):
        raise Unreadable(
            f"its input {index} counts rows and is computed from real numbers, so that it jumps",
            "Count rows by an input of whole numbers",
        )
    return view


def rows_of_a_table(node: OnnxNode, axis: int) -> Signal:
    """Rows of a constant by whole numbers; their axes come behind those of the numbers."""
    numbers, table = _numbers(node, 1), node.constant(0)
    if table is None or not table.ndim or axis % table.ndim:
        raise Unreadable(
            f"it looks entries up along axis {axis} of a table",
            "Transpose it, and use axis 0",
        )
    return node.add(Lookup(np.asarray(table, np.float64)), numbers)


def values_of_a_row(node: OnnxNode, axis: int) -> Signal:
    """Values of a constant by whole numbers, the same constant for all samples."""
    view, numbers = node.view(1), _numbers(node, 1)
    table = node.per_sample(0, view)
    if table.ndim != 1 or view.full_axis(axis) != view.rank - 1:
        raise Unreadable(
            f"it looks values up along axis {axis} of a table of shape {table.shape} a sample",
            "Look them up in a vector, along the last axis",
        )
    return node.add(Lookup(np.asarray(table, np.float64)), numbers)


@reads("OneHot")
def one_hot(node: OnnxNode) -> Value:
    """A vector for each whole number, one value at its place and another elsewhere."""
    depth, values = node.constant(1), node.constant(2)
    if depth is None or values is None or int(np.ravel(depth)[0]) < 1:
        raise Unreadable("how many places it has must be a constant above 0")
    places = int(np.ravel(depth)[0])
    off, on = (float(value) for value in np.ravel(values))
    table, numbers, view = off + (on - off) * np.eye(places), _numbers(node, 0), node.view(0)
    made = view.rank + 1
    axis = int(node.attributes.get("axis", -1)) % made
    if axis == made - 1:
        return node.add(Lookup(table), numbers)
    lead = view.rank - len(view.shape)
    if axis < lead:
        raise Unreadable("its new axis comes before the batch", "Put it last, and transpose")
    at = axis - lead
    last = len(view.shape)
    order = (*range(at), last, *range(at, last))
    return node.chain(numbers, ("last", Lookup(table)), ("", Permute(order)))
