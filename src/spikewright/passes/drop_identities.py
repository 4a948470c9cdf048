"""Drops the layers that change nothing."""

from __future__ import annotations

from dataclasses import dataclass

from spikewright.graph import IDENTITY_FREE, IMPORTED, Graph
from spikewright.graph.layers import (
    Activation,
    AdaptiveAveragePool,
    Add,
    AveragePool,
    Broadcast,
    Concatenate,
    Crop,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    Layer,
    Maximum,
    MaxPool,
    Minimum,
    Multiply,
    Pad,
    Permute,
    Reshape,
    ScaleShift,
    Shape,
    Slice,
    Sum,
    Tile,
    UpsampleNearest,
    ZeroPad,
)
from spikewright.passes.base import GraphRewriter, Note, Pass, PassResult


@dataclass(frozen=True)
class DropIdentities(Pass):
    """Removes every layer whose output is its input, bit for bit.

    1. `Identity` (dropout and noise at inference) and the activation `linear`.
    2. A reshape, permutation, padding, crop, slice or repetition that leaves the shape as it was.
    3. Pooling over windows of one value; pooling and sums over no axis.
    4. A sum, concatenation, product or extremum of one input; a scale and shift with neither.

    Readers of the removed layer read its input. An output stays an output under its name, even if
    its value then is an input of the graph.
    """

    name = "drop identities"
    requires = IMPORTED
    ensures = IDENTITY_FREE

    def rewrite(self, graph: Graph) -> PassResult:
        """See the class."""
        draft, notes = GraphRewriter(graph), []
        for node in draft:
            reason = _why_identity(node.layer, tuple(map(draft.shape, node.inputs)))
            if reason is not None:
                (source,) = node.inputs
                draft.drop(node.name, into=source)
                notes.append(Note(node.name, f"dropped: {reason}"))
        return PassResult(draft.finish(), tuple(notes))


def _why_identity(layer: Layer, shapes: tuple[Shape, ...]) -> str | None:
    """The reason why a layer on inputs of these shapes changes nothing, or None if it may."""
    match layer:
        case Identity():
            return "an identity"
        case Activation(function="linear"):
            return "a linear activation is an identity"
        case Reshape() | Crop() | ZeroPad() | Pad() | Tile() | Broadcast() if (
            layer.output_shape(*shapes) == shapes[0]
        ):
            return f"{layer.kind} leaves the shape {shapes[0]} as it is"
        case Slice(ranges) if ranges == tuple((0, n, 1) for n in shapes[0]):
            return f"Slice leaves the shape {shapes[0]} as it is"
        case Permute(axes) if axes == tuple(range(len(axes))):
            return "Permute leaves the axes in order"
        case UpsampleNearest(factors) if all(factor == 1 for factor in factors):
            return "UpsampleNearest repeats nothing"
        case AveragePool() | MaxPool() if set(layer.size) == set(layer.stride) == {1}:
            return f"{layer.kind} over windows of one value"
        case AdaptiveAveragePool() if layer.output_shape(*shapes) == shapes[0]:
            return "AdaptiveAveragePool over windows of one value"
        case GlobalAveragePool(axes=()) | GlobalMaxPool(axes=()) | Sum(axes=()):
            return f"{layer.kind} over no axis"
        case Add() | Concatenate() | Multiply() | Maximum() | Minimum() if len(shapes) == 1:
            return f"{layer.kind} of one input"
        case ScaleShift(scale=None, shift=None):
            return "ScaleShift with neither"
    return None
