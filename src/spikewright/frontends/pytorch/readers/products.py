"""Matrix products: of values with constant weights, and with each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from spikewright.frontends.pytorch.call import Call, Value, finite, rank_of, to_array
from spikewright.frontends.pytorch.contraction import contract
from spikewright.frontends.pytorch.readers.arithmetic import combine
from spikewright.frontends.pytorch.registry import reads
from spikewright.frontends.reading.equation import (
    Labels,
    matrix_labels,
    parsed,
    tensordot_labels,
)
from spikewright.graph.layers import UnitNormalization


def _with_bias(
    call: Call, labelled: tuple[Sequence[Labels], Labels], operands: Sequence[Any], bias: Any
) -> Value:
    """`alpha` times the product of two operands, and `beta` times a bias that may be None."""
    labels, result = labelled
    alpha, beta = float(call.get("alpha", 1)), float(call.get("beta", 1))
    factors = list(zip(operands, labels, strict=True))
    if alpha != 1:
        factors.append((alpha, ()))
    if bias is None or beta == 0:
        return contract(call, factors, result)
    samples = {own[x.layout.axis] for x, own in factors if isinstance(x, Value)}
    if _is_row(bias) and result[-1] not in samples:
        return contract(call, factors, result, bias=beta * to_array(bias).reshape(-1))
    return combine(call, contract(call, factors, result, "product"), 1, bias, beta)


def _is_row(bias: Any) -> bool:
    return isinstance(bias, torch.Tensor) and bias.numel() == bias.shape[-1:].numel()


@reads("aten.linear.default")
def _linear(call: Call) -> Value:
    x, weight = call["input"], call["weight"]
    lead = tuple(range(rank_of(x) - 1))
    out = ("out",) if rank_of(weight) == 2 else ()
    labels: list[Labels] = [(*lead, "in"), (*out, "in")]
    return _with_bias(call, (labels, (*lead, *out)), (x, weight), call["bias"])


@reads("aten.mm.default", "aten.matmul.default", "aten.bmm.default", "aten.mv.default")
def _product(call: Call) -> Value:
    operands = list(call.arguments.values())
    return _with_bias(call, matrix_labels(*map(rank_of, operands)), operands, None)


@reads("aten.addmm.default", "aten.addmv.default", "aten.baddbmm.default")
def _affine(call: Call) -> Value:
    bias, *operands = (x for x in call.arguments.values() if isinstance(x, Value | torch.Tensor))
    return _with_bias(call, matrix_labels(*map(rank_of, operands)), operands, bias)


@reads("aten.einsum.default")
def _einsum(call: Call) -> Value:
    operands = list(call["tensors"])
    labels, result = parsed(call["equation"], [rank_of(operand) for operand in operands])
    return _with_bias(call, (labels, result), operands, None)


@reads("aten.tensordot.default", "aten.inner.default")
def _over_axes(call: Call) -> Value:
    operands = (call["self"], call["other"])
    axes = call.get("dims_self", (-1,)), call.get("dims_other", (-1,))
    return _with_bias(call, tensordot_labels([*map(rank_of, operands)], *axes), operands, None)


@reads("aten.linalg_vecdot.default")
def _inner(call: Call) -> Value:
    return _summed_along(call, (call["x"], call["y"]), call["dim"])


@reads("aten.bilinear.default")
def _bilinear(call: Call) -> Value:
    operands = (call["input1"], call["weight"], call["input2"])
    labelled = parsed("...i,oij,...j->...o", [*map(rank_of, operands)])
    return _with_bias(call, labelled, operands, call["bias"])


@reads("aten.linalg_multi_dot.default", "aten.chain_matmul.default")
def _chain(call: Call) -> Value:
    (operands,) = call.arguments.values()
    labels: list[Labels] = [(i, i + 1) for i in range(len(operands))]
    return _with_bias(call, (labels, (0, len(operands))), operands, None)


@reads("aten.cosine_similarity.default")
def _cosine(call: Call) -> Value:
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


def _summed_along(call: Call, operands: Sequence[Any], dim: int) -> Value:
    """An elementwise product, summed along an axis of the result."""
    ranks = [rank_of(x) for x in operands]
    labels: list[Labels] = [tuple(range(-rank, 0)) for rank in ranks]
    summed = dim % max(ranks) - max(ranks)
    result = tuple(label for label in range(-max(ranks), 0) if label != summed)
    return _with_bias(call, (labels, result), operands, None)
