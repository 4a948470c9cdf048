"""Products of matrices: of values with constant weights, with each other, and in attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from spikewright.frontends.pytorch.registry import TorchCall, reads
from spikewright.frontends.reading.attention import Axes, attend, band
from spikewright.frontends.reading.call import Operand, Unreadable, Value, finite
from spikewright.frontends.reading.contraction import Labels
from spikewright.frontends.reading.products import (
    by_equation,
    contracted,
    matrix_product,
    over_axes,
    ranks,
)
from spikewright.graph.layers import UnitNormalization


@reads("aten.linear.default")
def _linear(call: TorchCall) -> Value:
    operands = (call["input"], call["weight"])
    rank, of_weight = ranks(call, operands)
    lead, out = tuple(range(rank - 1)), ("out",) if of_weight == 2 else ()
    labels: list[Labels] = [(*lead, "in"), (*out, "in")]
    return contracted(call, operands, labels, (*lead, *out), call["bias"])


@reads("aten.mm.default", "aten.matmul.default", "aten.bmm.default", "aten.mv.default")
def _product(call: TorchCall) -> Value:
    return matrix_product(call, list(call.arguments.values()))


@reads("aten.addmm.default", "aten.addmv.default", "aten.baddbmm.default")
def _affine(call: TorchCall) -> Value:
    bias, *operands = (x for x in call.arguments.values() if isinstance(x, Value | torch.Tensor))
    alpha, beta = float(call["alpha"]), float(call["beta"])
    return matrix_product(call, operands, bias if beta else None, alpha=alpha, beta=beta)


@reads("aten.einsum.default")
def _einsum(call: TorchCall) -> Value:
    return by_equation(call, call["equation"], list(call["tensors"]))


@reads("aten.tensordot.default", "aten.inner.default")
def _over_axes(call: TorchCall) -> Value:
    axes = call.get("dims_self", (-1,)), call.get("dims_other", (-1,))
    return over_axes(call, (call["self"], call["other"]), *axes)


@reads("aten.bilinear.default")
def _bilinear(call: TorchCall) -> Value:
    operands = (call["input1"], call["weight"], call["input2"])
    lead = tuple(range(call.rank_of(operands[0]) - 1))
    labels: list[Labels] = [(*lead, "in1"), ("out", "in1", "in2"), (*lead, "in2")]
    return contracted(call, operands, labels, (*lead, "out"), call["bias"])


@reads("aten.linalg_multi_dot.default", "aten.chain_matmul.default")
def _chain(call: TorchCall) -> Value:
    (operands,) = call.arguments.values()
    labels: list[Labels] = [(i, i + 1) for i in range(len(operands))]
    return contracted(call, operands, labels, (0, len(operands)))


@reads("aten.linalg_vecdot.default")
def _inner(call: TorchCall) -> Value:
    return _summed_along(call, (call["x"], call["y"]), call["dim"])


@reads("aten.cosine_similarity.default")
def _cosine(call: TorchCall) -> Value:
    """The product of unit vectors, summed."""
    units = []
    for name in ("x1", "x2"):
        x = call[name]
        if isinstance(x, Value):
            unit = UnitNormalization((call.axis(x, call["dim"]),), call["eps"])
            x = call.add(unit, finite(x), part=name)
        else:
            x = torch.nn.functional.normalize(x.double(), dim=call["dim"], eps=call["eps"])
        units.append(x)
    return _summed_along(call, units, call["dim"])


def _summed_along(call: TorchCall, operands: Sequence[Any], dim: int) -> Value:
    """An elementwise product, summed along an axis of the result."""
    labels: list[Labels] = [tuple(range(-rank, 0)) for rank in ranks(call, operands)]
    longest = max(labels, key=len)
    summed = longest[dim]
    return contracted(call, operands, labels, tuple(one for one in longest if one != summed))


@reads(
    "aten.scaled_dot_product_attention.default",
    "aten._scaled_dot_product_flash_attention_for_cpu.default",
)
def _attention(call: TorchCall) -> Any:
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
        call,
        query,
        key,
        value=value,
        axes=axes,
        scale=factor,
        masks=masks,
        zero_rows=True,
        allowed=allowed,
    )
    several = isinstance(call.results, tuple | list)
    return (result, *[None] * (len(call.results) - 1)) if several else result


def _masks(call: TorchCall, query: Operand, key: Operand) -> list[Operand]:
    if call["is_causal"]:
        return [band(query.shape[-2], key.shape[-2], after=0)]
    mask = call.get("attn_mask")
    if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
        mask = torch.where(mask, 0.0, -torch.inf)
    if mask is None:
        return []
    rank = len(query.shape)
    return [call.lift(mask, rank) if isinstance(mask, Value) else call.against(mask)]
