"""Scaled dot-product attention, from matrix products and a softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.contraction import contract
from spikewright.frontends.pytorch.readers.activation import softmax
from spikewright.frontends.pytorch.readers.arithmetic import combine, masked
from spikewright.frontends.pytorch.readers.products import rank_of
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import ScaleShift, UpsampleNearest


@reads(
    "aten.scaled_dot_product_attention.default",
    "aten._scaled_dot_product_flash_attention_for_cpu.default",
)
def _attention(call: Call) -> Any:
    if call["dropout_p"]:
        raise Cannot(
            f"it drops attention weights at random (dropout_p={call['dropout_p']})",
            "Give dropout_p=0.0 in evaluation mode.",
        )
    query, key, value = call["query"], call["key"], call["value"]
    if call.get("enable_gqa"):
        key, value = (_grouped(call, x, query, n) for x, n in ((key, "key"), (value, "value")))
    rank = max(rank_of(query), rank_of(key), rank_of(value))
    lead = tuple(range(-rank, -2))
    q, k, v = ((x, lead[rank - rank_of(x) :]) for x in (query, key, value))
    scores = contract(
        call,
        [(q[0], (*q[1], "row", "width")), (k[0], (*k[1], "column", "width"))],
        (*lead, "row", "column"),
        "scores",
    )
    width = _extent(query, -1)
    scale = call.get("scale")
    factor = 1 / math.sqrt(width) if scale is None else float(scale)
    scores = call.add(ScaleShift(np.asarray(factor)), scores, part="scaled")
    scores = _restricted(call, scores, _extent(query, -2), _extent(key, -2))
    weights = softmax(call, scores, -1, "weights")
    result = contract(
        call,
        [(weights, (*lead, "row", "column")), (v[0], (*v[1], "column", "value"))],
        (*lead, "row", "value"),
    )
    several = isinstance(call.results, tuple | list)
    return (result, *[None] * (len(call.results) - 1)) if several else result


def _extent(operand: Any, axis: int) -> int:
    if isinstance(operand, Value):
        return operand.known_shape[axis]
    return int(operand.shape[axis])


def _grouped(call: Call, x: Any, query: Any, name: str) -> Any:
    """Keys or values repeated for every head of the queries."""
    if not isinstance(x, Value):
        raise Cannot("grouped attention is read where queries, keys and values depend on the input")
    times = _extent(query, -3) // _extent(x, -3)
    factors = [1] * len(x.known_shape)
    factors[-3] = times
    return x if times == 1 else call.add(UpsampleNearest(tuple(factors)), x, part=f"{name}/heads")


def _restricted(call: Call, scores: Value, rows: int, columns: int) -> Value:
    """Scores with the mask: added, or minus infinity where attention is not allowed."""
    if call["is_causal"]:
        allowed = torch.ones(rows, columns, dtype=torch.bool).tril()
        return masked(call, scores, ~allowed)
    mask = call.get("attn_mask")
    if mask is None:
        return scores
    if isinstance(mask, Value):
        return combine(call, scores, 1, mask, 1, "mask")
    if mask.dtype == torch.bool:
        return masked(call, scores, ~mask)
    return combine(call, scores, 1, mask, 1, "mask")
