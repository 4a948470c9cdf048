"""Normalisation by fixed statistics, and by those of the sample."""

from __future__ import annotations

import numpy as np
import torch

from spikewright.frontends.pytorch.registry import LIVE_NORM, TorchCall, reads
from spikewright.frontends.reading.call import Unreadable, Value
from spikewright.frontends.reading.reductions import by_groups, by_statistics, reduced, variance
from spikewright.graph.layers import LayerNormalization, RMSNormalization


@reads(
    "aten.batch_norm.default", "aten.native_batch_norm.default",
    "aten._native_batch_norm_legit_no_training.default",
)  # fmt: skip
def _batch_norm(call: TorchCall) -> Value | tuple[Value | None, ...]:
    if call.get("training") or call["running_mean"] is None or call["running_var"] is None:
        raise Unreadable(*LIVE_NORM)
    return _with_others(call, _fixed(call))


def _fixed(call: TorchCall) -> Value:
    x, statistics = call.value("input"), (call.array("running_mean"), call.array("running_var"))
    weights = (call.optional_array("weight"), call.optional_array("bias"))
    return by_statistics(call, x, call.axis(x, 1), statistics, call["eps"], *weights)


def _with_others(call: TorchCall, value: Value) -> Value | tuple[Value | None, ...]:
    """The value, beside results that have no reading where the operator has several."""
    several = isinstance(call.results, tuple | list)
    return (value, *[None] * (len(call.results) - 1)) if several else value


@reads("aten.instance_norm.default")
def _instance_norm(call: TorchCall) -> Value:
    if not call["use_input_stats"]:
        return _fixed(call)
    x = call.value("input")
    groups = x.shape[call.axis(x, 1)]
    return _grouped(call, x, groups)


@reads("aten.group_norm.default", "aten.native_group_norm.default")
def _group_norm(call: TorchCall) -> Value | tuple[Value | None, ...]:
    groups = call.get("num_groups", call.get("group"))
    return _with_others(call, _grouped(call, call.value("input"), groups))


def _grouped(call: TorchCall, x: Value, groups: int) -> Value:
    weights = (call.optional_array("weight"), call.optional_array("bias"))
    return by_groups(call, x, groups, call.axis(x, 1), call["eps"], *weights)


def _last_axes(call: TorchCall, x: Value) -> tuple[int, ...]:
    return tuple(call.axis(x, dim) for dim in range(-len(call["normalized_shape"]), 0))


@reads("aten.layer_norm.default", "aten.native_layer_norm.default")
def _layer_norm(call: TorchCall) -> Value | tuple[Value | None, ...]:
    x = call.value("input")
    layer = LayerNormalization(
        _last_axes(call, x),
        call["eps"],
        call.optional_array("weight"),
        call.optional_array("bias"),
    )
    return _with_others(call, call.add(layer, x))


@reads("aten.rms_norm.default", "aten._fused_rms_norm.default")
def _rms_norm(call: TorchCall) -> Value | tuple[Value | None, ...]:
    x, epsilon = call.value("input"), call["eps"]
    if epsilon is None:
        epsilon = torch.finfo(call.dtype or torch.float32).eps
    layer = RMSNormalization(_last_axes(call, x), float(epsilon), call.optional_array("weight"))
    return _with_others(call, call.add(layer, x))


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
        raise Unreadable(f"norms of matrices of order {order} have no reading", "Use 'fro'.")
    order = 2.0 if order in (None, "fro") else float(order)
    axes, keep = over(call, x), bool(call["keepdim"])
    if order not in ORDERS:
        raise Unreadable(f"norms of order {order} have no reading", "Use order 1, 2 or infinity.")
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
    return spread, reduced(call, x, "mean", axes, keep, "centre")
