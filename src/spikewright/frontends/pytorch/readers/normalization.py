"""Normalisation by fixed statistics, and by those of the sample."""

from __future__ import annotations

import numpy as np
import torch

from spikewright.frontends.pytorch.call import Call, Cannot, Value
from spikewright.frontends.pytorch.reasons import LIVE_NORM
from spikewright.frontends.pytorch.registry import reads
from spikewright.graph.layers import (
    Activation,
    BatchNormalization,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNormalization,
    Layer,
    LayerNormalization,
    RMSNormalization,
    ScaleShift,
    Sum,
)


@reads(
    "aten.batch_norm.default", "aten.native_batch_norm.default",
    "aten._native_batch_norm_legit_no_training.default",
)  # fmt: skip
def _batch_norm(call: Call) -> Value | tuple[Value | None, ...]:
    if call.get("training") or call["running_mean"] is None or call["running_var"] is None:
        raise Cannot(*LIVE_NORM)
    return _with_others(call, _fixed(call))


def _fixed(call: Call) -> Value:
    x = call.value("input")
    axis = call.axis(x, 1)
    mean, variance = call.array("running_mean"), call.array("running_var")
    gamma, beta = call.optional_array("weight"), call.optional_array("bias")
    layer = BatchNormalization(
        np.ones_like(mean) if gamma is None else gamma,
        np.zeros_like(mean) if beta is None else beta,
        mean,
        variance,
        call["eps"],
        axis,
    )
    return call.add(layer, x)


def _with_others(call: Call, value: Value) -> Value | tuple[Value | None, ...]:
    """The value, beside results that have no reading where the operator has several."""
    several = isinstance(call.results, tuple | list)
    return (value, *[None] * (len(call.results) - 1)) if several else value


@reads("aten.instance_norm.default")
def _instance_norm(call: Call) -> Value:
    if not call["use_input_stats"]:
        return _fixed(call)
    x = call.value("input")
    groups = x.known_shape[call.axis(x, 1)]
    return _grouped(call, x, groups)


@reads("aten.group_norm.default", "aten.native_group_norm.default")
def _group_norm(call: Call) -> Value | tuple[Value | None, ...]:
    groups = call.get("num_groups", call.get("group"))
    return _with_others(call, _grouped(call, call.value("input"), groups))


def _grouped(call: Call, x: Value, groups: int) -> Value:
    axis = call.axis(x, 1)
    weight, bias = call.optional_array("weight"), call.optional_array("bias")
    shape = x.known_shape
    if not x.merged:
        return call.add(GroupNormalization(groups, axis, call["eps"], weight, bias), x)
    if groups not in (1, shape[axis]):
        raise Cannot("its batch axis is merged with another than the axis of channels")
    axes = tuple(range(axis if groups == 1 else axis + 1, len(shape)))
    trailing = (1,) * (len(shape) - 1 - axis)
    scale, shift = (None if p is None else p.reshape(-1, *trailing) for p in (weight, bias))
    return call.add(LayerNormalization(axes, call["eps"], scale, shift), x)


def _last_axes(call: Call, x: Value) -> tuple[int, ...]:
    return tuple(call.axis(x, dim) for dim in range(-len(call["normalized_shape"]), 0))


@reads("aten.layer_norm.default", "aten.native_layer_norm.default")
def _layer_norm(call: Call) -> Value | tuple[Value | None, ...]:
    x = call.value("input")
    layer = LayerNormalization(
        _last_axes(call, x),
        call["eps"],
        call.optional_array("weight"),
        call.optional_array("bias"),
    )
    return _with_others(call, call.add(layer, x))


@reads("aten.rms_norm.default", "aten._fused_rms_norm.default")
def _rms_norm(call: Call) -> Value | tuple[Value | None, ...]:
    x, epsilon = call.value("input"), call["eps"]
    if epsilon is None:
        epsilon = torch.finfo(call.dtype or torch.float32).eps
    layer = RMSNormalization(_last_axes(call, x), float(epsilon), call.optional_array("weight"))
    return _with_others(call, call.add(layer, x))


def reduced(call: Call, x: Value, dims: object) -> tuple[int, ...]:
    """Own axes of the program's `dims`: one, several, or all of them."""
    if dims is None or dims == []:
        dims = range(x.rank)
    every = [dims] if isinstance(dims, int) else list(dims)  # type: ignore[call-overload]
    return tuple(sorted({call.axis(x, dim) for dim in every}))


@reads("aten.linalg_vector_norm.default", "aten.norm.ScalarOpt_dim")
def _norm(call: Call) -> Value:
    x, order = call.value("self"), call.get("ord", call.get("p"))
    order = 2.0 if order is None else float(order)
    axes, keep = reduced(call, x, call["dim"]), bool(call["keepdim"])
    if order not in (1, 2, np.inf):
        raise Cannot(f"norms of order {order} have no reading", "Use order 1, 2 or infinity.")
    first = ("square", Activation("square")) if order == 2 else ("abs", Activation("abs"))
    over: Layer = GlobalMaxPool(axes, keep) if order == np.inf else Sum(axes, keep)
    root = ("root", Activation("sqrt")) if order == 2 else ("", None)
    value = call.reduce(x, axes, keep, first, ("over", over), root)
    if order == 2 and keep:
        call.notes["norm", value.name] = (x, axes, 0.0)
    return value


@reads(
    "aten.var.correction", "aten.var.dim", "aten.std.correction", "aten.std.dim",
    "aten.var_mean.correction", "aten.std_mean.correction",
)  # fmt: skip
def _spread(call: Call) -> Value | tuple[Value, ...]:
    x, keep = call.value("self"), bool(call["keepdim"])
    axes = reduced(call, x, call["dim"])
    number = int(np.prod([x.known_shape[axis] for axis in axes]))
    unbiased = call.get("unbiased", True)
    correction = call.get("correction", 1 if unbiased else 0)
    correction = 1 if correction is None else correction
    if number <= correction:
        raise Cannot(f"the variance of {number} values is not a number")
    mean = call.add(GlobalAveragePool(axes, True), x, part="mean")
    away = call.add(ScaleShift(np.asarray(-1.0)), call.expand(mean, x.known_shape), part="away")
    centred = call.plus(x, away, "centred")
    root = Activation("sqrt") if "std" in call.target else None
    scale = None if not correction else ScaleShift(np.asarray(number / (number - correction)))
    spread = call.reduce(
        centred,
        axes,
        keep,
        ("square", Activation("square")),
        ("average", GlobalAveragePool(axes, keep)),
        ("scale", scale),
        ("root", root),
    )
    if "mean" not in call.target:
        return spread
    centre = call.reduce(x, axes, keep, ("centre", GlobalAveragePool(axes, keep)), part="centre")
    return spread, centre
