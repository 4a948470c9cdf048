"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import torch

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.attention import Axes, attend, band
from spikewright.frontends.reading.equation import batch_label
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.values import Operand, Value


@reads(
    "aten.scaled_dot_product_attention.default",
    "aten._scaled_dot_product_flash_attention_for_cpu.default",
)
def _attention(call: Call) -> Any:
    if call["dropout_p"]:
        raise Unreadable(
            f"it drops attention weights at random (dropout_p={call['dropout_p']})",
            "Give dropout_p=0.0 in evaluation mode.",
        )
    operands = call.operands(call["query"], call["key"], call["value"])
    _refuse_mixing(operands)
    query, key, value = operands
    scale = call.get("scale")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    axes, masks = Axes.of_rank(len(query.shape)), _masks(call, operands)
    result, _ = attend(call, query, key, value, axes, factor, masks, zero_rows=True)
    several = isinstance(call.results, tuple | list)
    return (result, *[None] * (len(call.results) - 1)) if several else result


def _refuse_mixing(operands: list[Operand]) -> None:
    """Refuse attention from sample to sample."""
    (rank,) = {x.rank for x in operands if isinstance(x, Value)}
    axes = Axes.of_rank(rank)
    pairs = zip(operands, (axes.query, axes.key, axes.value), strict=True)
    batch_label([(own, x.layout.axis) for x, own in pairs if isinstance(x, Value)], axes.result)


def _masks(call: Call, operands: list[Operand]) -> list[Operand]:
    query, key, _ = operands
    if call["is_causal"]:
        return [band(query.shape[-2], key.shape[-2], after=0)]
    mask = call.get("attn_mask")
    if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
        mask = torch.where(mask, 0.0, -torch.inf)
    like = next(x for x in operands if isinstance(x, Value))
    return [] if mask is None else [call.operands(like, mask)[1]]
