"""Guards against values that are no number: IsNaN and IsInf, false of every real number."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Constant, Unreadable
from spikewright.frontends.reading.attention import HIDDEN
from spikewright.graph import Node
from spikewright.graph.layers import Activation, Divide, Identity, Permute, Reshape

_PARTIAL = ("log", "log_softmax", "power", "reciprocal", "sqrt")


@reads("IsNaN", "IsInf")
def is_no_number(node: OnnxNode) -> Constant:
    """False: where exporters guard a softmax, or anything that makes numbers of all numbers."""
    view = node.view(0)
    made = {made.name: made for made in node.builder.nodes}
    guarded = made[view.node]
    while isinstance(guarded.layer, Identity | Permute | Reshape):
        guarded = made[guarded.inputs[0]]
    layer = guarded.layer
    function = layer.function if isinstance(layer, Activation) else layer.kind
    if function in _PARTIAL or isinstance(layer, Divide):
        raise Unreadable(
            f"it asks where {function} has no value, which jumps there",
            "Keep its input where it has one, e.g. by adding a small number",
        )
    if function == "softmax" and _is_masked_everywhere(node, made, guarded):
        raise Unreadable(
            "it asks which rows of a softmax are masked everywhere, and some are",
            "Leave something of every row unmasked",
        )
    return Constant(tuple(np.broadcast_to(False, view.full(batch)) for batch in node.batches))


def _is_masked_everywhere(node: OnnxNode, made: dict[str, Node], softmax: Node) -> bool:
    """Whether a constant masks all that a softmax normalises together, anywhere."""
    (name,) = softmax.inputs
    shape, layer = node.builder.shapes[name], softmax.layer
    axis = layer.axis(len(shape)) if isinstance(layer, Activation) else -1
    shift = made[name].layer.arrays().get("shift")
    return shift is not None and bool(
        (np.broadcast_to(shift, shape) <= HIDDEN).all(axis=axis).any()
    )
