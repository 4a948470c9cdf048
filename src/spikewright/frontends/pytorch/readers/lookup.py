"""Rows of constant tables by number: embeddings of tokens, one-hot vectors."""

from __future__ import annotations

import numpy as np

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import Lookup


@reads("aten.embedding.default")
def _embedding(call: Call) -> Value:
    return call.add(Lookup(call.array("weight")), call.value("indices"))


@reads("aten.one_hot.default")
def _one_hot(call: Call) -> Value:
    classes = call["num_classes"]
    if classes < 1:
        raise Unreadable(
            "how many classes it has depends on the data", "Give one_hot the number of classes."
        )
    return call.add(Lookup(np.eye(classes)), call.value("self"))


def rows_of_constant(call: Call, numbers: Value) -> Value:
    """Rows of the operator's constant operand by computed numbers."""
    return call.add(Lookup(call.array("self")), numbers)
