"""Attention: products of queries and keys, softmax, products with values (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.keras.affine import unbatched_constant
from spikewright.frontends.keras.einsum import by_equation, dense
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    array,
    plain_array,
    reads,
)
from spikewright.frontends.reading.arithmetic import product, scaled, total
from spikewright.graph.layers import (
    Activation,
    MatMul,
    Reshape,
    Shape,
    Sum,
    UpsampleNearest,
)

_MASKED = -1e9
"""Added to the scores of masked keys, as Keras does: its share of a softmax is then zero."""


def _softmax(call: Call, scores: Value, axes: tuple[int, ...], part: str) -> Value:
    if len(axes) == 1:
        return call.value(Activation("softmax", {"axis": axes[0]}), scores, part=part)
    shape, rank = scores.shape, len(scores.shape) - len(axes)
    flat = (*shape[:rank], math.prod(shape[rank:]))
    merged = call.value(Reshape(flat), scores, part=f"{part}/merged")
    made = call.value(Activation("softmax"), merged, part=f"{part}/softmax")
    return call.value(Reshape(shape), made, part=part)


def _mask(call: Call, rows: int, columns: int, window: int | None) -> NDArray | None:
    """The mask `(queries, keys)`: True where a query may look; None where all is True."""
    allowed = np.ones((rows, columns), bool)
    if call.arguments.get("use_causal_mask"):
        allowed &= np.tril(allowed)
    if window is not None:
        offset = np.arange(rows)[:, None] - np.arange(columns)[None, :]
        allowed &= np.abs(offset) < window
    given = call.arguments.get("attention_mask")
    if given is not None:
        allowed = allowed & _constant_mask(given)
    if allowed.all():
        return None
    if not allowed.any(axis=-1).all():
        raise Unreadable(
            "its mask leaves a query nothing to look at", "Let every query see at least one key"
        )
    return allowed


def _constant_mask(given: Any) -> NDArray:
    if isinstance(given, Value):
        raise Unreadable(
            "its mask is computed from the data, and the graph holds no truth values",
            "Use use_causal_mask=True, or a constant attention_mask",
        )
    found = plain_array(given).astype(bool)
    if found.ndim < 3:
        return found
    if len(found) != 1:
        raise Unreadable("its mask differs from sample to sample", "Use a batch axis of 1")
    return found[0]


def _masked(call: Call, scores: Value, allowed: NDArray | None, axes: int) -> Value:
    """Scores, those of masked keys so small that they take no part."""
    if allowed is None:
        return scores
    if axes != 1:
        raise Unreadable(
            f"it has a mask and attends over {axes} axes at once", "Reshape them to one axis"
        )
    missing = len(scores.shape) - allowed.ndim
    allowed = allowed.reshape(*allowed.shape[:-2], *(1,) * missing, *allowed.shape[-2:])
    return total(call, scores, np.where(allowed, 0.0, _MASKED), part="masked")


def _refuse_masks(call: Call) -> None:
    for name in ("query_mask", "value_mask", "key_mask", "mask"):
        given = call.arguments.get(name)
        if given is not None and not (
            isinstance(given, list | tuple) and not any(mask is not None for mask in given)
        ):
            raise Unreadable(
                f"it is called with the argument {name!r}: the mask depends on the data",
                f"Leave {name!r} out, or use use_causal_mask=True",
            )


_ARGUMENTS = (
    "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask",
    "return_attention_scores", "use_causal_mask", "mask",
)  # fmt: skip


def _projected(call: Call) -> tuple[Value, Value, Value]:
    """Query, key and value after their dense layers."""
    layer, given = call.layer, call.arguments
    key = given["value"] if given.get("key") is None else given["key"]
    return (
        dense(call, layer._query_dense, given["query"], "query"),
        dense(call, layer._key_dense, key, "key"),
        dense(call, layer._value_dense, given["value"], "value"),
    )


def _combined(call: Call, weights: Value, mixed: Value, gated: bool) -> Value | list[Value]:
    """The output's dense layer, and the weights where the call asks for them."""
    if gated:
        gate = dense(call, call.layer._gate_dense, call.arguments["query"], "gate")
        mixed = product(call, mixed, gate, "gated")
    output = dense(call, call.layer._output_dense, mixed)
    return [output, weights] if call.arguments.get("return_attention_scores") else output


@reads("MultiHeadAttention", arguments=_ARGUMENTS)
def multi_head_attention(call: Call) -> Value | list[Value]:
    """Self and cross attention over any axes; masks must be constant."""
    _refuse_masks(call)
    layer = call.layer
    query, key, value = _projected(call)
    query = scaled(call, query, np.array(1.0 / math.sqrt(layer.key_dim)), "scaled_query")
    scores = by_equation(call, layer._dot_product_equation, key, query, part="scores")
    axes = len(layer.attention_axes)
    allowed = _mask(call, query.shape[0], value.shape[0], getattr(layer, "_sliding_window", None))
    scores = _masked(call, scores, allowed, axes)
    rank = len(scores.shape)
    weights = _softmax(call, scores, tuple(range(rank - axes, rank)), "weights")
    mixed = by_equation(call, layer._combine_equation, weights, value, part="mixed")
    return _combined(call, weights, mixed, bool(getattr(layer, "_use_gate", False)))


