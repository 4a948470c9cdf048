"""Attention layers, with weights of their own or without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.keras.choices import truth_of
from spikewright.frontends.keras.reductions import einsum_layer
from spikewright.frontends.keras.registry import (
    KerasCall,
    UnsupportedOp,
    Value,
    array,
    plain_array,
    reads,
)
from spikewright.frontends.keras.running import unbatched_constant
from spikewright.frontends.keras.traversal import flatten
from spikewright.frontends.reading.arithmetic import extremum, product, scaled, softmax, total
from spikewright.frontends.reading.call import Operand
from spikewright.frontends.reading.products import (
    HEADS_INSIDE,
    Axes,
    attend,
    band,
    hidden_unless,
    hiding,
    masked,
    parsed,
    weighed,
)
from spikewright.graph.layers import Activation, Reshape, Shape, Sum


class _Hiding(NamedTuple):
    """Masks that hide keys: those added to scores, and truth values that depend on the data.

    Where there are such, constant masks are among them: a query that sees no key then weighs all
    alike, as in Keras.
    """

    masks: Sequence[Operand]
    allowed: Value | None = None


def _hiding(
    call: KerasCall,
    rows: int,
    columns: int,
    window: int | None = None,
    axes: int = 1,
    rank: int = 3,
) -> _Hiding:
    """The masks of a layer for scores with `rank` axes; the last `axes` are the keys'."""
    masks: list[NDArray] = []
    if call.arguments.get("use_causal_mask"):
        masks.append(band(rows, columns, after=0))
    if window is not None:
        masks.append(band(rows, columns, window - 1, window - 1))
    given = call.arguments.get("attention_mask")
    if given is not None and not isinstance(given, Value):
        allowed = _constant_mask(given)
        before, own = allowed.shape[: -2 * axes], allowed.shape[-2 * axes :]
        missing = max(rank - allowed.ndim, 0)
        masks.append(hiding(allowed.reshape(*before, *(1,) * missing, *own)))
    parts = [*_of_inputs(call), *([("attention_mask", given)] if isinstance(given, Value) else [])]
    if parts and axes > 1:
        raise UnsupportedOp(
            "its mask depends on the data, and it works over several axes", _ONE_AXIS
        )
    return _together(call, masks, parts)


_ONE_AXIS = "Use one attention axis, or a constant attention_mask"


def _together(
    call: KerasCall, masks: Sequence[NDArray], parts: Sequence[tuple[str, Value]]
) -> _Hiding:
    """The masks alone, or all of them as truth values where some depend on the data."""
    if not parts:
        return _Hiding(masks)
    truths: list[Operand] = [truth_of(call.inside(name), value) for name, value in parts]
    truths += [np.isfinite(mask).astype(float) for mask in masks]
    if len(truths) == 1:
        return _Hiding((), truths[0])  # type: ignore[arg-type]
    return _Hiding((), extremum(call.inside("allowed"), False, *call.operands(*truths)))


def _of_inputs(call: KerasCall) -> list[tuple[str, Value]]:
    """The masks of queries, as columns, and of keys and values, as rows."""
    given, found = dict(call.arguments), []
    if call.kind == "MultiHeadAttention":  # it looks at the tensor, whatever it is called with
        given["query_mask"] = call.masks.get(given["query"].name)
    names = {"query_mask": (-1, 1), "value_mask": (1, -1), "key_mask": (1, -1)}
    for name, shape in names.items():
        mask = given.get(name)
        if not isinstance(mask, Value):
            continue
        steps = mask.shape[-1]
        own = Reshape(tuple(steps if n == -1 else n for n in shape))
        found.append((name, replace(call.add(own, mask, part=f"{name}/aligned"), truth=mask.truth)))
    return found


def _constant_mask(given: Any) -> NDArray:
    found = plain_array(given).astype(bool)
    if found.ndim < 3:
        return found
    if len(found) != 1:
        raise UnsupportedOp("its mask differs from sample to sample", "Use a batch axis of 1")
    return found[0]


_ARGUMENTS = (
    "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask",
    "return_attention_scores", "use_causal_mask", "mask",
)  # fmt: skip


