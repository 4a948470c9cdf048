"""Merges affine layers that follow each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import CANONICAL, Graph, GraphNode
from spikewright.graph.layers import Affine, ScaleShift
from spikewright.passes.base import Note, Pass, PassResult
from spikewright.passes.draft import Draft, absorb_into_consumers, absorb_into_producer


@dataclass(frozen=True)
class MergeAffine(Pass):
    """Merges neighbours, until no rule applies. "Alone" means that nothing else sees the value.

    1. `ScaleShift` after a `ScaleShift` that it reads alone: one `ScaleShift`.
    2. `ScaleShift` per output channel after an `Affine`, `Convolution` or `ConvolutionTranspose`
       that it reads alone: into its weights.
    3. `ScaleShift` per input channel before `Affine` and `Convolution` alone: into their weights,
       unless a shift would have to pass zero padding, or an input's features are of different
       units: their scales lie more than 16 times apart.
    4. `Affine` after an `Affine` that it reads alone: their product, unless that has more weights
       than the two.

    The node that is left is named after the last of the two, whose value it has; in rule 3 after
    the layers that took the scale in.
    Exact, in float64: outputs stay within 1e-9 of the largest magnitude along the way.
    """

    name = "merge affine"
    requires = CANONICAL
    ensures = CANONICAL

    def rewrite(self, graph: Graph) -> PassResult:
        """See the class."""
        draft, notes = Draft(graph), list[Note]()
        while found := [note for node in draft if (note := _merge(draft, node)) is not None]:
            notes += found
        return PassResult(draft.finish(), tuple(notes))


def _merge(draft: Draft, node: GraphNode) -> Note | None:
    """Apply the first rule that fits a node, if any; every application removes a node."""
    match node.layer:
        case ScaleShift():
            return (
                _join_scales(draft, node, node.layer)
                or absorb_into_producer(draft, node)
                or absorb_into_consumers(draft, node)
            )
        case Affine():
            return _join_affines(draft, node, node.layer)
    return None


def _join_scales(draft: Draft, node: GraphNode, outer: ScaleShift) -> Note | None:
    """Rule 1: `s2 (s1 x + t1) + t2 = (s2 s1) x + (s2 t1 + t2)`."""
    producer = draft.private_producer(node)
    if producer is None or not isinstance(producer.layer, ScaleShift):
        return None
    inner = producer.layer
    shift = _product(outer.scale, inner.shift) if inner.shift is not None else None
    if outer.shift is not None:
        shift = np.asarray(outer.shift, np.float64) + (0.0 if shift is None else shift)
    draft.set_layer(node.name, ScaleShift(_product(outer.scale, inner.scale), shift))
    draft.drop(producer.name, into=node.name)
    return Note(node.name, f"merged with the scale and shift {producer.name!r} before it")


def _product(a: NDArray | None, b: NDArray | None) -> NDArray | None:
    """`a b` in float64, where None is one."""
    known = [np.asarray(factor, np.float64) for factor in (a, b) if factor is not None]
    return np.multiply(*known) if len(known) == 2 else next(iter(known), None)


def _join_affines(draft: Draft, node: GraphNode, outer: Affine) -> Note | None:
    """Rule 4: `W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2)`."""
    producer = draft.private_producer(node)
    if producer is None or not isinstance(producer.layer, Affine):
        return None
    inner = producer.layer
    if outer.weight.shape[0] * inner.weight.shape[1] > outer.weight.size + inner.weight.size:
        return None
    second = np.asarray(outer.weight, np.float64)
    bias = outer.bias
    if inner.bias is not None:
        carried = second @ np.asarray(inner.bias, np.float64)
        bias = carried if bias is None else carried + bias
    draft.set_layer(node.name, Affine(second @ np.asarray(inner.weight, np.float64), bias))
    draft.drop(producer.name, into=node.name)
    return Note(node.name, f"merged with the affine layer {producer.name!r} before it")
