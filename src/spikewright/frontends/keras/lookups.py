"""Rows of tables by number: embeddings of tokens, and similar layers."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.keras.choices import unequal_to
from spikewright.frontends.keras.quantized import note_inputs, reversed_table_of, table_of
from spikewright.frontends.keras.registry import Call, Unreadable, Value, array, reads
from spikewright.frontends.reading.reductions import reduced
from spikewright.frontends.reading.spending import afford
from spikewright.graph.layers import (
    Activation,
    Affine,
    Identity,
    Layer,
    Lookup,
    Multiply,
    ScaleShift,
)


@reads("Embedding")
def embedding(call: Call) -> Value:
    """The row of each number."""
    return call.add(Lookup(table_of(call.layer)))


@reads("Masking")
def masking(call: Call) -> Value:
    """Steps all of whose values are a given number, as zeros; the layers behind it skip them."""
    (x,) = call.inputs
    if call.layer.mask_value == 0:
        return call.add(Identity())
    unequal = unequal_to(call, x, array(call.layer.mask_value), "unequal")
    kept = reduced(call, unequal, "max", (len(x.shape) - 1,), True, "mask")
    return call.add(Multiply(), x, call.expand(kept, x.shape))


@reads("ReversibleEmbedding", arguments=("reverse",))
def reversible_embedding(call: Call) -> Value:
    """The row of each number, or (in reverse) the products of a value with all rows."""
    layer = call.layer
    if not call.arguments.get("reverse"):
        return call.add(Lookup(table_of(layer)))
    note_inputs(call.builder, layer, call.source)
    rows = reversed_table_of(layer).T
    cap = layer.logit_soft_cap
    steps: list[tuple[str, Layer]] = [("", Affine(rows))]
    if cap is not None:
        steps = [
            ("logits", Affine(rows)),
            ("scaled", ScaleShift(np.array(1.0 / cap))),
            ("bounded", Activation("tanh")),
            ("", ScaleShift(np.array(float(cap)))),
        ]
    (value,) = call.inputs
    for part, step in steps:
        value = call.add(step, value, part=part)
    return value


@reads("ops.OneHot")
def one_hot(call: Call) -> Value:
    """The row of a unit matrix."""
    layer = call.layer
    if layer.axis not in (-1, len(call.shape) + 1):
        raise Unreadable(f"its new axis is {layer.axis}", "Put it last, axis=-1, and transpose")
    afford(int(layer.num_classes) ** 2)
    return call.add(Lookup(np.eye(layer.num_classes)))
