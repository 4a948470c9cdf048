"""Makes one activation of several layers that compute it together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikewright.graph import IDENTITY_FREE, Graph, Node
from spikewright.graph.layers import Activation, Add, Layer, Multiply, ScaleShift
from spikewright.passes.base import Note, Pass, PassResult
from spikewright.passes.draft import Draft

_GRID = np.linspace(-8.0, 8.0, 257)
_CLOSE = 1e-6  # of the largest value: files hold constants such as 1/sqrt(2) in float32
_MOST = 10  # layers that an activation is written in


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
        draft, notes = Draft(graph), []
        for node in draft:
            found = _recognised(draft, node)
            if found is not None:
                source, inner, layer = found
                draft.collapse(node.name, layer, source, inner)
                parts = ", ".join(map(repr, inner)) or "a product with itself"
                notes.append(Note(node.name, f"is {layer.function}: made one of it and {parts}"))
        return PassResult(draft.finish(), tuple(notes))


def _recognised(draft: Draft, top: Node) -> tuple[str, list[str], Activation] | None:
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


def _below(draft: Draft, node: Node) -> Node:
    """The node itself, or for a scalar multiple the node that it multiplies."""
    return draft[node.inputs[0]] if _is_scalar(node.layer) else node


def _is_scalar(layer: Layer) -> bool:
    """Whether a layer is `a x + b` with numbers a and b."""
    return isinstance(layer, ScaleShift) and all(a.size == 1 for a in layer.arrays().values())


def _is_elementwise(layer: Layer) -> bool:
    curve = isinstance(layer, Activation) and layer.elementwise
    return curve or isinstance(layer, Add | Multiply) or _is_scalar(layer)


def _candidates(draft: Draft, top: Node) -> Iterator[str]:
    """The values that a node depends on, nearest first, through elementwise layers."""
    seen = {top.name}
    front = list(top.inputs)
    while front and len(seen) <= _MOST:
        name = front.pop(0)
        if name in seen:
            continue
        seen.add(name)
        if draft.shape(name) != draft.shape(top.name):
            return
        yield name
        if _is_elementwise(draft[name].layer):
            front += draft[name].inputs


def _between(draft: Draft, top: Node, source: str) -> list[str] | None:
    """The layers from `source` to `top`, if `top` depends on nothing else and no one reads them."""
    inner: list[str] = []
    front = [name for name in top.inputs if name != source]
    while front:
        name = front.pop()
        if name in inner:
            continue
        node = draft[name]
        if not _is_elementwise(node.layer) or draft.is_output(name) or len(inner) == _MOST:
            return None
        inner.append(name)
        front += [read for read in node.inputs if read != source]
    known = {top.name, *inner}
    private = all(user.name in known for name in inner for user in draft.consumers(name))
    return inner if private else None


def _activation(draft: Draft, top: Node, source: str, inner: list[str]) -> Activation | None:
    """The activation that these layers compute together, or None."""
    found = _evaluated(draft, top.name, {source: _GRID})
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


def _evaluated(draft: Draft, name: str, known: dict[str, NDArray]) -> NDArray:
    """A node's values where those of some nodes are known."""
    if name not in known:
        node = draft[name]
        values = [_evaluated(draft, read, known) for read in node.inputs]
        layer = _flat(node.layer) if isinstance(node.layer, ScaleShift) else node.layer
        with np.errstate(all="ignore"):  # a logarithm, say, of a closed gate's zero
            known[name] = layer.evaluate(*values)
    return known[name]


def _flat(layer: ScaleShift) -> ScaleShift:
    """The same for values without axes."""
    return ScaleShift(
        *(None if part is None else part.reshape(()) for part in (layer.scale, layer.shift))
    )