def _projected(call: KerasCall) -> tuple[Value, Value, Value]:
    """Query, key and value after their dense layers."""
    layer, given = call.layer, call.arguments
    key = given["value"] if given.get("key") is None else given["key"]
    return (
        einsum_layer(call.inside("query"), layer._query_dense, given["query"]),
        einsum_layer(call.inside("key"), layer._key_dense, key),
        einsum_layer(call.inside("value"), layer._value_dense, given["value"]),
    )


def _heads(
    call: KerasCall,
    projected: tuple[Value, Value, Value],
    hidden: _Hiding,
    *,
    axes: Axes,
    depth: int,
    dropout: float,
    gated: bool,
) -> Value | list[Value]:
    """Attention of several heads: the output's dense layer, and weights where a call asks for them.

    Queries that see no key get zeros, as of Keras's Softmax, or else the mean of values.
    """
    (query, key, value), (masks, allowed) = projected, hidden
    asked = bool(call.arguments.get("return_attention_scores"))
    mixed, weights = attend(
        call,
        query,
        key,
        part="mixed",
        value=value,
        axes=axes,
        scale=1.0 / math.sqrt(depth),
        masks=masks,
        cap=0.0,
        zero_rows=dropout > 0 or asked or query.rank != 4,
        allowed=allowed,
    )
    if gated:
        gate = einsum_layer(call.inside("gate"), call.layer._gate_dense, call.arguments["query"])
        mixed = product(call.inside("gated"), mixed, gate)
    output = einsum_layer(call, call.layer._output_dense, mixed)
    return [output, weights] if asked else output


@reads("MultiHeadAttention", arguments=_ARGUMENTS)
def multi_head_attention(call: KerasCall) -> Value | list[Value]:
    """Self and cross attention over any axes, with masks of inputs and of scores."""
    layer = call.layer
    query, key, value = _projected(call)
    ranks = [len(x.shape) + 1 for x in (query, key, value)]
    (keys, queries), scores = parsed(layer._dot_product_equation, (ranks[1], ranks[0]))
    (_, values), result = parsed(layer._combine_equation, (len(scores), ranks[2]))
    axes = Axes(*(labels[1:] for labels in (queries, keys, values, scores, result)))
    window, over = getattr(layer, "_sliding_window", None), len(layer.attention_axes)
    return _heads(
        call,
        (query, key, value),
        _hiding(call, query.shape[0], value.shape[0], window, over, len(axes.scores)),
        axes=axes,
        depth=layer.key_dim,
        dropout=layer._dropout,
        gated=bool(getattr(layer, "_use_gate", False)),
    )


@reads("GroupedQueryAttention", arguments=_ARGUMENTS)
def grouped_query_attention(call: KerasCall) -> Value | list[Value]:
    """Several queries share a key and a value (Ainslie et al. 2023)."""
    layer = call.layer
    query, key, value = _projected(call)
    window = getattr(layer, "sliding_window", None)
    return _heads(
        call,
        (query, key, value),
        _hiding(call, query.shape[0], key.shape[0], window),
        axes=HEADS_INSIDE,
        depth=layer.head_dim,
        dropout=layer.dropout,
        gated=bool(getattr(layer, "use_gate", False)),
    )


@reads("Attention", "AdditiveAttention", arguments=_ARGUMENTS)
def attention(call: KerasCall) -> Value | list[Value]:
    """Without weights but a scale; scores are products, or sums of tanh (Bahdanau et al. 2015)."""
    layer = call.layer
    inputs = [v for v in flatten(call.arguments["inputs"]) if isinstance(v, Value)]
    query, value, *rest = inputs
    key, rank = rest[0] if rest else value, len(query.shape)
    query_mask, value_mask = (*flatten(call.arguments.get("mask") or ()), None, None)[:2]
    rows, columns = query.shape[-2], value.shape[-2]
    axes, causal = Axes.of_rank(rank), call.arguments.get("use_causal_mask")
    keys = [] if value_mask is None else [("value_mask", _row(call, value_mask, -2))]
    hidden = _together(call, [band(rows, columns, after=0)] if causal else [], keys)
    out = "" if query_mask is None else "unmasked"
    if call.kind == "AdditiveAttention" or layer.score_mode == "concat":
        scores = _additive_scores(call, query, key)
        output, weights = weighed(
            call, scores, value, axes, hidden.masks, part=out, allowed=hidden.allowed
        )
    else:
        scale = 1.0 if layer.scale is None else float(array(layer.scale))
        output, weights = attend(
            call,
            query,
            key,
            part=out,
            value=value,
            axes=axes,
            scale=scale,
            masks=hidden.masks,
            allowed=hidden.allowed,
        )
    if query_mask is not None:
        kept = call.expand(_row(call, query_mask, -1), output.shape, "kept_queries")
        output = product(call, output, kept)
    return [output, weights] if call.arguments.get("return_attention_scores") else output


