"""Sums of products, normalisation, and reductions over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from spikewright.frontends.pytorch.registry import LIVE_NORM, TorchCall, reads
from spikewright.frontends.reading.arithmetic import combined
from spikewright.frontends.reading.call import Operand, UnsupportedOp, Value, finite
from spikewright.frontends.reading.contraction import Labels
from spikewright.frontends.reading.products import (
    Axes,
    attend,
    band,
    by_equation,
    contracted,
    matrix_product,
    over_axes,
    ranks,
)
from spikewright.frontends.reading.reductions import (
    by_groups,
    by_statistics,
    cumulative_sum,
    differences,
    product_over,
    reduced,
    variance,
)
from spikewright.graph.layers import (
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)


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
        raise UnsupportedOp(
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
    return result


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


@reads(
    "aten.batch_norm.default", "aten.native_batch_norm.default",
    "aten._native_batch_norm_legit_no_training.default",
)  # fmt: skip
def _batch_norm(call: TorchCall) -> Value:
    if call.get("training") or call["running_mean"] is None or call["running_var"] is None:
        raise UnsupportedOp(*LIVE_NORM)
    return _fixed(call)


def _fixed(call: TorchCall) -> Value:
    x, statistics = call.value("input"), (call.array("running_mean"), call.array("running_var"))
    weights = (call.optional_array("weight"), call.optional_array("bias"))
    return by_statistics(call, x, call.axis(x, 1), statistics, call["eps"], *weights)


@reads("aten.instance_norm.default")
def _instance_norm(call: TorchCall) -> Value:
    if not call["use_input_stats"]:
        return _fixed(call)
    x = call.value("input")
    groups = x.shape[call.axis(x, 1)]
    return _grouped(call, x, groups)


@reads("aten.group_norm.default", "aten.native_group_norm.default")
def _group_norm(call: TorchCall) -> Value:
    groups = call.get("num_groups", call.get("group"))
    return _grouped(call, call.value("input"), groups)


def _grouped(call: TorchCall, x: Value, groups: int) -> Value:
    weights = (call.optional_array("weight"), call.optional_array("bias"))
    return by_groups(call, x, groups, call.axis(x, 1), call["eps"], *weights)


def _last_axes(call: TorchCall, x: Value) -> tuple[int, ...]:
    return tuple(call.axis(x, dim) for dim in range(-len(call["normalized_shape"]), 0))


@reads("aten.layer_norm.default", "aten.native_layer_norm.default")
def _layer_norm(call: TorchCall) -> Value:
    x = call.value("input")
    layer = LayerNormalization(
        _last_axes(call, x),
        call["eps"],
        call.optional_array("weight"),
        call.optional_array("bias"),
    )
    return call.add(layer, x)


@reads("aten.rms_norm.default", "aten._fused_rms_norm.default")
def _rms_norm(call: TorchCall) -> Value:
    x, epsilon = call.value("input"), call["eps"]
    if epsilon is None:
        epsilon = torch.finfo(call.dtype or torch.float32).eps
    layer = RMSNormalization(_last_axes(call, x), float(epsilon), call.optional_array("weight"))
    return call.add(layer, x)


def over(call: TorchCall, x: Value) -> tuple[int, ...]:
    """Own axes of the program's `dim`: one, several, or all of them."""
    dims = call.get("dim")
    if dims is None or dims == []:
        dims = range(x.rank)
    every = [dims] if isinstance(dims, int) else list(dims)
    return tuple(sorted({call.axis(x, dim) for dim in every}))


ORDERS = {1.0: "norm 1", 2.0: "norm 2", np.inf: "norm inf"}