@reads("GroupedQueryAttention", arguments=_ARGUMENTS)
def grouped_query_attention(call: Call) -> Value | list[Value]:
    """Several queries share a key and a value (Ainslie et al. 2023)."""
    _refuse_masks(call)
    layer = call.layer
    query, key, value = _projected(call)
    query = scaled(call, query, np.array(1.0 / math.sqrt(layer.head_dim)), "scaled_query")
    shared = UpsampleNearest((1, layer.num_query_heads // layer.num_key_value_heads, 1))
    key, value = (
        call.value(shared, each, part=part)
        for each, part in ((key, "shared_key"), (value, "shared_value"))
    )
    scores = by_equation(call, "bquh,bkuh->buqk", query, key, part="scores")
    allowed = _mask(call, query.shape[0], key.shape[0], getattr(layer, "sliding_window", None))
    weights = _softmax(call, _masked(call, scores, allowed, 1), (2,), "weights")
    mixed = by_equation(call, "buqk,bkuh->bquh", weights, value, part="mixed")
    return _combined(call, weights, mixed, bool(getattr(layer, "use_gate", False)))


@reads("Attention", "AdditiveAttention", arguments=_ARGUMENTS)
def attention(call: Call) -> Value | list[Value]:
    """Without weights but a scale; scores are products, or sums of tanh (Bahdanau et al. 2015)."""
    _refuse_masks(call)
    layer = call.layer
    query, value, *rest = call.inputs
    key = rest[0] if rest else value
    if call.kind == "AdditiveAttention" or layer.score_mode == "concat":
        scores = _additive_scores(call, query, key)
    else:
        scores = call.value(MatMul(transpose_b=True), query, key, part="scores")
        if layer.scale is not None:
            scores = scaled(call, scores, array(layer.scale), "scaled")
    allowed = _mask(call, query.shape[-2], value.shape[-2], None)
    rank = len(scores.shape)
    weights = _softmax(call, _masked(call, scores, allowed, 1), (rank - 1,), "weights")
    output = call.value(MatMul(), weights, value)
    return [output, weights] if call.arguments.get("return_attention_scores") else output


def _additive_scores(call: Call, query: Value, key: Value) -> Value:
    layer = call.layer
    (*outer, rows, depth), columns = query.shape, key.shape[-2]
    wide: Shape = (*outer, rows, 1, depth)
    query = call.value(Reshape(wide), query, part="query")
    key = call.value(Reshape((*outer, 1, columns, depth)), key, part="key")
    pairs = total(call, query, key, part="pairs")
    scale = None if layer.scale is None else array(layer.scale)
    additive = call.kind == "AdditiveAttention"
    if scale is not None and not additive:
        pairs = scaled(call, pairs, scale, "scaled")
    pairs = call.value(Activation("tanh"), pairs, part="tanh")
    if scale is not None and additive:
        pairs = scaled(call, pairs, scale, "scaled")
    if additive:
        return call.value(Sum((-1,)), pairs, part="scores")
    sums = call.value(Sum((-1,)), pairs, part="sums")
    return scaled(call, sums, array(layer.concat_score_weight), "scores")


@reads("ops.DotProductAttention")
def dot_product_attention(call: Call) -> Value:
    """Query, key and value as `(batch, length, heads, depth)`; mask and bias must be constant."""
    layer, given = call.layer, call.arguments
    query, key, value = (given[name] for name in ("query", "key", "value"))
    if not all(isinstance(each, Value) for each in (query, key, value)):
        raise Unreadable("one of query, key and value is constant", "Use keras.ops.einsum")
    if getattr(layer, "attn_logits_soft_cap", None) is not None:
        raise Unreadable("its scores are capped", "Leave attn_logits_soft_cap out")
    heads, fewer = query.shape[1], key.shape[1]
    if heads != fewer:
        shared = UpsampleNearest((1, heads // fewer, 1))
        key, value = (call.value(shared, each, part="shared") for each in (key, value))
    scale = given.get("scale")
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(array(scale))
    query = scaled(call, query, np.array(factor), "scaled_query")
    scores = by_equation(call, "btnh,bsnh->bnts", query, key, part="scores")
    bias = given.get("bias")
    if isinstance(bias, Value):
        scores = total(call, scores, bias, part="biased")
    elif bias is not None:
        scores = total(call, scores, unbatched_constant(array(bias), scores.shape), part="biased")
    allowed = np.ones(scores.shape[-2:], bool)
    if layer.is_causal:
        allowed = np.tril(allowed)
    if given.get("mask") is not None:
        allowed = allowed & _constant_mask(given["mask"])
    scores = _masked(call, scores, None if allowed.all() else allowed, 1)
    weights = _softmax(call, scores, (2,), "weights")
    return by_equation(call, "bnts,bsnh->btnh", weights, value)