def _row(call: KerasCall, mask: Any, axis: int) -> Value:
    """A mask of steps as truth values with an axis of extent one more."""
    part = "value_mask" if axis == -2 else "query_mask"
    mask = truth_of(call.inside(part), mask)
    shape = (*mask.shape, 1) if axis == -1 else (*mask.shape[:-1], 1, mask.shape[-1])
    return replace(call.add(Reshape(shape), mask, part=f"{part}/aligned"), truth=True)


def _additive_scores(call: KerasCall, query: Value, key: Value) -> Value:
    layer = call.layer
    (*outer, rows, depth), columns = query.shape, key.shape[-2]
    wide: Shape = (*outer, rows, 1, depth)
    query = call.value(Reshape(wide), query, part="query")
    key = call.value(Reshape((*outer, 1, columns, depth)), key, part="key")
    pairs = total(call.inside("pairs"), query, key)
    additive = call.kind == "AdditiveAttention"

    def rescaled(x: Value) -> Value:
        return x if layer.scale is None else scaled(call.inside("scaled"), x, array(layer.scale))

    bent = call.value(Activation("tanh"), pairs if additive else rescaled(pairs), part="tanh")
    pairs = rescaled(bent) if additive else bent
    if additive:
        return call.value(Sum((-1,)), pairs, part="scores")
    sums = call.value(Sum((-1,)), pairs, part="sums")
    return scaled(call.inside("scores"), sums, array(layer.concat_score_weight))


@reads("ops.DotProductAttention")
def dot_product_attention(call: KerasCall) -> Value:
    """Query, key and value as `(batch, length, heads, depth)`."""
    layer, given = call.layer, call.arguments
    query, key, value = (_sample(given[name], 3) for name in ("query", "key", "value"))
    if getattr(layer, "attn_logits_soft_cap", None) is not None:
        raise UnsupportedOp("its scores are capped", "Leave attn_logits_soft_cap out")
    scale = given.get("scale")
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(array(scale))
    masks = [band(query.shape[0], key.shape[0], after=0)] if layer.is_causal else []
    mask, bias = given.get("mask"), given.get("bias")
    if mask is not None and not isinstance(mask, Value):
        masks.append(hiding(_constant_mask(mask)))
    parts = [("mask", mask)] if isinstance(mask, Value) else []
    hidden, allowed = _together(call, masks, parts)
    added = hidden if bias is None else [_sample(bias, 3), *hidden]
    made = attend(
        call, query, key, value=value, axes=HEADS_INSIDE, scale=factor, masks=added, allowed=allowed
    )
    return made[0]


@reads("Softmax", arguments=("mask",))
def masked_softmax(call: KerasCall) -> Value:
    """Softmax along axes; where a mask does not hold values get no share."""
    mask, (x, *_) = call.arguments.get("mask"), call.inputs
    axes = call.axes
    if mask is None:
        return softmax(call, x, axes)
    if not isinstance(mask, Value):
        hidden, _ = _together(call, [hiding(unbatched_constant(plain_array(mask), x.shape))], [])
        return softmax(call, masked(call, x, hidden[0]), axes)
    truth = call.expand(truth_of(call.inside("mask"), mask), x.shape, "allowed")
    shares = softmax(call.inside("shares"), hidden_unless(call, truth, x), axes)
    return product(call, shares, truth)


def _sample(x: Any, rank: int) -> Operand:
    """A tensor, or a constant as every sample has it."""
    return x if isinstance(x, Value) else unbatched_constant(array(x), (1,) * rank)
