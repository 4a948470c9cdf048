"""Guards against values that are no number: IsNaN and IsInf, false of every real number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Constant, Unreadable
from spikewright.frontends.reading.attention import HIDDEN
from spikewright.graph import Node
from spikewright.graph.layers import Activation, Divide, Identity, Permute, Reshape

_PARTIAL = ("log", "log_softmax", "power", "reciprocal", "sqrt")


@reads("IsNaN", "IsInf")
def is_no_number(node: OnnxNode) -> Constant:
    """False: where exporters guard a softmax, or anything that makes numbers of all numbers.

    The rows of a softmax that a constant masks everywhere are no numbers.
    """
    view = node.view(0)
    made = {made.name: made for made in node.builder.nodes}
    guarded, moved = made[view.node], False
    while isinstance(guarded.layer, Identity | Permute | Reshape):
        moved = moved or not isinstance(guarded.layer, Identity)
        guarded = made[guarded.inputs[0]]
    layer = guarded.layer
    function = layer.function if isinstance(layer, Activation) else layer.kind
    if function in _PARTIAL or isinstance(layer, Divide):
        raise Unreadable(
            f"it asks where {function} has no value, which jumps there",
            "Keep its input where it has one, e.g. by adding a small number",
        )
    none = np.zeros(view.shape, bool)
    if function == "softmax" and node.kind == "IsNaN":
        none |= _masked_everywhere(node, made, guarded, moved)
    return Constant(none.reshape(view.full))


def _masked_everywhere(
    node: OnnxNode, made: dict[str, Node], softmax: Node, moved: bool
) -> NDArray:
    """True for the rows of a softmax that a constant masks everywhere.

    Raises `Unreadable` where there are some and they are moved behind the softmax.
    """
    (name,) = softmax.inputs
    shape, layer = node.builder.shapes[name], softmax.layer
    axis = layer.axis(len(shape)) if isinstance(layer, Activation) else -1
    shift = made[name].layer.arrays().get("shift", np.zeros(()))
    found = np.all(np.broadcast_to(shift, shape) <= HIDDEN, axis=axis, keepdims=True)
    if found.any() and moved:
        raise Unreadable(
            "it asks which rows of a softmax are masked everywhere, and some are",
            "Leave something of every row unmasked",
        )
    return np.zeros((), bool) if moved else np.asarray(found)
