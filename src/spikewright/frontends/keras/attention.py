"""Attention layers, with weights of their own or without."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from spikewright.frontends.keras.affine import unbatched_constant
from spikewright.frontends.keras.einsum import dense
from spikewright.frontends.keras.registry import (
    Call,
    Unreadable,
    Value,
    array,
    plain_array,
    reads,
)
from spikewright.frontends.reading.arithmetic import product, scaled, total
from spikewright.frontends.reading.attention import (
    HEADS_INSIDE,
    Axes,
    attend,
    band,
    hiding,
    weighed,
)
from spikewright.frontends.reading.equation import parsed
from spikewright.frontends.reading.values import Operand
from spikewright.graph.layers import Activation, Reshape, Shape, Sum


def _masks(
    call: Call, rows: int, columns: int, window: int | None = None, axes: int = 1, rank: int = 3
) -> list[Operand]:
    """The masks of a layer, as terms of scores with `rank` axes; the last `axes` are the keys'."""
    masks: list[Operand] = []
    if call.arguments.get("use_causal_mask"):
        masks.append(band(rows, columns, after=0))
    if window is not None:
        masks.append(band(rows, columns, window - 1, window - 1))
    given = call.arguments.get("attention_mask")
    if given is not None:
        allowed = _constant_mask(given)
        before, own = allowed.shape[: -2 * axes], allowed.shape[-2 * axes :]
        missing = max(rank - allowed.ndim, 0)
        masks.append(hiding(allowed.reshape(*before, *(1,) * missing, *own)))
    return masks


def _constant_mask(given: Any) -> NDArray:
    if isinstance(given, Value):
        raise Unreadable(
            "its mask is computed from the data, and may hide every key of a query",
            "Use use_causal_mask=True, or a constant attention_mask",
        )
    found = plain_array(given).astype(bool)
    if found.ndim < 3:
        return found
    if len(found) != 1:
        raise Unreadable("its mask differs from sample to sample", "Use a batch axis of 1")
    return found[0]


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
    ranks = [len(x.shape) + 1 for x in (query, key, value)]
    (keys, queries), scores = parsed(layer._dot_product_equation, (ranks[1], ranks[0]))
    (_, values), result = parsed(layer._combine_equation, (len(scores), ranks[2]))
    axes = Axes(*(labels[1:] for labels in (queries, keys, values, scores, result)))
    window, over = getattr(layer, "_sliding_window", None), len(layer.attention_axes)
    masks = _masks(call, query.shape[0], value.shape[0], window, over, len(axes.scores))
    scale = 1.0 / math.sqrt(layer.key_dim)
    mixed, weights = attend(call, query, key, value, axes, scale, masks, part="mixed")
    return _combined(call, weights, mixed, bool(getattr(layer, "_use_gate", False)))


@reads("GroupedQueryAttention", arguments=_ARGUMENTS)
def grouped_query_attention(call: Call) -> Value | list[Value]:
    """Several queries share a key and a value (Ainslie et al. 2023)."""
    _refuse_masks(call)
    layer = call.layer
    query, key, value = _projected(call)
    masks = _masks(call, query.shape[0], key.shape[0], getattr(layer, "sliding_window", None))
    scale = 1.0 / math.sqrt(layer.head_dim)
    mixed, weights = attend(call, query, key, value, HEADS_INSIDE, scale, masks, part="mixed")
    return _combined(call, weights, mixed, bool(getattr(layer, "use_gate", False)))


@reads("Attention", "AdditiveAttention", arguments=_ARGUMENTS)
def attention(call: Call) -> Value | list[Value]:
    """Without weights but a scale; scores are products, or sums of tanh (Bahdanau et al. 2015)."""
    _refuse_masks(call)
    layer = call.layer
    query, value, *rest = call.inputs
    key, rank = rest[0] if rest else value, len(query.shape)
    axes, masks = Axes.of_rank(rank), _masks(call, query.shape[-2], value.shape[-2], rank=rank)
    if call.kind == "AdditiveAttention" or layer.score_mode == "concat":
        scores = _additive_scores(call, query, key)
        output, weights = weighed(call, scores, value, axes, masks)
    else:
        scale = 1.0 if layer.scale is None else float(array(layer.scale))
        output, weights = attend(call, query, key, value, axes, scale, masks)
    return [output, weights] if call.arguments.get("return_attention_scores") else output


def _additive_scores(call: Call, query: Value, key: Value) -> Value:
    layer = call.layer
    (*outer, rows, depth), columns = query.shape, key.shape[-2]
    wide: Shape = (*outer, rows, 1, depth)
    query = call.value(Reshape(wide), query, part="query")
    key = call.value(Reshape((*outer, 1, columns, depth)), key, part="key")
    pairs = total(call, query, key, part="pairs")
    additive = call.kind == "AdditiveAttention"

    def rescaled(x: Value) -> Value:
        return x if layer.scale is None else scaled(call, x, array(layer.scale), "scaled")

    bent = call.value(Activation("tanh"), pairs if additive else rescaled(pairs), part="tanh")
    pairs = rescaled(bent) if additive else bent
    if additive:
        return call.value(Sum((-1,)), pairs, part="scores")
    sums = call.value(Sum((-1,)), pairs, part="sums")
    return scaled(call, sums, array(layer.concat_score_weight), "scores")


@reads("ops.DotProductAttention")
def dot_product_attention(call: Call) -> Value:
    """Query, key and value as `(batch, length, heads, depth)`; the mask must be constant."""
    layer, given = call.layer, call.arguments
    query, key, value = (_sample(given[name], 3) for name in ("query", "key", "value"))
    if getattr(layer, "attn_logits_soft_cap", None) is not None:
        raise Unreadable("its scores are capped", "Leave attn_logits_soft_cap out")
    scale = given.get("scale")
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(array(scale))
    masks = [] if given.get("bias") is None else [_sample(given["bias"], 3)]
    if layer.is_causal:
        masks.append(band(query.shape[0], key.shape[0], after=0))
    if given.get("mask") is not None:
        masks.append(hiding(_constant_mask(given["mask"])))
    return attend(call, query, key, value, HEADS_INSIDE, factor, masks)[0]


def _sample(x: Any, rank: int) -> Operand:
    """A tensor, or a constant as every sample has it."""
    return x if isinstance(x, Value) else unbatched_constant(array(x), (1,) * rank)
