"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

import torch

from spikewright.frontends.pytorch.call import Call
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.attention import Axes, attend, band
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
    query, key, value = operands
    scale = call.get("scale")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    axes, masks = Axes.of_rank(len(query.shape)), _masks(call, query, key)
    allowed = next((m for m in masks if isinstance(m, Value) and m.truth), None)
    masks = [mask for mask in masks if mask is not allowed]
    result, _ = attend(
        call, query, key, value, axes, factor, masks, zero_rows=True, allowed=allowed
    )
    several = isinstance(call.results, tuple | list)
    return (result, *[None] * (len(call.results) - 1)) if several else result


def _masks(call: Call, query: Operand, key: Operand) -> list[Operand]:
    if call["is_causal"]:
        return [band(query.shape[-2], key.shape[-2], after=0)]
    mask = call.get("attn_mask")
    if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
        mask = torch.where(mask, 0.0, -torch.inf)
    if mask is None:
        return []
    rank = len(query.shape)
    return [call.lift(mask, rank) if isinstance(mask, Value) else call.against(mask)]