@reads(
    "aten.linalg_vector_norm.default", "aten.norm.ScalarOpt_dim", "aten.linalg_norm.default",
    "aten.linalg_norm.ord_str", "aten.linalg_matrix_norm.str_ord",
)  # fmt: skip
def _norm(call: TorchCall) -> Value:
    x, order = call.value("self"), call.get("ord", call.get("p"))
    several = call["dim"] is None or len(np.atleast_1d(call["dim"])) > 1
    of_matrix = "vector" not in call.target and "norm.Scalar" not in call.target and several
    if order not in (None, "fro") and of_matrix:
        raise UnsupportedOp(f"norms of matrices of order {order} have no reading", "Use 'fro'.")
    order = 2.0 if order in (None, "fro") else float(order)
    axes, keep = over(call, x), bool(call["keepdim"])
    if order not in ORDERS:
        raise UnsupportedOp(
            f"norms of order {order} have no reading", "Use order 1, 2 or infinity."
        )
    value = reduced(call, x, ORDERS[order], axes, keep)
    if order == 2 and keep:
        call.notes["norm", value.name] = (x, axes, 0.0)
    return value


@reads(
    "aten.var.correction", "aten.var.dim", "aten.std.correction", "aten.std.dim",
    "aten.var_mean.correction", "aten.std_mean.correction",
)  # fmt: skip
def _spread(call: TorchCall) -> Value | tuple[Value, ...]:
    x, keep, axes = call.value("self"), bool(call["keepdim"]), over(call, call.value("self"))
    correction = call.get("correction", 1 if call.get("unbiased", True) else 0)
    correction = 1 if correction is None else correction
    spread = variance(call, x, axes, keep, correction, "std" in call.target)
    if "mean" not in call.target:
        return spread
    return spread, reduced(call.inside("centre"), x, "mean", axes, keep)


_REDUCTIONS = {
    "mean": "mean", "sum": "sum", "amax": "max", "max": "max", "amin": "min", "min": "min",
    "logsumexp": "log of sum of exp",
}  # fmt: skip


@reads(
    "aten.mean.dim", "aten.mean.default", "aten.sum.dim_IntList", "aten.sum.default",
    "aten.amax.default", "aten.max.default", "aten.max.dim", "aten.amin.default",
    "aten.min.default", "aten.min.dim", "aten.logsumexp.default",
)  # fmt: skip
def _reduction(call: TorchCall) -> Value:
    x, keep = call.value("self"), bool(call.get("keepdim"))
    name, axes = call.target.split(".")[1], over(call, x)
    value = reduced(call, x, _REDUCTIONS[name], axes, keep)
    if name in ("amax", "max") and keep:
        call.notes["largest", value.name] = x.name
    return value


@reads("aten.cdist.default")
def _distances(call: TorchCall) -> Value:
    """Norms of the differences of all rows of one and all rows of another."""
    order = float(call["p"])
    if order not in ORDERS:
        options = "Use order 1, 2 or infinity."
        raise UnsupportedOp(f"distances of order {order} have no reading", options)
    first, second = (
        call.view(x, (*x_sizes[:at], 1, *x_sizes[at:]), name) if isinstance(x, Value)
        else x.unsqueeze(at - len(x_sizes) - 1)
        for name, step in (("x1", 1), ("x2", 2))
        for x in [call[name]]
        for x_sizes in [sizes_of_operand(x)]
        for at in [len(x_sizes) - step]
    )  # fmt: skip
    x, y = call.operands(first, second)
    difference = combined(call.inside("difference"), (1.0, x), (-1.0, y))
    return reduced(call, difference, ORDERS[order], (len(difference.shape) - 1,), False)


def sizes_of_operand(x: Any) -> tuple[int, ...]:
    """The program's extents of a value or a constant."""
    if isinstance(x, Value):
        return (*(1,) * (x.rank - len(x.shape)), *x.shape)
    return tuple(x.shape)


@reads("aten.prod.dim_int")
def _product_along(call: TorchCall) -> Value:
    x = call.value("self")
    return product_over(call, x, over(call, x), bool(call.get("keepdim")))


@reads("aten.diff.default")
def _differences(call: TorchCall) -> Value:
    x = call.value("self")
    if call["prepend"] is not None or call["append"] is not None:
        raise UnsupportedOp("it puts values before or behind its own", "Use torch.cat before it.")
    return differences(call, x, call.axis(x, call["dim"]), call["n"])


@reads("aten.cumsum.default")
def _cumulative_sum(call: TorchCall) -> Value:
    x, axis = call.along()
    return cumulative_sum(call, x, axis)
