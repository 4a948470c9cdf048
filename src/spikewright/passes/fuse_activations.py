"""Makes one activation of several layers that compute it together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from spikewright.graph import IDENTITY_FREE, Graph, GraphNode
from spikewright.graph.elementwise_parts import below, between, evaluated, is_scalar
from spikewright.graph.layers import Activation, Add, Layer, Multiply, ScaleShift
from spikewright.passes.base import GraphRewriter, Note, Pass, PassResult

_GRID = np.linspace(-8.0, 8.0, 257)
_CLOSE = 1e-6  # of the largest value: files hold constants such as 1/sqrt(2) in float32
_MOST = 10  # layers that an activation is written in
_KINDS = (Add, Multiply)


@dataclass(frozen=True)
class FuseActivations(Pass):
    """Recognises gated activations that a file holds as their parts.

    A product (or a scalar multiple of one) that depends on a single value, through layers that
    nothing else reads, is one elementwise function of it. Where that function is `silu` (with any
    `beta`), `gelu`, `gelu_tanh`, `hard_swish` or `mish`, to 1e-6 of the largest value between -8
    and 8, it becomes that activation: however it was written, it is recognised by its values. As
    one activation it takes one population in place of two and a product between them.
    """

    name = "fuse activations"
    requires = IDENTITY_FREE
    ensures = IDENTITY_FREE

    def rewrite(self, graph: Graph) -> PassResult:
        """See the class."""
        draft, notes = GraphRewriter(graph), []
        for node in draft:
            found = _recognised(draft, node)
            if found is not None:
                source, inner, layer = found
                draft.collapse(node.name, layer, source, inner)
                parts = ", ".join(map(repr, inner)) or "a product with itself"
                notes.append(Note(node.name, f"is {layer.function}: made one of it and {parts}"))
        return PassResult(draft.finish(), tuple(notes))


def _recognised(draft: GraphRewriter, top: GraphNode) -> tuple[str, list[str], Activation] | None:
    """The input of an activation that ends at a node, the layers between, and it; or None."""
    if not isinstance(_below(draft, top).layer, Multiply):
        return None
    for source in _candidates(draft, top):
        inner = _between(draft, top, source)
        if inner is None:
            continue
        layer = _activation(draft, top, source, inner)
        if layer is not None:
            return source, inner, layer
    return None


def _below(draft: GraphRewriter, node: GraphNode) -> GraphNode:
    """The node itself, or for a scalar multiple the node that it multiplies."""
    return draft[node.inputs[0]] if is_scalar(node.layer) else node


def _candidates(draft: GraphRewriter, top: GraphNode) -> Iterator[str]:
    """The values of a node's shape that it depends on by elementwise layers, nearest first."""
    shape = draft.shape(top.name)
    return takewhile(lambda name: draft.shape(name) == shape, below(draft, top, _KINDS, _MOST))


def _between(draft: GraphRewriter, top: GraphNode, source: str) -> list[str] | None:
    """The layers from `source` to `top`, if `top` depends on nothing else and no one reads them."""

    def readers(name: str) -> list[str]:
        return [user.name for user in draft.consumers(name)]

    return between(
        draft, readers, draft.is_output, top=top, source=source, kinds=_KINDS, most=_MOST
    )


def _activation(
    draft: GraphRewriter, top: GraphNode, source: str, inner: list[str]
) -> Activation | None:
    """The activation that these layers compute together, or None."""
    found = evaluated(draft, top.name, {source: _GRID})
    slopes = sorted({1.0}.union(*(_slopes(draft[name].layer) for name in inner)))
    for layer in (
        *(Activation("silu", {} if beta == 1 else {"beta": beta}) for beta in slopes),
        *map(Activation, ("gelu", "gelu_tanh", "hard_swish", "mish")),
    ):
        expected = layer.evaluate(_GRID)
        if np.abs(found - expected).max() <= _CLOSE * np.abs(expected).max():
            return layer
    return None


def _slopes(layer: Layer) -> set[float]:
    """The factor of a scalar multiple: the values that `beta` may have."""
    if isinstance(layer, ScaleShift) and layer.scale is not None:
        return {float(layer.scale.ravel()[0])}
    return set()
